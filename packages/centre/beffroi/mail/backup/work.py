"""What the process backup does: back up, check, preview, restore, undo, erase. One thing at a time.

Process: backup (root).
Hostile: the Python processes that ask, were one taken over: they may put mails of a mailbox back into that mailbox and
         take them away again, and take away a mailbox that they closed and whose key they destroyed; what a mail says,
         who sent it, and the store itself are told to nobody.
Fails:   each error is one sentence; Busy while something else is done.
Source:  docs/decisions/0047-backup-of-mail.md.
"""

from __future__ import annotations

import json
import os
import random
import re
import secrets
import shutil
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from beffroi.lib import clock, durable
from beffroi.lib.config import Config
from beffroi.lib.errors import BeffroiError, Conflict, Invalid, NotFound
from beffroi.mail.backup import hands, restoring, staging, told
from beffroi.mail.backup.database.keeping import Databases
from beffroi.mail.backup.restoring import Box, Letter, Plan, Wanted
from beffroi.mail.backup.store import NotInBackup, Snapshot, Store, StoreFailed, root
from beffroi.mail.engines import layout
from beffroi.mail.projections import CLOSED_NAME

Answer = dict[str, Any]
Tell = Callable[[Answer], None]
WEEKLY_SHARE = 8
"""Each week an eighth of the store is read: all of it in two months."""
COMPARED = 200
_RESTORE = re.compile(r"rst_[0-9A-Za-z]{1,40}")
_MAILBOX = re.compile(r"[0-9A-Za-z_]{1,60}")
_FOLDER = re.compile(r"(?:Restauré le [0-9A-Za-zÀ-ÿ -]{1,60})?")


class Busy(Conflict):
    """A backup, a check or another restore is under way; try again when it has ended."""

    code = "backup.busy"


