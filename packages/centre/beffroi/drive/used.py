"""How much each collectivité keeps in the Coffre, as the console shows it: told by the process that opens them anyway.

Why:     a page that opened 700 metadata to be shown cost 1.5 s of processor each time.
Process: written by drive-keeper, each hour (``upkeep``); read by the console.
Format:  STATE/drive/use.json: no name of a file, nothing of a person.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from pathlib import Path

import msgspec

from beffroi.drive.store import room
from beffroi.drive.store.commune import Communes
from beffroi.lib import clock, json_file
from beffroi.lib.config import Config
from beffroi.lib.errors import BeffroiError

log = logging.getLogger("beffroi.drive.upkeep")


class Used(msgspec.Struct, frozen=True):
    """``entries``: files, folders and versions. ``used_bytes``: with trash, uploads under way and calendars."""

    entries: int
    used_bytes: int


class Told(msgspec.Struct, frozen=True):
    """``at_s``: when it was counted (epoch seconds). ``drives``: by collectivité; None where it could not be read."""

    at_s: int
    drives: Mapping[str, Used | None]


def path(config: Config) -> Path:
    return config.state / "drive" / "use.json"


def read(config: Config) -> Told | None:
    """None where nothing was counted yet."""
    return json_file.read(path(config), Told)


def tell(config: Config, communes: Communes) -> None:
    """What cannot be written is told an hour later; the page says of when its figures are."""
    told = Told(clock.epoch_s(), {one: _used(communes, one) for one in communes.ids()})
    try:
        json_file.write(path(config), told)
    except OSError as error:
        log.error("use is not told: %s", error.strerror)


def _used(communes: Communes, collectivite_id: str) -> Used | None:
    try:
        with communes.metadata(collectivite_id).reading() as reading:
            found = room.use(reading, room.WHOLE)
    except BeffroiError:
        return None
    return Used(found.weight.entries, found.used_bytes)
