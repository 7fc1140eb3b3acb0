"""Verifications of sealed folders: every content read again in portions, then compared with what was signed.

Rule:    a folder is closed while it is sealed, so that what one portion proved stays true; how far it came and what
         was damaged stand in the metadata: a kill forgets neither. What a verification finds is an alarm
         (``seal_alarms``) until it is dealt with.
Process: drive-keeper.
Fails:   closed: what cannot be read is damaged; objects that do not answer end the step, which is taken again.
"""

from __future__ import annotations

import hashlib
import logging
import threading
from collections.abc import Callable, Mapping
from functools import partial

import msgspec

from beffroi.drive.archives import manifest, names, report
from beffroi.drive.seals import authority, contents, files, key
from beffroi.drive.store import keys, seal_alarms, seal_checks, seals
from beffroi.drive.store.database import Database
from beffroi.drive.store.seal_checks import Check
from beffroi.drive.store.stock import Stock
from beffroi.drive.store.writing import Writing
from beffroi.drive.telling import Tell
from beffroi.lib import clock
from beffroi.lib.config import Config

log = logging.getLogger("beffroi.drive.seals")
EVERY_S = 91 * 86400
"""A seal that nobody had verified for a quarter is verified."""
MOST_DUE = 10
"""Of a collectivité at a time."""


class Verifier:
    """``stock_of``: the objects of a collectivité."""

    def __init__(
        self, config: Config, stock_of: Callable[[str], Stock], tell: Tell, stopped: threading.Event
    ) -> None:
        self._config, self._stock_of, self._tell, self._stopped = config, stock_of, tell, stopped

    def ask_for_due(self, database: Database) -> None:
        now_s = clock.epoch_s()
        with database.reading() as reading:
            due = seal_checks.due(reading, before_s=now_s - EVERY_S, now_s=now_s, most=MOST_DUE)
        for seal_id in due:
            database.write(
                partial(seal_checks.ask, seal_id=seal_id, person_id=seal_checks.NOBODY, now_s=now_s)
            )

    def step(self, collectivite_id: str, database: Database, check: Check) -> bool:
        """One portion; True when nothing of it is left. Errors: Stopped; those of the metadata, the keys, the objects,
        the outbox."""
        if not check.done_s:
            with database.reading() as reading:
                stands = seals.find(reading, check.seal).state == "sealed"
            if not stands:
                database.write(lambda w: seal_checks.drop(w, check.id))
                return True
            if self._read(collectivite_id, database, check):
                return False
            done = self._conclude(collectivite_id, database, check)
            if done is None:
                return False  # the next step drops it
            check = done
        found = unpacked(check.report)
        said: dict[str, str | int] = {
            "seal_id": check.seal,
            "person_id": check.person_id,
            "intact": int(found.intact),
            "absent": len(found.absent),
            "changed": len(found.changed),
            "added": len(found.added),
        }
        self._tell("drive:seal_checked", collectivite_id, said)
        database.write(lambda w: seal_checks.told(w, check.id, now_s=clock.epoch_s()))
        return True

    def _read(self, collectivite_id: str, database: Database, check: Check) -> bool:
        """Read the next portion; False when there is none."""
        if self._stopped.is_set():
            raise contents.Stopped
        with database.reading() as reading:
            seal = seals.find(reading, check.seal)
            before = seal_checks.reached(reading, check.id).reached
            left = [one for one in files.listed(reading, seal.node) if one.node.id > before]
        some = next(contents.portions(left), [])
        if not some:
            return False
        stock = self._stock_of(collectivite_id)
        damaged = [
            names.escaped(one.path)
            for one in some
            if not contents.is_sound(one, database, stock, self._stopped)
        ]
        database.write(
            lambda w: seal_checks.read_to(
                w,
                check.id,
                read_up_to=some[-1].node.id,
                size_bytes=sum(one.node.size_bytes for one in some),
                damaged=damaged,
            )
        )
        return True

    def _conclude(self, collectivite_id: str, database: Database, check: Check) -> Check | None:
        """None for a seal that has ended since: what changes in the folder then is no damage."""
        stock = self._stock_of(collectivite_id)
        with database.reading() as reading:
            seal = seals.find(reading, check.seal)
            if seal.state != "sealed":
                return None
            sealed = of_texts(seals.texts(reading, seal.id))
            found = files.listed(reading, seal.node)
            damaged = frozenset(seal_checks.reached(reading, check.id).damaged)
        public = key.public_bytes(key.signing_key(keys.make(self._config, collectivite_id)))
        done = report.verify(
            sealed,
            (files.entry(one, database, stock) for one in found),
            keys=[public],
            damaged=damaged,
            authorities=authority.roots(self._config),
        )
        if not done.intact:
            log.error("%s: %s is not intact", collectivite_id, seal.id)
        packed, now_s = msgspec.json.encode(done), clock.epoch_s()

        def change(writing: Writing) -> None:
            seal_checks.finish(writing, check.id, packed, now_s=now_s)
            seal_alarms.note(writing, seal.id, digest(done), now_s=now_s)

        database.write(change)
        return check._replace(report=packed, done_s=now_s)


def digest(found: report.Report) -> str:
    """Of what is damaged; "" for nothing. The same damage has the same one."""
    if found.intact:
        return ""
    facts = (
        found.whole, found.signed, found.listed, found.absent, found.changed, found.added, found.stamp == "invalid"
    )  # fmt: skip
    return hashlib.sha256(msgspec.json.encode(facts)).hexdigest()


def of_texts(texts: Mapping[str, bytes]) -> manifest.Sealed:
    """The seal as the archives know it. ``texts``: ``seals.texts`` of one that was signed."""
    return manifest.Sealed(
        texts.get(manifest.STATEMENT, b""),
        texts.get(manifest.FILES, b""),
        texts.get(manifest.SIGNATURE, b""),
        texts.get(manifest.STAMP),
    )


def unpacked(packed: bytes) -> report.Report:
    return msgspec.json.decode(packed, type=report.Report)