class Work:
    def __init__(self, config: Config) -> None:
        self.config = config
        self.store = Store(config)
        self.databases = Databases(config)
        self._one = threading.Lock()
        self._scratch = staging.work(config) / "scratch"
        self._records = staging.work(config) / "restored"

    def prepare(self) -> None:
        """As root, once: directories; what a killed run left goes."""
        staging.prepare(self.config)
        for left in self._scratch.iterdir():
            shutil.rmtree(left, ignore_errors=True)
        layout.directory(self._records, 0o700, layout.Owner(os.getuid(), os.getgid()))
        if not told.read(self.config).since:
            told.changed(self.config, since=clock.epoch_s())

    @contextmanager
    def _alone(self) -> Iterator[None]:
        if not self._one.acquire(blocking=False):
            raise Busy
        try:
            yield
        finally:
            self._one.release()

    # -- backup and check --------------------------------------------------------------------------------------

    def back_up(self) -> Answer:
        """One more snapshot of all mailboxes. Errors: Busy, StoreFull, StoreFailed, MailboxesUnusable."""
        with self._alone():
            begun = time.monotonic()
            try:
                self.store.prepare()
                done, unsteady = hands.run(self.config, "stage")
                made = self.store.save(staging.stage(self.config), keep_days=self.config.backup_keep_days)
                self._keep_rows()
            except BeffroiError as error:
                told.changed(self.config, failure=str(error)[:500])
                raise
            now = told.changed(
                self.config,
                backup_at=int(made.at.timestamp()),
                mailboxes=done,
                size_bytes=made.size_bytes,
                added_bytes=made.added_bytes,
                store_bytes=self.store.size_bytes(),
                took_s=round(time.monotonic() - begun),
                snapshots=len(self.store.snapshots()),
                unsteady=list(unsteady)[: told.MAX_NAMED],
                failure="",
            )
            return {"mailboxes": now.mailboxes, "size_bytes": now.size_bytes, "added_bytes": now.added_bytes,
                    "unsteady": list(now.unsteady)}  # fmt: skip

    def _keep_rows(self) -> None:
        """The rows of the mailboxes beside the store, as they are today and never as they were: a key that was
        destroyed must not lie in an older backup, nor in what the last one of the database left beside it."""
        source = self.config.state / "backup-rows" / "rows.json"
        try:
            descriptor = os.open(source, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
        except OSError:
            return
        with os.fdopen(descriptor, "rb") as file:
            text = file.read()
        durable.write(root(self.config) / "rows.json", (text,), mode=0o600)
        try:
            self.databases.forget_keys(json.loads(text))
        except (ValueError, KeyError, TypeError, AttributeError):
            raise StoreFailed(self.store.path, "rows.json cannot be read") from None

    def check(self, *, full: bool) -> Answer:
        """Read the store (a share of it each week, or all), bring one mailbox back and compare.

        Errors: Busy, StoreFailed.
        """
        with self._alone():
            found = self.store.check(share=1 if full else WEEKLY_SHARE)
            why, compared = "", 0
            if found.whole:
                try:
                    compared = self._compare_one()
                except BeffroiError as error:
                    why = str(error)[:500]
            elif not found.damaged:
                why = "restic check finds errors in its index"
            told.changed(
                self.config,
                checked_at=clock.epoch_s(),
                damaged=found.damaged[: told.MAX_NAMED],
                check_failure=why,
            )
            return {"whole": found.whole and not why, "damaged": list(found.damaged), "why": why,
                    "compared": compared}  # fmt: skip

    def _compare_one(self) -> int:
        """Bring back a mailbox by chance; its mails that are still there must be the same, byte for byte."""
        latest = self.store.snapshots()[-1:]
        known = self._known()
        if not latest or not known:
            return 0
        mailbox_id = random.choice(sorted(known))  # noqa: S311 - a sample, no secret
        try:
            with self._former(latest[0], mailbox_id) as former:
                box = Box(self.config, known[mailbox_id], former)
                then = box.texts(COMPARED, former=True)
                today = box.texts(COMPARED, former=False)
        except NotInBackup:
            return 0  # made since
        both = then.keys() & today.keys()
        if any(then[one] != today[one] for one in both):
            raise StoreFailed(self.store.path, f"a mail of {mailbox_id} is not what it was")
        return len(both)

    def back_up_database(self) -> Answer:
        """Errors: Busy, those of ``Databases``."""
        with self._alone():
            return self.databases.back_up()

    def check_database(self) -> Answer:
        """Errors: Busy, those of ``Databases``."""
        with self._alone():
            return self.databases.check()

    def list(self) -> Answer:
        rows = self.store.snapshots()
        return {"snapshots": [{"id": one.id[:8], "at_s": int(one.at.timestamp()), "size_bytes": one.size_bytes,
                               "added_bytes": one.added_bytes} for one in rows]}  # fmt: skip

    # -- restore -----------------------------------------------------------------------------------------------

    def restore(self, asked: Answer, tell: Tell) -> Answer:
        """Preview, or put back. Counts and names of folders; of private folders, only how much was left out.

        Errors: Busy, Invalid, NotFound, NoSuchFolder, NotInBackup, EngineRefused, StoreFailed, MailboxesUnusable.
        """
        with self._alone():
            mailbox_id, address = self._mailbox(asked)
            wanted = Wanted(
                str(asked.get("folder", "")), restoring.parse(str(asked.get("search", ""))),
                str(asked.get("message_id", "")), bool(asked.get("owner")),
            )  # fmt: skip
            folder, at = str(asked.get("into", "")), datetime.fromtimestamp(int(asked["at_s"]), UTC)
            if not _FOLDER.fullmatch(folder):
                raise Invalid("folder to restore into")
            snapshot = self._as_of(at)
            home = layout.Paths(self.config.state).mailboxes / mailbox_id
            with self._former(snapshot, mailbox_id) as former:
                box = Box(self.config, address, former)
                if not hands.has_mails(home):
                    return self._whole(asked, box, mailbox_id, former, snapshot)
                plan = box.plan(wanted)
                answer = _answer(plan, snapshot)
                if asked.get("preview") or not plan.missing:
                    return answer
                self._remember(asked, address, folder, plan)
                total = len(plan.missing)
                box.put_back(plan.missing, folder, lambda done: tell({"done": done, "total": total}))
                return answer | {
                    "restored": total,
                    "ours": [x.beffroi_id for x in plan.missing if x.beffroi_id],
                }

    def _whole(self, asked: Answer, box: Box, mailbox_id: str, former: Path, snapshot: Snapshot) -> Answer:
        """The mailbox is gone from the disk: it comes back as it was, everything in its place."""
        letters = box.former()
        answer = {"at_s": int(snapshot.at.timestamp()), "whole": True, "missing": len(letters), "present": 0,
                  "private": 0, "folders": {}}  # fmt: skip
        if asked.get("preview"):
            return answer
        box.put_out()
        hands.run(self.config, "place", mailbox_id, str(former))
        return answer | {"restored": len(letters), "ours": [x.beffroi_id for x in letters if x.beffroi_id]}

    def undo(self, asked: Answer) -> Answer:
        """Take away what a restore brought, where it still lies. Errors: Busy, NotFound, EngineRefused."""
        with self._alone():
            record = self._record(asked)
            try:
                known = json.loads(record.read_bytes())
            except (OSError, ValueError):
                raise NotFound("restore that can be undone") from None
            box = Box(self.config, known["address"], self._scratch)
            removed = box.take_away(known["guids"], known["folders"])
            record.unlink(missing_ok=True)
            return {"removed": removed}

    def erase(self, asked: Answer) -> Answer:
        """Take away the files of a mailbox that Dovecot does not know, and its picture; what snapshots hold of it opens
        with no key any more. Given again, it goes on. Errors: Busy, Invalid, Conflict, MailboxesUnusable,
        StoreFull, StoreFailed."""
        with self._alone():
            mailbox_id = str(asked.get("mailbox_id", ""))
            if not _MAILBOX.fullmatch(mailbox_id):
                raise Invalid("mailbox")
            if mailbox_id in self._known() or self._has_key(mailbox_id):
                raise Conflict("this mailbox is open, or has a key")
            self.store.prepare()
            removed = hands.run(self.config, "erase", mailbox_id)[0]
            self._keep_rows()
            return {"removed": removed}

    def forget_keys(self) -> Answer:
        """What the rows of now call destroyed lies beside no snapshot any more. Errors: Busy, StoreFailed."""
        with self._alone():
            self._keep_rows()
        return {}

    def _has_key(self, mailbox_id: str) -> bool:
        """Whether the rows of today would still open it: then nothing of it is taken away."""
        try:
            rows = json.loads((self.config.state / "backup-rows" / "rows.json").read_bytes())["mail_mailbox"]
        except FileNotFoundError:
            return False  # a centre that was not prepared
        return any(one["id"] == mailbox_id and one["crypt_key"] for one in rows)

    def forget_old(self) -> None:
        """What restores brought is told apart for as long as a daily backup lasts. Errors: StoreFailed."""
        till_s = self.store.counted_to_s()
        for one in self._records.iterdir():
            if till_s - one.stat().st_mtime > self.config.backup_keep_days * 86400:
                one.unlink(missing_ok=True)

    def _remember(self, asked: Answer, address: str, folder: str, plan: Plan) -> None:
        """Before anything is copied; a run that goes on after a kill adds to it."""
        record = self._record(asked)
        try:
            before = json.loads(record.read_bytes())
        except (OSError, ValueError):
            before = {"guids": [], "folders": []}
        folders = {_target(folder, one) for one in plan.missing}
        known = {
            "address": address,
            "guids": sorted({*before["guids"], *(one.guid for one in plan.missing)}),
            "folders": sorted({*before["folders"], *folders}),
        }
        durable.write(record, (json.dumps(known).encode(),), mode=0o600)

    def _record(self, asked: Answer) -> Path:
        restore_id = str(asked.get("restore_id", ""))
        if not _RESTORE.fullmatch(restore_id):
            raise Invalid("identifier of the restore")
        return self._records / f"{restore_id}.json"

    def _as_of(self, at: datetime) -> Snapshot:
        before = [one for one in self.store.snapshots() if one.at <= at]
        if not before:
            raise NotInBackup
        return before[-1]

    @contextmanager
    def _former(self, snapshot: Snapshot, mailbox_id: str) -> Iterator[Path]:
        """The mailbox as of this snapshot, in a directory of its own that Dovecot may use; gone afterwards."""
        place = self._scratch / secrets.token_hex(8)
        place.mkdir(mode=0o700)
        try:
            # Root's alone until all of it is there: nobody can put a link in the way of what restic writes.
            self.store.bring(snapshot, mailbox_id, place / mailbox_id)
            if os.getuid() == 0:
                for folder, names, files in os.walk(place):
                    for name in (*names, *files):
                        os.chown(Path(folder) / name, layout.MAIL_UID, layout.MAIL_UID, follow_symlinks=False)
                os.chown(place, layout.MAIL_UID, layout.MAIL_UID)
            yield place / mailbox_id
        finally:
            shutil.rmtree(place, ignore_errors=True)

    def _mailbox(self, asked: Answer) -> tuple[str, str]:
        mailbox_id = str(asked.get("mailbox_id", ""))
        address = self._known().get(mailbox_id) if _MAILBOX.fullmatch(mailbox_id) else None
        if address is None:
            raise NotFound("open mailbox")
        return mailbox_id, address

    def _known(self) -> dict[str, str]:
        """Mailboxes that Dovecot opens: identifier -> address."""
        auth = layout.Paths(self.config.state).auth
        connection = sqlite3.connect(f"file:{auth}?mode=ro", uri=True, timeout=10)
        try:
            rows = connection.execute("SELECT id, address FROM mailbox").fetchall()
            # A closed one that a job has open takes nothing back.
            return {key: address for key, address in rows if not address.endswith(CLOSED_NAME)}
        finally:
            connection.close()


def _answer(plan: Plan, snapshot: Snapshot) -> Answer:
    days = [one.received_s for one in plan.missing]
    return {
        "at_s": int(snapshot.at.timestamp()),
        "missing": len(plan.missing),
        "present": plan.present,
        "private": plan.private,
        "folders": plan.folders,
        "first_s": min(days, default=0),
        "last_s": max(days, default=0),
    }


def _target(folder: str, letter: Letter) -> str:
    return f"{folder}/{letter.folder}" if folder else letter.folder
