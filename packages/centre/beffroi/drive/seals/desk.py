"""Carries out what pages ask of seals: reads every content of a folder and signs, has it stamped, verifies it again.

Rule:    what there is to do stands in the metadata, and how far it came, each MOST_FILES files or MOST_BYTES: after a
         crash it goes on there. A folder is closed before its first file is read, so that what was read stays true.
         Who asks is heard by a datagram, as ``web.sync.push`` hears of changes; a lost one waits SWEEP_S at most.
Process: drive-keeper, one thread; one folder after the other.
Fails:   closed: a file that is not what it was ends the sealing, is named, and the folder is free again. An authority
         that does not answer keeps no seal waiting: the stamp follows.
Source:  docs/internals/drive-seals.md.
"""

from __future__ import annotations

import contextlib
import logging
import socket
import threading
import time
from collections.abc import Callable, Iterator, Mapping

import msgspec

from beffroi.drive.archives import manifest, names, report
from beffroi.drive.archives.entries import ContentChanged, Progress, content
from beffroi.drive.following import Rested
from beffroi.drive.seals import authority, files, key
from beffroi.drive.store import keys, seal_checks, seals
from beffroi.drive.store.commune import Communes
from beffroi.drive.store.database import Database, Writing
from beffroi.drive.store.seal_checks import Check
from beffroi.drive.store.seals import NO_END, Seal
from beffroi.drive.store.stock import Stock
from beffroi.drive.web.sync import push
from beffroi.lib import clock
from beffroi.lib.config import Config
from beffroi.lib.errors import BeffroiError
from beffroi.lib.ids import is_id

log = logging.getLogger("beffroi.drive.seals")
SOCKET = "seals.sock"
SWEEP_S = 600.0
RETRY_S = 900
"""Between two questions to an authority."""
MOST_FILES, MOST_BYTES = 200, 64 << 20
MOST_NAMED = 1000
PAUSE_S = 0.05
"""Between two steps: others have the disk."""

type Tell = Callable[[str, str, Mapping[str, str | int]], object]
"""(kind of event, collectivité, payload), to the outbox. Errors: Unavailable."""


class _Stopped(Exception):
    """The process ends; what was begun goes on when it is back."""


