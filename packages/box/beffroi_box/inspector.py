"""The inspection engine's keeper: starts Suricata, gives it the names, and ends it when it hangs.

Purpose: an engine that is dead lets everything pass (the kernel's queue-bypass); one that hangs does not, so it is
         ended half a second after its last verdict (``watchdog``) and started again after a pause that grows.
Process: ``beffroi-box inspect``, as its own user with CAP_NET_ADMIN (queue) and CAP_NET_RAW (resets), and the group
         root for one reason: the kernel's table of queues is readable by that group only. Suricata is its child and
         ends with it.
Input:   orders of the agent over a socket in the agent's directory; files of names, each line checked. Suricata
         parses what the internet sends: nothing that it answers is used but "OK".
Fails:   without the agent it goes on with its last order. Without its own place in the table of queues it starts no
         engine: none without a watchdog.
Source:  docs/internals/box.md.
"""

from __future__ import annotations

import contextlib
import hashlib
import logging
import os
import select
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import msgspec
from beffroi_protocol.errors import UNDECODABLE

from beffroi_box.inspectconf import (
    BULK,
    OWN_SETS,
    QUEUE,
    Order,
    Report,
    configuration,
    read_set,
    rules,
)
from beffroi_box.watchdog import LOOK_S, TABLE, Finding, Watchdog, labour_of, let_pass, queue_state

log = logging.getLogger("beffroi_box.inspector")

HUNG = "it hung and was ended"
"""The beginning of the trouble that is reported then."""

COMMAND_S = 10.0
"""Long, for a loaded machine: the watchdog looks at the queue meanwhile."""
START_S = 120.0
PAUSE_FIRST_S, PAUSE_LAST_S = 1.0, 300.0
LASTING_S = 60.0
"""An engine that lived so long begins again with the first pause."""
ENOUGH_MIB = 900
"""Machines sold with 1 GB show less; smaller ones inspect nothing."""
NAME_BYTES = 256
"""Memory of one listed name in Suricata, generously."""
_LAST_WORDS_BYTES = 2000


class EngineSilent(Exception):
    """Suricata does not answer."""


def memory_mib() -> int:
    return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") >> 20


def most_names(mib: int) -> int:
    """How many names of lists a machine holds: a quarter of its memory is theirs."""
    return (mib << 20) // 4 // NAME_BYTES


class CommandSocket:
    """Suricata's unix socket. ``meanwhile`` is called while it is waited for. Errors of every call: EngineSilent."""

    def __init__(self, path: Path, meanwhile: Callable[[], None]) -> None:
        self._meanwhile = meanwhile
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self._socket.settimeout(LOOK_S)
        try:
            self._socket.connect(str(path))
        except OSError as error:
            self._socket.close()
            raise EngineSilent(type(error).__name__) from None
        if self._ask({"version": "0.2"}) != "OK":
            raise EngineSilent("version")

    def change(self, verb: str, name: str, encoded: bytes) -> None:
        """``verb``: add or remove. What is there already, or gone already, is no error."""
        arguments = {"setname": name, "settype": "string", "datavalue": encoded.decode("ascii")}
        self._ask({"command": f"dataset-{verb}", "arguments": arguments})

    def _ask(self, question: object) -> str:
        end = time.monotonic() + COMMAND_S
        self._meanwhile()
        try:
            self._socket.sendall(msgspec.json.encode(question) + b"\n")
            answer = b""
            while len(answer) < 1 << 16:
                try:
                    if not (piece := self._socket.recv(4096)):
                        break
                except TimeoutError:
                    if time.monotonic() > end:
                        raise
                    self._meanwhile()
                    continue
                answer += piece
                with contextlib.suppress(msgspec.MsgspecError):
                    return msgspec.json.decode(answer, type=_Answer).verdict
        except OSError as error:
            raise EngineSilent(type(error).__name__) from None
        raise EngineSilent("closed")

    def close(self) -> None:
        self._socket.close()


class _Answer(msgspec.Struct):
    verdict: str = msgspec.field(name="return", default="")


