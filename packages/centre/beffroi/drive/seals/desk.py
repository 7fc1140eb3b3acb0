"""Carries out what pages ask of seals: reads every content of a folder and signs, has it stamped, verifies it again;
and verifies by itself what nobody had verified for long.

Rule:    what there is to do stands in the metadata, and how far it came, portion by portion (``contents``): after a
         crash it goes on there. A folder is closed before its first file is read, so that what was read stays true.
         Who asks is heard by a datagram, as ``web.sync.push`` hears of changes; a lost one waits SWEEP_S at most.
         What is verified by itself is one portion at a time, while nobody asks for anything.
Process: drive-keeper, one thread; one folder after the other.
Fails:   closed: a file that is not what it was ends the sealing, is named, and the folder is free again. An authority
         that does not answer keeps no seal waiting: the stamp follows.
Source:  docs/internals/drive-seals.md.
"""

from __future__ import annotations

import contextlib
import logging
import socket
import time
from collections import Counter, deque
from collections.abc import Callable, Iterator, Sequence
from functools import partial

from beffroi.drive.archives import manifest, names
from beffroi.drive.following import Rested
from beffroi.drive.seals import authority, contents, files, key, overview
from beffroi.drive.seals.overview import Overview, Sums
from beffroi.drive.seals.verification import Verifier
from beffroi.drive.store import keys, seal_checks, seals
from beffroi.drive.store.commune import Communes
from beffroi.drive.store.database import Database
from beffroi.drive.store.seal_checks import Check
from beffroi.drive.store.seals import NO_END, Seal
from beffroi.drive.store.stock import Stock
from beffroi.drive.telling import Tell
from beffroi.drive.web.sync import push
from beffroi.drive.working import Worker
from beffroi.lib import clock
from beffroi.lib.config import Config
from beffroi.lib.errors import BeffroiError
from beffroi.lib.ids import is_id

log = logging.getLogger("beffroi.drive.seals")
SOCKET = "seals.sock"
SWEEP_S, AGAIN_S = 600.0, 60.0
"""Between two looks at all; until the next one after something failed: a person waits for what they asked."""
RETRY_S = 900
"""Between two questions to an authority."""
MOST_NAMED = 1000
PAUSE_S, DUE_PAUSE_S = 0.05, 1.0
"""Between two steps: others have the disk; and between two of what nobody asked for."""