class Desk:
    """``stock_of``: the objects of a collectivité."""

    def __init__(
        self, config: Config, communes: Communes, stock_of: Callable[[str], Stock], tell: Tell
    ) -> None:
        self._config, self._communes, self._stock_of, self._tell = config, communes, stock_of, tell
        self._rested = Rested(communes)
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._run, name="drive-seals", daemon=True)
        self._path = push.directory(config.run) / SOCKET
        self._ear: socket.socket | None = None

    def start(self) -> None:
        self._path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._path.unlink(missing_ok=True)
        self._ear = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._ear.bind(str(self._path))
        self._ear.settimeout(SWEEP_S)
        self._thread.start()

    def stop(self) -> None:
        self._stopped.set()
        if self._ear is None:
            return
        push.tell(self._config.run, "")
        self._thread.join(10)
        self._ear.close()
        self._path.unlink(missing_ok=True)

    # -- the thread --------------------------------------------------------------------------------------------

    def _run(self) -> None:
        swept_at_s, due = -SWEEP_S, [""]
        while not self._stopped.is_set():
            if time.monotonic() - swept_at_s >= SWEEP_S:  # what was said while we worked may be lost
                swept_at_s, due = time.monotonic(), self._rested.others()
            for collectivite_id in due:
                try:
                    state = self._communes.state(collectivite_id)
                    if not self.work(collectivite_id):
                        self._rested.keep(collectivite_id, state)
                except _Stopped:
                    return
                except BeffroiError as error:
                    log.error("%s waits for the next round: %s", collectivite_id, error.code)
                except (
                    Exception
                ):  # the outermost place of the thread: the others are looked after all the same
                    log.exception("%s waits for the next round", collectivite_id)
            due = self._heard()

    def _heard(self) -> list[str]:
        """Whose drive changed: one at most."""
        assert self._ear is not None
        with contextlib.suppress(TimeoutError):
            text = self._ear.recv(64).decode("ascii", "replace")
            return [text] if is_id(text, "col") else []
        return []

    def work(self, collectivite_id: str) -> bool:
        """Everything that is due in a collectivité; whether anything was, or waits.

        Errors: those of the metadata, the keys, the objects, the outbox."""
        database = self._communes.metadata(collectivite_id)
        with database.reading() as reading:
            due = seals.unfinished(reading, retry_before_s=clock.epoch_s() - RETRY_S)
            # one that waits for its authority is due again without a change
            has_more = bool(seals.unfinished(reading, retry_before_s=1 << 62))
            checks = seal_checks.unfinished(reading)
        for one in due:
            self._go_on(collectivite_id, database, one)
        for check in checks:
            self._check(collectivite_id, database, check)
        return bool(has_more or checks)

    def _go_on(self, collectivite_id: str, database: Database, seal: Seal) -> None:
        if seal.state == "sealing":
            seal = self._seal(collectivite_id, database, seal)
        if not seal.told_s:
            self._tell_how(collectivite_id, database, seal)
        if seal.state == "sealed" and seal.stamp == "wanted":
            self._stamp(database, seal)

    # -- sealing -----------------------------------------------------------------------------------------------

    def _seal(self, collectivite_id: str, database: Database, seal: Seal) -> Seal:
        stock = self._stock_of(collectivite_id)
        with database.reading() as reading:
            found = files.listed(reading, seal.node)
        named = 0
        for some in _portions([one for one in found if one.node.id > seal.reached]):
            damaged = [one for one in some if not self._is_sound(one, database, stock)]
            lines = "".join(f"{names.escaped(one.path)}\n" for one in damaged[: MOST_NAMED - named]).encode()
            named += len(damaged)
            database.write(
                lambda w, some=some, lines=lines: seals.read_to(  # type: ignore[misc]
                    w,
                    seal.id,
                    reached=some[-1].node.id,
                    files=len(some),
                    size_bytes=sum(one.node.size_bytes for one in some),
                    damaged=lines,
                )
            )
            if self._stopped.wait(PAUSE_S):
                raise _Stopped
        with database.reading() as reading:
            failed = seals.DAMAGED in seals.texts(reading, seal.id)
        if failed:
            log.error("%s: %s has damaged files, and was not sealed", collectivite_id, seal.id)
            database.write(lambda w: seals.fail(w, seal.id, now_s=clock.epoch_s()))
        else:
            self._sign(collectivite_id, database, stock, seal, found)
        with database.reading() as reading:
            return seals.find(reading, seal.id)

    def _is_sound(self, file: files.File, database: Database, stock: Stock) -> bool:
        try:
            for _ in content(files.entry(file, database, stock), 1, Progress()):
                if self._stopped.is_set():
                    raise _Stopped
        except ContentChanged:
            return False
        return True

    def _sign(
        self, collectivite_id: str, database: Database, stock: Stock, seal: Seal, found: list[files.File]
    ) -> None:
        own = key.signing_key(keys.make(self._config, collectivite_id))
        subject = manifest.Subject(
            collectivite_id,
            str(seal.node),
            seal.name,
            seal.begun_s,
            None if seal.until_s == NO_END else seal.until_s,
            seal.person_id,
            seal.rule,
            seal.audit_position,
            seal.audit_hash,
        )
        made = manifest.seal((files.entry(one, database, stock) for one in found), subject, own, read=False)
        parts = {**made.parts(), key.PUBLIC: key.public_pem(own)}
        wants: seals.Stamp = "wanted" if authority.is_set(self._config) else "none"
        database.write(lambda w: seals.finish(w, seal.id, parts, stamp=wants))

    def _tell_how(self, collectivite_id: str, database: Database, seal: Seal) -> None:
        said: dict[str, str | int] = {"seal_id": seal.id, "person_id": seal.person_id, "files": seal.files}
        if seal.state == "sealed":
            with database.reading() as reading:
                text = seals.texts(reading, seal.id)[manifest.STATEMENT]
            own = key.signing_key(keys.make(self._config, collectivite_id))
            said |= {"root": manifest.read_statement(text).root, "key": key.public_bytes(own).hex()}
        self._tell("drive:sealed" if seal.state == "sealed" else "drive:seal_failed", collectivite_id, said)
        database.write(lambda w: seals.told(w, seal.id, now_s=clock.epoch_s()))

    def _stamp(self, database: Database, seal: Seal) -> None:
        database.write(lambda w: seals.tried(w, seal.id, now_s=clock.epoch_s()))
        with database.reading() as reading:
            statement = seals.texts(reading, seal.id)[manifest.STATEMENT]
        try:
            response = authority.stamp(self._config, statement)
        except BeffroiError as error:
            log.warning("no time stamp yet for %s: %s", seal.id, error.code)
            return
        database.write(lambda w: seals.stamped(w, seal.id, manifest.STAMP, response))

    # -- verifying ---------------------------------------------------------------------------------------------

    def _check(self, collectivite_id: str, database: Database, check: Check) -> None:
        if not check.done_s:
            check = self._carry_out(collectivite_id, database, check)
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

    def _carry_out(self, collectivite_id: str, database: Database, check: Check) -> Check:
        stock = self._stock_of(collectivite_id)
        with database.reading() as reading:
            seal = seals.find(reading, check.seal)
            sealed = of_texts(seals.texts(reading, seal.id))
            found = files.listed(reading, seal.node)
        public = key.public_bytes(key.signing_key(keys.make(self._config, collectivite_id)))
        done = report.verify(
            sealed,
            (files.entry(one, database, stock) for one in found),
            keys=[public],
            read=True,
            authorities=authority.roots(self._config),
            progress=Progress(seal.size_bytes, self._progress(database, check.id)),
        )
        if not done.intact:
            log.error("%s: %s is not intact", collectivite_id, seal.id)
        packed = msgspec.json.encode(done)
        database.write(lambda w: seal_checks.finish(w, check.id, packed, now_s=clock.epoch_s()))
        return check._replace(report=packed)

    def _progress(self, database: Database, check_id: str) -> Callable[[int, int], None]:
        told_bytes, told_at_s = 0, time.monotonic()

        def tell(done_bytes: int, total_bytes: int) -> None:
            nonlocal told_bytes, told_at_s
            if self._stopped.is_set():
                raise _Stopped
            if done_bytes - told_bytes >= MOST_BYTES or time.monotonic() - told_at_s >= 1:
                told_bytes, told_at_s = done_bytes, time.monotonic()

                def change(writing: Writing) -> None:
                    seal_checks.read_to(writing, check_id, done_bytes=done_bytes)

                database.write(change)

        return tell


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


def _portions(found: list[files.File]) -> Iterator[list[files.File]]:
    some: list[files.File] = []
    for one in found:
        some.append(one)
        if len(some) >= MOST_FILES or sum(each.node.size_bytes for each in some) >= MOST_BYTES:
            yield some
            some = []
    if some:
        yield some