@dataclass
class Engine:
    """One life of Suricata."""

    process: subprocess.Popen[bytes]
    bulk_digest: str
    loaded: dict[str, set[bytes]]
    started: float = field(default_factory=time.monotonic)
    watchdog: Watchdog = field(default_factory=Watchdog)
    looked: float = 0.0
    starves: bool = False
    commands: CommandSocket | None = None
    words: bytes = b""

    def guard(self) -> None:
        """Look at the queue, at most every ``LOOK_S``. Errors: EngineSilent (it hangs), OSError (it is gone)."""
        if (now := time.monotonic()) - self.looked < LOOK_S:
            return
        self.looked = now
        queue = queue_state(TABLE.read_text("ascii"), QUEUE)
        match self.watchdog.judge(queue, lambda: labour_of(self.process.pid), monotonic=now):
            case Finding.HUNG:
                raise EngineSilent("packets wait")
            case Finding.STARVED:
                if not self.starves:
                    log.warning("inspection: the engine gets no processor; what waits passes")
                self.starves = True
                let_pass(self.process.pid, QUEUE)
            case Finding.FINE:
                self.starves = False

    def listen(self) -> None:
        """Keep the end of what it says: why it ended."""
        assert self.process.stdout is not None
        with contextlib.suppress(BlockingIOError):
            while piece := os.read(self.process.stdout.fileno(), 65536):
                self.words = (self.words + piece)[-_LAST_WORDS_BYTES:]

    def last_words(self) -> str:
        lines = self.words.decode("ascii", "replace").split("\n")
        return next((line.strip()[:120] for line in lines if line.startswith("E: ")), "no reason given")

    def end(self) -> None:
        let_pass(self.process.pid, QUEUE, for_good=True)
        self.process.kill()
        self.process.wait()
        self.listen()
        if self.commands is not None:
            self.commands.close()
        if self.process.stdout is not None:
            self.process.stdout.close()