class Desk(Worker):
    """``stock_of``: the objects of a collectivité."""

    def __init__(
        self, config: Config, communes: Communes, stock_of: Callable[[str], Stock], tell: Tell
    ) -> None:
        super().__init__("drive-seals")
        self._config, self._communes, self._stock_of, self._tell = config, communes, stock_of, tell
        self._rested = Rested(communes)
        self._verifier = Verifier(config, stock_of, tell, self._stopped)
        self._overview = Overview(config)
        self._left: deque[str] = deque()
        """Collectivités with a verification that was due, and is under way."""
        self._failed: Counter[str] = Counter()
        """How often one that was due failed: others come before it."""
        self._path = push.directory(config.run) / SOCKET
        self._ear: socket.socket | None = None

    def start(self) -> None:
        self._path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._path.unlink(missing_ok=True)
        self._ear = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._ear.bind(str(self._path))
        super().start()

    def stop(self) -> None:
        self._stopped.set()
        if self._ear is None:
            return
        push.tell(self._config.run, "")
        super().stop()
        self._ear.close()
        self._path.unlink(missing_ok=True)

    # -- the thread --------------------------------------------------------------------------------------------

    def _run(self) -> None:
        sweep_at_s, due = time.monotonic(), [""]
        while not self._stopped.is_set():
            sweeps = time.monotonic() >= sweep_at_s  # what was said while we worked may be lost
            if sweeps:
                sweep_at_s, due = time.monotonic() + SWEEP_S, self._rested.others()
                self._overview.keep(self._communes.ids())
            for collectivite_id in due:
                try:
                    state = self._communes.state(collectivite_id)
                    if sweeps:
                        self._verifier.ask_for_due(self._communes.metadata(collectivite_id))
                    if not self.work(collectivite_id):
                        self._rested.keep(collectivite_id, state)
                except contents.Stopped:
                    return
                except BeffroiError as error:
                    log.error("%s waits for the next round: %s", collectivite_id, error.code)
                    sweep_at_s = min(sweep_at_s, time.monotonic() + AGAIN_S)
                except Exception:
                    # The outermost place of the thread: the others are looked after all the same.
                    log.exception("%s waits for the next round", collectivite_id)
            wait_s = DUE_PAUSE_S if self._left else sweep_at_s - time.monotonic()
            due = self._heard(max(0.001, wait_s)) or ([self._left.popleft()] if self._left else [])

    def _heard(self, timeout_s: float) -> list[str]:
        """Whose drive changed: one at most."""
        assert self._ear is not None
        self._ear.settimeout(timeout_s)
        with contextlib.suppress(TimeoutError):
            text = self._ear.recv(64).decode("ascii", "replace")
            return [text] if is_id(text, "col") else []
        return []

    def work(self, collectivite_id: str) -> bool:
        """What people asked for in a collectivité, all of it; one portion of what is due by itself. Whether anything is
        due, waits, or is sealed there, so that it falls due without a change.

        Errors: those of the metadata, the keys, the objects, the outbox; of the last that failed, for it keeps no other
        from its turn."""
        database = self._communes.metadata(collectivite_id)
        now_s = clock.epoch_s()
        with database.reading() as reading:
            due = seals.unfinished(reading, retry_before_s=now_s - RETRY_S, now_s=now_s)
            # one that waits for its authority is due again without a change
            has_more = bool(seals.unfinished(reading, retry_before_s=1 << 62, now_s=now_s))
            checks = seal_checks.unfinished(reading)
        failures: list[BeffroiError] = []
        try:
            for one in due:
                with _kept(failures):
                    self._go_on(collectivite_id, database, one)
            self._verify(collectivite_id, database, checks, failures)
        finally:
            now = self._count(collectivite_id, database)
        if failures:
            raise failures[-1]
        return bool(has_more or checks or now.folders)

    def _verify(
        self,
        collectivite_id: str,
        database: Database,
        checks: Sequence[Check],
        failures: list[BeffroiError],
    ) -> None:
        by_nobody = [one for one in checks if one.person_id == seal_checks.NOBODY]
        for check in checks:
            with _kept(failures):
                while check not in by_nobody and not self._verifier.step(collectivite_id, database, check):
                    if self._stopped.wait(PAUSE_S):
                        raise contents.Stopped
        if by_nobody:
            one = min(by_nobody, key=lambda one: self._failed[one.id])
            self._failed[one.id] += 1
            with _kept(failures):
                is_done = self._verifier.step(collectivite_id, database, one)
                del self._failed[one.id]
                if (not is_done or by_nobody[1:]) and not failures and collectivite_id not in self._left:
                    self._left.append(collectivite_id)

    def _count(self, collectivite_id: str, database: Database) -> Sums:
        """Also after an error: what keeps verifications from their end, or stamps away, is told."""
        is_held_up = not authority.are_roots_read(self._config)
        with database.reading() as reading:
            now = overview.sums(
                reading,
                now_s=clock.epoch_s(),
                is_held_up=is_held_up,
                is_stamping=authority.is_set(self._config),
            )
        self._overview.put(collectivite_id, now)
        return now

    def _go_on(self, collectivite_id: str, database: Database, seal: Seal) -> None:
        if seal.state == "sealing":
            seal = self._seal(collectivite_id, database, seal)
        if not seal.told_s:
            self._tell_how(collectivite_id, database, seal)
        if seal.state == "sealed" and seal.stamp == "wanted" and authority.is_set(self._config):
            self._stamp(database, seal)

    # -- sealing -----------------------------------------------------------------------------------------------

    def _seal(self, collectivite_id: str, database: Database, seal: Seal) -> Seal:
        stock = self._stock_of(collectivite_id)
        with database.reading() as reading:
            found = files.listed(reading, seal.node)
        named = 0
        for some in contents.portions([one for one in found if one.node.id > seal.reached]):
            damaged = [one for one in some if not contents.is_sound(one, database, stock, self._stopped)]
            shown = damaged[: MOST_NAMED - named]
            lines = "".join(f"{names.escaped(one.path)}\n" for one in shown).encode()
            named += len(shown)
            database.write(
                partial(
                    seals.read_to,
                    seal_id=seal.id,
                    reached=some[-1].node.id,
                    files=len(some),
                    size_bytes=sum(one.node.size_bytes for one in some),
                    damaged=lines,
                )
            )
            if self._stopped.wait(PAUSE_S):
                raise contents.Stopped
        with database.reading() as reading:
            failed = seals.DAMAGED in seals.texts(reading, seal.id)
        if failed:
            log.error("%s: %s has damaged files, and was not sealed", collectivite_id, seal.id)
            database.write(lambda w: seals.fail(w, seal.id, now_s=clock.epoch_s()))
        else:
            self._sign(collectivite_id, database, stock, seal, found)
        with database.reading() as reading:
            return seals.find(reading, seal.id)

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
        made = manifest.seal((files.entry(one, database, stock) for one in found), subject, own)
        parts = {**made.parts(), manifest.PUBLIC: key.public_pem(own)}
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


@contextlib.contextmanager
def _kept(failures: list[BeffroiError]) -> Iterator[None]:
    """What fails keeps no other from its turn."""
    try:
        yield
    except BeffroiError as error:
        failures.append(error)
