"""Backups of the centre's database: made, listed, read again, brought back. One restic repository with the mailboxes'.

Process: backup (root) for all but a restore, which is a person's command, as root, while the centre stands still. What
         touches the database is done as the Python user (``hands``).
Hostile: a Python process that was taken over could change what is backed up from now on; snapshots of before it cannot.
Fails:   each error is one sentence; what was backed up stays.
Source:  docs/decisions/0135-backup-of-the-database.md.
"""

from __future__ import annotations

import json
import os
import stat
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import IO, Any

import msgspec
from beffroi_protocol.errors import UNDECODABLE

from beffroi.core.audit import heads
from beffroi.core.audit.heads import Head
from beffroi.lib import clock, durable, json_file
from beffroi.lib.config import Config
from beffroi.lib.errors import BeffroiError
from beffroi.mail.backup import hands as children
from beffroi.mail.backup import told
from beffroi.mail.backup.database import form, hands
from beffroi.mail.backup.database.form import About, Proved, Today
from beffroi.mail.backup.database.tables import KEYS, SHOWN
from beffroi.mail.backup.store import Snapshot, Store, root
from beffroi.mail.engines import layout

HOST = "beffroi-database"
Answer = dict[str, Any]


class DatabaseFailed(BeffroiError):
    """{}"""

    code = "backup.database"


class KeysMissing(BeffroiError):
    """{} is not there: it holds the keys of the mailboxes, which are in no backup, and without it none would open.
    Nothing was changed. Next: put it there; where it is lost for good, a file that says {{}} does"""

    code = "backup.database_keys_missing"


class NoBackup(BeffroiError):
    """No backup holds the database as of that moment. Next: ./beffroi database backup list"""

    code = "backup.database_absent"
    http_status = 404


