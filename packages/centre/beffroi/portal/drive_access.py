"""The drive as the portal's pages reach it: look-ups and short changes in this process, bytes by grant elsewhere.

Process: web. It opens the metadata of a collectivité; it has no key of contents and never holds a byte of a file.
Access:  ``View`` of the session's person and collectivité: the only way from an identifier to a file.
Source:  docs/decisions/0074-bytes-by-grant.md.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from functools import cache

from django.conf import settings
from django.http import HttpRequest, HttpResponse, HttpResponseBase

from beffroi.core.identity import sessions
from beffroi.core.identity.actor import Actor
from beffroi.core.planes.tokens import make_grant
from beffroi.drive import alarms, browsers
from beffroi.drive.alarms import DeviceStopped
from beffroi.drive.store.commune import Communes, open_communes
from beffroi.drive.store.database import Database
from beffroi.drive.store.model import Act, RootFixed
from beffroi.drive.views import Place, View
from beffroi.drive.web import granted
from beffroi.drive.web.sync import push
from beffroi.drive.who import ROLES, Who
from beffroi.lib import clock
from beffroi.lib.config import Config, SettingInvalid
from beffroi.lib.errors import NotAllowed
from beffroi.portal.pages import give_cookie

GRANT_TTL_S = 900
GRANT_KEY = "drive-grant.key"


def _communes() -> Communes:
    return _opened(settings.BEFFROI)


@cache
def _opened(config: Config) -> Communes:
    threads = ThreadPoolExecutor(2, thread_name_prefix="drive")
    found = open_communes(config, threads)
    found.listeners.append(lambda collectivite_id: push.tell(config.run, collectivite_id))
    return found


def who_of(request: HttpRequest, actor: Actor) -> Who:
    """Who asks, as the session says it. Errors: NotAllowed (no collectivité)."""
    if actor.collectivite_id is None or actor.role not in ROLES:
        raise NotAllowed("no collectivité")
    membership_id = str(request.session.get(sessions.MEMBERSHIP_KEY, ""))
    return Who(actor.id, membership_id, actor.collectivite_id, ROLES[actor.role], "", "", "")


def view_of(request: HttpRequest, actor: Actor) -> View:
    """Errors: NotAllowed, StoreFull, Unavailable."""
    who = who_of(request, actor)
    return View.of_page(who, _communes().metadata)


def has_drive(collectivite_id: str | None) -> bool:
    """Whether the collectivité ever had a file; asking makes none."""
    return (settings.BEFFROI.state / "drive" / (collectivite_id or "none")).exists()


def metadata_of(collectivite_id: str) -> Database:
    """For who holds a link. ``collectivite_id``: of one that is known to be here. Errors: StoreFull, Unavailable."""
    return _communes().metadata(collectivite_id)


def drives() -> set[str]:
    """The collectivités that have a drive."""
    return set(_communes().ids())


def act_of(view: View) -> Act:
    """A change by this person, now, from the portal. Errors: DeviceStopped (they, or who has their session, changed
    files today as ransomware does)."""
    now_s = clock.epoch_s()
    device = browsers.device_of("page", view.who.person_id, now_s)
    with view.database.reading() as reading:
        if device in alarms.stopped(reading):
            raise DeviceStopped
    return Act(view.who.person_id, device, now_s)


def require_writable(place: Place) -> None:
    """Errors: ReadOnly."""
    place.require_writable()


def require_movable(place: Place) -> None:
    """Of what is to have another place or name. Errors: ReadOnly, RootFixed (it is shared: its owner's to move)."""
    require_writable(place)
    if place.rights.is_mount:
        raise RootFixed


def give_grants(response: HttpResponse, who: Who) -> None:
    """Let this browser fetch and send files for some minutes; without the key it cannot."""
    try:
        key = settings.BEFFROI.secret(GRANT_KEY)
    except SettingInvalid:
        return
    for path, name in granted.COOKIES.items():
        grant = make_grant(
            key,
            subject_id=who.person_id,
            collectivite_id=who.collectivite_id,
            paths=(path,),
            ttl_s=GRANT_TTL_S,
            role=who.role,
        )
        give_cookie(response, name, grant, path=path, life_s=GRANT_TTL_S)


def take_grants(response: HttpResponseBase) -> None:
    """Who sat at this computer is gone: the next one neither fetches nor sends by what they left in the browser."""
    for path, name in granted.COOKIES.items():
        response.delete_cookie(name, path=path, samesite="Strict")
