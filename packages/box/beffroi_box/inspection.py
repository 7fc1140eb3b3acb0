"""The agent's side of the inspection engine: what it should know, how it is, and which names it refused.

Purpose: names in the first packets of a connection are refused like those that are asked for (``inspector`` keeps
         the engine, ``inspectrules`` hands packets over). Files first, then a word to the keeper: a restarted engine
         knows what was in force.
Process: a thread of the agent. The keeper and Suricata run as their own user and connect to two sockets here.
Input:   reports and records come from a process that parses hostile packets: bounded, decoded strictly, and a name
         counts only when it stands on a list. A record also holds addresses and, for HTTP, the path: they stay in
         memory for this one look, and the rest is thrown away.
Fails:   without the keeper nothing is inspected, everything passes, and ``state`` says why.
Source:  docs/internals/box.md.
"""

from __future__ import annotations

import contextlib
import ipaddress
import logging
import os
import select
import socket
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

import msgspec
from beffroi_protocol.errors import UNDECODABLE

from beffroi_box.config import BoxConfig
from beffroi_box.inspectconf import BULK, OWN_SETS, Order, Report, write_set
from beffroi_box.inspector import ENOUGH_MIB, HUNG, memory_mib
from beffroi_box.refusals import Question
from beffroi_box.store import user_id

log = logging.getLogger("beffroi_box.inspection")

MAX_RECORD_BYTES = 1 << 16
LOOK_S = 1.0
_UNWANTED = "off", "the policy does not ask for it"
_UNSERVED = "impossible", "the kernel hands no packets over"


class _Tls(msgspec.Struct):
    sni: str = ""


class _Http(msgspec.Struct):
    hostname: str = ""


class _Quic(msgspec.Struct):
    sni: str = ""


class _Record(msgspec.Struct):
    flow_id: int = 0
    direction: str = ""
    src_ip: str = ""
    dest_ip: str = ""
    tls: _Tls = msgspec.field(default_factory=_Tls)
    http: _Http = msgspec.field(default_factory=_Http)
    quic: _Quic = msgspec.field(default_factory=_Quic)


def question_of(record: bytes) -> tuple[int, Question] | None:
    """Return the flow and the name of one EVE record; None when there is none."""
    try:
        read = msgspec.json.decode(record, type=_Record)
        answer = read.direction == "to_client"
        machine = str(ipaddress.ip_address(read.dest_ip if answer else read.src_ip))
    except UNDECODABLE:
        return None
    name = (read.tls.sni or read.http.hostname or read.quic.sni).lower().rstrip(".")
    return (read.flow_id, Question(name, machine=machine)) if name and len(name) <= 253 else None


