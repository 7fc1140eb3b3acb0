"""All files of a collectivité are destroyed: first the keys, then what they opened, wherever we keep it.

Rule:    ``Keys.erase`` writes the certificate and destroys the keys; from then on every way in answers KeysErased
         (410). Then go backups, metadata, objects, calendars, reports. Called again, it goes on where it was cut.
Process: worker, a day after two administrators agreed (``erasures``).
Fails:   OSError, StoreUnavailable, Unavailable, OthersTurn: the certificate stands, the rest is done by the next call.
Source:  docs/internals/drive.md, "Erasure of a collectivité": also what remains.
"""

from __future__ import annotations

import shutil
from collections.abc import Generator
from contextlib import closing
from itertools import islice
from pathlib import Path

from beffroi.drive import projections, upkeep
from beffroi.drive.backup.places import open_place
from beffroi.drive.backup.turns import backing_up, collecting
from beffroi.drive.store import keys
from beffroi.drive.store.keys import Certificate
from beffroi.drive.store.object_store import open_objects
from beffroi.lib import durable, json_file
from beffroi.lib.config import Config
from beffroi.lib.errors import Unavailable

PORTION = 50
"""Objects that go before others have their turn."""
_END = object()
_KEPT = frozenset({"erased.json", "keys.lock", "collect.lock", "backup.lock"})


def destroy_keys(config: Config, collectivite_id: str, *, by: str) -> Certificate:
    """``by``: identifiers of who asked and who agreed. Errors: above; those of the keys."""
    if not keys.is_erased(_folder(config, collectivite_id)):
        # A collectivité without files has a certificate, too, and so has one whose keys are lost.
        keys.make(config, collectivite_id, anew=True)
    return keys.Keys(config, collectivite_id).erase(by)


def remove_rest(config: Config, collectivite_id: str) -> Generator[None]:
    """What the keys opened, once they are gone, in pieces."""
    folder = _folder(config, collectivite_id)
    assert keys.is_erased(folder), "keys first"
    pieces, is_left = open_place(config).erase(collectivite_id), True
    while is_left:
        with backing_up(config, collectivite_id, waits=False):  # the next one finds no key
            is_left = next(pieces, _END) is not _END
        yield
    objects, is_left = open_objects(config), True
    while is_left:  # first what makes room
        with collecting(config, collectivite_id, waits=False):
            page = list(islice(objects.list(collectivite_id), PORTION))
            for stored in page:
                objects.delete(stored.name)
        is_left = bool(page)
        yield
    with collecting(config, collectivite_id, waits=False):
        projections.remove_collectivite(config, collectivite_id=collectivite_id)
        _drop_schema(config, collectivite_id)
        for one in folder.iterdir():
            if one.name not in _KEPT:
                shutil.rmtree(one) if one.is_dir() and not one.is_symlink() else one.unlink()
        durable.sync_directory(folder)
    _forget_damages(config, collectivite_id)


def is_whole(config: Config, collectivite_id: str) -> bool:
    """Whether nothing is left to remove beside the certificate."""
    folder = _folder(config, collectivite_id)
    return (
        keys.certificate(config, collectivite_id) is not None
        and {one.name for one in folder.iterdir()} <= _KEPT
        and not open_place(config).has(collectivite_id)
        and next(iter(open_objects(config).list(collectivite_id)), None) is None
    )


def _drop_schema(config: Config, collectivite_id: str) -> None:
    url = config.drive_database
    if not url.startswith(("postgresql:", "postgres:")):
        return
    import psycopg  # noqa: PLC0415 - only here, and it takes long to import
    from psycopg import sql  # noqa: PLC0415

    try:
        with closing(psycopg.connect(url, autocommit=True)) as connection:
            connection.execute(
                sql.SQL("DROP SCHEMA IF EXISTS {} CASCADE").format(sql.Identifier(collectivite_id))
            )
    except psycopg.Error:
        raise Unavailable("The drive's database") from None


def _forget_damages(config: Config, collectivite_id: str) -> None:
    """The report names files."""
    before = upkeep.read_report(config).damages
    after = tuple(one for one in before if one.collectivite_id != collectivite_id)
    if after != before:
        json_file.write(upkeep.report_path(config), upkeep.Report(after))


def _folder(config: Config, collectivite_id: str) -> Path:
    return config.state / "drive" / collectivite_id