class Inspector:
    """``directory``: its own, writable; ``agent``: the socket at which the agent listens."""

    def __init__(self, agent: Path, directory: Path) -> None:
        self._agent = agent
        self._directory = directory
        self._peer: socket.socket | None = None
        self._order = Order()
        self._report = Report()
        self._told: Report | None = None
        self._engine: Engine | None = None
        self._pause_s = PAUSE_FIRST_S
        self._not_before = 0.0

    # -- life --------------------------------------------------------------------------------------------

    def run(self) -> None:
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, _leave)
        try:
            while True:
                self.turn()
        except SystemExit:
            pass
        finally:
            self._end()

    def turn(self) -> None:
        """One look: orders, then the engine."""
        changed = self._hear()
        if not self._order.wanted:
            self._end()
            self._report = Report()
        elif self._engine is None:
            self._start()
        else:
            self._watch(self._engine, changed=changed)
        self._tell()

    def _hear(self) -> bool:
        """Wait for a word of the agent, at most ``LOOK_S``; return whether one came."""
        if self._peer is None:
            peer = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
            try:
                peer.connect(str(self._agent))
            except OSError:
                peer.close()
                time.sleep(LOOK_S)
                return False
            peer.setblocking(False)
            self._peer, self._told = peer, None
        if not select.select([self._peer], [], [], LOOK_S)[0]:
            return False
        order = self._order
        try:
            while True:  # only the last one counts
                order = msgspec.json.decode(self._peer.recv(1 << 16), type=Order)
        except BlockingIOError:
            pass
        except (OSError, *UNDECODABLE):
            self._peer.close()  # the agent went: its last order stands
            self._peer = None
            return False
        if msgspec.structs.replace(order, turn=0) != msgspec.structs.replace(self._order, turn=0):
            self._end()
            self._pause_s, self._not_before = PAUSE_FIRST_S, 0.0
        self._order = order
        return True

    def _tell(self) -> None:
        if self._peer is None or self._report == self._told:
            return
        with contextlib.suppress(OSError):
            self._peer.send(msgspec.json.encode(self._report))
            self._told = self._report

    # -- engine ------------------------------------------------------------------------------------------

    def _start(self) -> None:
        if time.monotonic() < self._not_before:
            return
        try:
            self._engine = self._begin()
        except OSError as error:
            self._put_off(f"it could not be started: {error.strerror or type(error).__name__}")

    def _begin(self) -> Engine:
        """Errors: OSError."""
        TABLE.read_text("ascii")  # no engine without a watchdog
        damaged: list[str] = []
        loaded: dict[str, set[bytes]] = {}
        sets: dict[str, Path] = {}
        for name in OWN_SETS:
            try:
                loaded[name] = set(read_set(Path(self._order.sets[name])))
            except (ValueError, OSError):
                damaged.append(name)
                loaded[name] = set()
            # A copy: what Suricata reads is what it is later compared with.
            sets[name] = self._directory / f"{name}.lst"
            sets[name].write_bytes(b"".join(sorted(line + b"\n" for line in loaded[name])))
        sets[BULK], bulk_count, digest, trouble = self._bulk(damaged)
        (self._directory / "names.rules").write_text(rules())
        (self._directory / "suricata.yaml").write_text(
            configuration(
                sets=sets, directory=self._directory, records=Path(self._order.records), bulk=bulk_count
            )
        )
        (self._directory / "command.sock").unlink(missing_ok=True)
        argv = ["/usr/bin/setpriv", "--pdeathsig", "KILL", "--", self._order.engine]
        argv += ["-c", str(self._directory / "suricata.yaml"), "-q", str(QUEUE), "--runmode", "workers"]
        process = subprocess.Popen(
            argv,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            cwd=self._directory,
        )
        assert process.stdout is not None
        os.set_blocking(process.stdout.fileno(), False)
        self._report = Report("starting", trouble, tuple(damaged))
        return Engine(process, digest, loaded)

    def _bulk(self, damaged: list[str]) -> tuple[Path, int, str, str]:
        """Return the file of the lists' names that is loaded, how many it has, its digest, and what is wrong."""
        empty = self._directory / "empty.lst"
        empty.write_bytes(b"")
        path = Path(self._order.sets[BULK])
        if not (digest := _digest(path)):
            return empty, 0, "", ""
        try:
            count = sum(1 for _ in read_set(path))
        except (OSError, ValueError):
            damaged.append(BULK)
            return empty, 0, digest, "the names of the lists are damaged"
        if count > most_names(memory_mib()):
            return empty, 0, digest, f"{count} names of lists are too many for this machine's memory"
        return path, count, digest, ""

    def _watch(self, engine: Engine, *, changed: bool) -> None:
        engine.listen()
        if (code := engine.process.poll()) is not None:
            self._end()
            self._put_off(
                f"it ended ({code}): {engine.last_words()}", lived_s=time.monotonic() - engine.started
            )
            return
        try:
            engine.guard()
            if engine.commands is None:
                self._greet(engine)
            elif changed:
                self._follow(engine)
        except (EngineSilent, OSError) as error:
            self._end()
            self._put_off(f"{HUNG}: {error}", lived_s=time.monotonic() - engine.started)

    def _greet(self, engine: Engine) -> None:
        """It is on as soon as it answers. Errors: EngineSilent."""
        try:
            engine.commands = CommandSocket(self._directory / "command.sock", engine.guard)
        except EngineSilent:
            if time.monotonic() - engine.started > START_S:
                raise
            return
        self._follow(engine)
        if self._engine is engine:
            self._report = Report("on", self._report.trouble, self._report.damaged)
            log.info("the inspection engine is on")

    def _follow(self, engine: Engine) -> None:
        """Give the engine what changed in the files; other names of lists need a new start. Errors: EngineSilent."""
        if _digest(Path(self._order.sets[BULK])) != engine.bulk_digest:
            log.info("the names of the lists changed: the inspection engine starts anew")
            self._end()
            self._not_before = 0.0
            return
        damaged = []
        for name in OWN_SETS:
            try:
                wanted = set(read_set(Path(self._order.sets[name])))
            except (OSError, ValueError):
                damaged.append(name)
                continue
            for verb, encoded in _differences(engine.loaded[name], wanted):
                assert engine.commands is not None
                engine.commands.change(verb, name, encoded)
            engine.loaded[name] = wanted
        kept = tuple(name for name in self._report.damaged if name == BULK)
        self._report = msgspec.structs.replace(self._report, damaged=(*kept, *damaged))

    def _end(self) -> None:
        if self._engine is not None:
            self._engine.end()
            self._engine = None

    def _put_off(self, trouble: str, *, lived_s: float = 0.0) -> None:
        if lived_s > LASTING_S:
            self._pause_s = PAUSE_FIRST_S
        log.warning("inspection: %s; again in %.0f s", trouble, self._pause_s)
        self._report = Report("waiting", trouble, self._report.damaged)
        self._not_before = time.monotonic() + self._pause_s
        self._pause_s = min(PAUSE_LAST_S, self._pause_s * 2)


def _differences(loaded: set[bytes], wanted: set[bytes]) -> Iterator[tuple[str, bytes]]:
    """What has to be done to a set, by Suricata's verbs."""
    yield from (("add", encoded) for encoded in wanted - loaded)
    yield from (("remove", encoded) for encoded in loaded - wanted)


def _digest(path: Path) -> str:
    """Return "" for a file without a name, or none at all. Errors: OSError."""
    if not path.exists() or not path.stat().st_size:
        return ""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _leave(*_: object) -> None:
    raise SystemExit