class Databases:
    def __init__(self, config: Config) -> None:
        self._config = config
        self.store = Store(config, host=HOST)

    def back_up(self) -> Answer:
        """One more snapshot. Errors: StoreFull, StoreFailed, DatabaseFailed."""
        begun = time.monotonic()
        try:
            self.store.prepare()
            about = msgspec.json.decode(self._run("take"), type=About)
            # Before the snapshot: none is without the keys of its mailboxes, whenever this is cut.
            self._keep_today()
            tags = [f"{name}={about.counts.get(name, 0)}" for name in SHOWN]
            if about.audit_position:
                tags.append(f"audit={about.audit_position}:{about.audit_hash}")
            with self._handed_over(form.PICTURE) as picture:
                made = self.store.save_stream(picture, keep_days=self._config.backup_keep_days, tags=tags)
            heads.note(self._config, Head(about.at_s, about.audit_position, about.audit_hash))
            self._run("forget")
        except (BeffroiError, OSError) as error:
            told.changed_database(self._config, failure=str(error)[:500])
            raise
        now = told.changed_database(
            self._config,
            backup_at=int(made.at.timestamp()),
            size_bytes=made.size_bytes,
            added_bytes=made.added_bytes,
            took_s=round(time.monotonic() - begun),
            people=about.counts.get("person", 0),
            snapshots=len(self.store.snapshots()),
            failure="",
        )
        return {"size_bytes": now.size_bytes, "added_bytes": now.added_bytes, "people": now.people}

    @contextmanager
    def _handed_over(self, name: str) -> Iterator[IO[bytes]]:
        """A file that the Python user made, for root: no link is followed, and what is somebody else's is none. Gone
        afterwards. Errors: DatabaseFailed."""
        path = hands.folder(self._config) / name
        try:
            file = os.fdopen(os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK), "rb")
        except OSError as error:
            raise DatabaseFailed(f"{name}: {error.strerror}") from None
        with file:
            found = os.fstat(file.fileno())
            if not stat.S_ISREG(found.st_mode) or found.st_uid != layout.python_owner(self._config).uid:
                raise DatabaseFailed(f"{name} is not the file that was made")
            try:
                yield file
            finally:
                path.unlink(missing_ok=True)

    def _keep_today(self) -> None:
        """Beside the store, as of today and never as of then: what is destroyed must not lie in an older backup."""
        with self._handed_over(form.TODAY) as file:
            try:
                now = msgspec.json.decode(file.read(), type=Today)
            except UNDECODABLE:
                raise DatabaseFailed(f"{form.TODAY} cannot be read") from None
        place = root(self._config) / form.TODAY
        before = _beside(place)
        keep_s = self._config.backup_keep_days * 86400
        till_s = self.store.counted_to_s()
        kept = form.merged(before, now, now_s=clock.epoch_s(), till_s=till_s, keep_s=keep_s)
        json_file.write(place, kept)
        settings = self._config.state / "beffroi.toml"
        if settings.exists():
            durable.write(root(self._config) / "beffroi.toml", (settings.read_bytes(),), mode=0o600)

    def forget_keys(self, tables: Mapping[str, Sequence[Mapping[str, str]]]) -> None:
        """What was destroyed since is so beside the store, too, before the next run. ``tables``: name -> rows of now,
        of which some may lack. Errors: KeyError where one is none, OSError, DatabaseFailed."""
        place = root(self._config) / form.TODAY
        kept, is_changed = _beside(place), False
        for one in KEYS:
            (column,), rows = one.columns, kept.rows.get(one.name, {})
            for row in tables.get(one.table, ()):
                if not row[column] and rows.get(row[one.key], {}).get(column):
                    rows[row[one.key]], is_changed = {column: ""}, True
        if is_changed:
            json_file.write(place, kept)

    def list(self) -> Answer:
        """Oldest first. Errors: StoreFailed."""
        return {"snapshots": [_said(one) for one in self.store.snapshots()]}

    def check(self) -> Answer:
        """Bring the newest back beside the database and read it as a restore would: the drill of each month.

        Errors: NoBackup, StoreFull, StoreFailed, DatabaseFailed.
        """
        begun = time.monotonic()
        try:
            with self.store.stream(self.as_of(None)) as picture:
                proved = msgspec.json.decode(self._run("prove", stdin=picture), type=Proved)
        except BeffroiError as error:
            told.changed_database(self._config, drilled_at=clock.epoch_s(), drill_failure=str(error)[:500])
            raise
        now = told.changed_database(
            self._config,
            drilled_at=clock.epoch_s(),
            drill_took_s=round(time.monotonic() - begun),
            drill_rows=sum(proved.about.counts.values()),
            drill_loaded=proved.is_loaded,
            drill_failure="",
        )
        return {
            "at_s": proved.about.at_s,
            "rows": now.drill_rows,
            "took_s": now.drill_took_s,
            "loaded": now.drill_loaded,
        }

    def as_of(self, at: datetime | None) -> Snapshot:
        """The newest, or the newest up to a moment. Errors: NoBackup, StoreFailed."""
        fitting = [one for one in self.store.snapshots() if at is None or one.at <= at]
        if not fitting:
            raise NoBackup
        return fitting[-1]

    def restore(self, snapshot: Snapshot) -> str:
        """Put it in the place of the database; return the name of the one before. Errors: KeysMissing, StoreFailed,
        DatabaseFailed: then nothing was changed."""
        event = {"as_of_s": int(snapshot.at.timestamp()), "snapshot": snapshot.id[:8], "is_undone": False}
        beside, owner = root(self._config) / form.TODAY, layout.python_owner(self._config)
        given = hands.folder(self._config) / form.TODAY
        if not beside.exists():
            raise KeysMissing(beside)
        for name in hands.FOLDERS:  # in STATE, which is root's: of a lost disk, not even they are there
            layout.directory(self._config.state / name, 0o700, owner)
        durable.write(given, (beside.read_bytes(),), mode=0o600, owner=(owner.uid, owner.gid))
        try:
            with self.store.stream(snapshot) as picture:
                return self._replaced("load", event, stdin=picture)
        finally:
            given.unlink(missing_ok=True)

    def undo(self) -> str:
        """Errors: DatabaseFailed."""
        return self._replaced("undo", {"as_of_s": 0, "snapshot": "", "is_undone": True})

    def _replaced(
        self, verb: str, event: Mapping[str, object], *, stdin: IO[bytes] | int = subprocess.DEVNULL
    ) -> str:
        """Afterwards the heads are of another database. Not before: whatever cuts this off, a kill too, leaves the
        witnesses of the one that is still in place."""
        replaced = self._run(verb, json.dumps(event), stdin=stdin)
        heads.forget(self._config)
        return replaced

    def _run(self, *words: str, stdin: IO[bytes] | int = subprocess.DEVNULL) -> str:
        owner = layout.python_owner(self._config)
        try:
            return children.run_as(owner, self._config, hands.__name__, *words, stdin=stdin)
        except children.ChildFailed as error:
            raise DatabaseFailed(error.said) from None


def _beside(place: Path) -> Today:
    """Errors: OSError, DatabaseFailed: it may hold the only keys of what lies in backups, and is not written over."""
    try:
        return msgspec.json.decode(place.read_bytes(), type=Today)
    except FileNotFoundError:
        return Today()
    except UNDECODABLE:
        raise DatabaseFailed(
            f"{place} cannot be read: it holds the keys of mailboxes, and was not written over. Next: put a copy of it"
            " there; where there is none, move it away"
        ) from None


def _said(snapshot: Snapshot) -> Answer:
    counts = dict(one.split("=", 1) for one in snapshot.tags if "=" in one)
    return {
        "id": snapshot.id[:8],
        "at_s": int(snapshot.at.timestamp()),
        "size_bytes": snapshot.size_bytes,
        "added_bytes": snapshot.added_bytes,
        "audit_head": counts.get("audit", "").partition(":")[2],
        "counts": {name: int(number) for name, number in counts.items() if number.isdigit()},
    }