class Inspection:
    """Safe for several threads. ``bulk_wanted``: 0 for no file of the lists' names; grows when one has to be written
    again. ``hung_at``: when it was last ended because it hung, in epoch seconds; 0 for never since the agent began."""

    def __init__(self, config: BoxConfig) -> None:
        self._socket_path = config.run_directory / "inspection.sock"
        self._records_path = config.run_directory / "inspected.sock"
        self._owner = config.inspection_user
        self._lock = threading.Lock()
        self._names: dict[str, set[str]] = {name: set() for name in OWN_SETS}
        self._due = set(OWN_SETS)
        files = {name: str(config.run_directory / f"inspect-{name}.lst") for name in OWN_SETS}
        files[BULK] = str(inspected_file(config))
        self._order = Order(engine=config.inspection_engine, sets=files, records=str(self._records_path))
        self._peer: socket.socket | None = None
        self._report = Report()
        self._off_word, self._off = _UNWANTED
        self._trouble = ""
        self._unsaid = False
        self._last: tuple[int, str] = (0, "")
        self.bulk_wanted = 0
        self.hung_at = 0

    # -- what is wanted ----------------------------------------------------------------------------------

    def ask(self, *, wanted: bool, queue: str) -> None:
        """``queue``: how the kernel hands packets over, "" for not at all."""
        with self._lock:
            self._off_word, self._off = _UNWANTED if not wanted else self._missing()
            if not self._off and not queue:
                self._off_word, self._off = _UNSERVED
            on = not self._off
            if on != self._order.wanted:
                self._order = msgspec.structs.replace(self._order, wanted=on)
                self.bulk_wanted = int(on)
                self._due = set(OWN_SETS)
            if not on:  # what it holds may have left the lists by the time it is asked for again
                with contextlib.suppress(OSError):
                    Path(self._order.sets[BULK]).unlink(missing_ok=True)
        self._bring()

    def missing(self) -> str:
        """Return what this machine lacks for an engine, "" for nothing."""
        return self._missing()[1]

    def _missing(self) -> tuple[str, str]:
        """The word for the page, and the sentence."""
        if not Path(self._order.engine).exists():
            return "absent", "suricata is not installed"
        if self._owner_id() is None:
            return "impossible", f"there is no user {self._owner}"
        if (mib := memory_mib()) < ENOUGH_MIB:
            return "small", f"{mib} MiB of memory, {ENOUGH_MIB} are needed"
        return "", ""

    def _owner_id(self) -> int | None:
        """The user of the engine, -1 for no change of user, None where there is no such user."""
        try:
            return user_id(self._owner)
        except KeyError:
            return None

    def refuse(self, names: Iterable[str], spared: Iterable[str], watched: Iterable[str]) -> None:
        """Refuse exactly these names, the lists' apart."""
        with self._lock:
            for name, values in zip(OWN_SETS, (names, spared, watched), strict=True):
                if (new := set(values)) != self._names[name]:
                    self._names[name] = new
                    self._due.add(name)
        self._bring()

    def bulk_written(self) -> None:
        """The loader replaced the file of the lists' names."""
        with self._lock:
            self._say()

    def _bring(self) -> None:
        """Write what is due, then tell it. What fails now is tried again every second."""
        with self._lock:
            try:
                while self._order.wanted and self._due:
                    name = next(iter(self._due))
                    write_set(
                        Path(self._order.sets[name]), (one.encode() for one in sorted(self._names[name]))
                    )
                    self._due.discard(name)
                self._trouble = ""
            except OSError as error:
                self._trouble = f"the names could not be written: {error.strerror}"
            self._say()

    def _say(self) -> None:
        self._order = msgspec.structs.replace(self._order, turn=self._order.turn + 1)
        if self._peer is not None:
            try:
                self._peer.send(msgspec.json.encode(self._order))
                self._unsaid = False
            except BlockingIOError:
                self._unsaid = True
            except OSError:
                pass  # whoever went comes back and is told then

    # -- how it is ---------------------------------------------------------------------------------------

    @property
    def state(self) -> str:
        """``on``, ``starting``, ``off: WHY``, or what is wrong."""
        with self._lock:
            if self._off:
                return f"off: {self._off}"
            if self._peer is None:
                return "off: its process does not run"
            trouble = self._trouble or self._report.trouble
            if self._report.state == "waiting":
                return f"off: {trouble}"
            return f"{self._report.state}: {trouble}" if trouble else self._report.state

    @property
    def word(self) -> str:
        """The same for a person, as a word of ``local.State``."""
        with self._lock:
            if self._off:
                return self._off_word
            if self._peer is None:
                return "alone"
            if self._report.state == "waiting":
                return "hung" if self._report.trouble.startswith(HUNG) else "failed"
            # Not told yet what is wanted of it.
            return "starting" if self._report.state == "off" else self._report.state

    # -- the thread --------------------------------------------------------------------------------------

    def run(self, stopping: threading.Event, refused: Callable[[Question], None]) -> None:
        """Errors: OSError."""
        if (owner := self._owner_id()) is None:
            stopping.wait()
            return
        with (
            _listening(self._socket_path, socket.SOCK_SEQPACKET, owner) as keeper,
            _listening(self._records_path, socket.SOCK_DGRAM, owner) as records,
        ):
            keeper.listen(1)
            try:
                while not stopping.is_set():
                    self._look(keeper, records, refused)
            finally:
                self._part()

    def _look(
        self, keeper: socket.socket, records: socket.socket, refused: Callable[[Question], None]
    ) -> None:
        watched = [keeper, records, *([self._peer] if self._peer is not None else [])]
        ready = select.select(watched, [], [], LOOK_S)[0]
        if not ready and (self._unsaid or (self._due and self._order.wanted)):
            self._bring()
        if keeper in ready:
            peer, _ = keeper.accept()
            self._part()
            peer.setblocking(False)
            with self._lock:
                self._peer = peer
                self._say()
        elif self._peer is not None and self._peer in ready:
            self._hear()
        if records in ready and (found := question_of(records.recv(MAX_RECORD_BYTES))):
            flow, question = found
            # One connection may match several rules: a name, its parent, a list.
            if (flow, question.name) != self._last:
                self._last = flow, question.name
                refused(question)

    def _hear(self) -> None:
        assert self._peer is not None
        try:
            report = msgspec.json.decode(self._peer.recv(1 << 14), type=Report)
        except (OSError, *UNDECODABLE):
            self._part()
            return
        with self._lock:
            if report.trouble and report.trouble != self._report.trouble:
                log.warning("inspection: %s", report.trouble[:200])
                if report.trouble.startswith(HUNG):
                    self.hung_at = int(time.time())
            self._report = msgspec.structs.replace(report, trouble=report.trouble[:200])
            damaged = set(report.damaged)
            self._due |= damaged & set(OWN_SETS)
            if BULK in damaged:
                self.bulk_wanted += 1
        if damaged & set(OWN_SETS):
            self._bring()

    def _part(self) -> None:
        with self._lock:
            if self._peer is not None:
                self._peer.close()
            self._peer, self._report = None, Report()


@contextlib.contextmanager
def _listening(path: Path, kind: int, owner: int) -> Iterator[socket.socket]:
    path.unlink(missing_ok=True)
    with socket.socket(socket.AF_UNIX, kind) as made:
        made.bind(str(path))
        if owner >= 0:
            os.chown(path, owner, -1)
        path.chmod(0o600)
        yield made


def inspected_file(config: BoxConfig) -> Path:
    """The names of the bulk lists, as the engine reads them."""
    return config.state / "names" / "inspected.lst"
