"""What the process drive answers about office documents: new ones, previews, and an editor where one is set."""

from __future__ import annotations

from collections.abc import Callable

from beffroi.drive import crossing
from beffroi.drive.office.discovery import editor
from beffroi.drive.store.commune import Communes
from beffroi.drive.web.app import Drive
from beffroi.drive.web.bodies import BodiesOf
from beffroi.drive.web.making import Maker
from beffroi.drive.web.new_document import NewDocument
from beffroi.drive.web.previews import Previews
from beffroi.drive.web.sync.thumbnails import Thumbnails
from beffroi.drive.web.visiting import Visits
from beffroi.drive.web.wopi import Members, Wopi
from beffroi.drive.web.wopi_calls import Host
from beffroi.drive.who import Who
from beffroi.lib.config import Config
from beffroi.previews.server import socket_path


def maker_of(config: Config) -> Maker:
    return Maker(socket_path(config.state) if config.previews else None)


def add_to(
    drive: Drive,
    config: Config,
    communes: Communes,
    bodies: BodiesOf,
    *,
    maker: Maker,
    members: Members,
    require: Callable[[Who], object],
    crossed: crossing.Tell,
    base_url: str,
) -> None:
    """Errors: SettingInvalid."""
    key, found = config.secret("drive-grant.key"), editor(config)
    visits = Visits(communes, bodies, crossed)
    Previews(visits, key, drive.enter, maker).add_to(drive.routes)
    Thumbnails(drive.dav.call_at, maker).add_to(drive.routes)
    if found is None:
        return
    NewDocument(visits, key, drive.enter).add_to(drive.routes)
    host = Host(communes, bodies, key, base_url, config.office_max_mib * 1024 * 1024)
    Wopi(host, members, drive.enter, require, found, crossed).add_to(drive.routes)
