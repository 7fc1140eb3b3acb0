"""What the box tells its own page, over a Unix socket: the page is another user and may read nothing else.

Purpose: state, last refusals, changes of the policy; the code of an enrolment goes the other way.
Process: a thread of the agent (root), one request a connection: a line of JSON each way.
Input:   the page is the part that strangers of the LAN talk to: its requests are hostile; length, time and number
         are bounded, and no request can do more than ask, or offer an enrolment code to a box that has no centre yet.
Privacy: counts by listed address or name; never who of the LAN wanted it. A machine is told its own labels only.
"""

from __future__ import annotations

import logging
import os
import socket
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any, Protocol

import msgspec
from beffroi_protocol.errors import UNDECODABLE
from beffroi_protocol.messages import PolicyMessage

from beffroi_box.config import BoxConfig
from beffroi_box.store import user_id, write_atomic

log = logging.getLogger("beffroi_box.local")

MAX_REQUEST_BYTES, MAX_ANSWER_BYTES = 4096, 1 << 18
TIMEOUT_S = 2.0
MAX_BLOCKS = 100
MAX_CHANGES = 30


class Block(msgspec.Struct):
    """One listed thing that the LAN wanted. ``entry_id``: decision or list; ``*_at``: epoch seconds.

    ``lift``: a person may ask for an hour without this block."""

    kind: str
    value: str
    reason: str
    entry_id: str
    count: int
    first_at: int
    last_at: int
    direction: str = "out"
    until: int = 0
    lift: bool = False


class PolicyChange(msgspec.Struct):
    """``outcome``: applied, or a code why the one before came back."""

    version: int
    at: int
    by: str = ""
    why: str = ""
    outcome: str = "applied"


class State(msgspec.Struct):
    """``enrolment``: "", "asking", "waiting" (for a person in the console), "done", or the code of an error.

    ``inspection``: "" (nobody says), "off" (the policy), "on", "starting", "hung", "failed" (both: ended, it starts
    again), "absent", "small" (not enough memory), "impossible" (the kernel), "alone" (its keeper does not run).
    ``inspection_hung_at``: when it was last ended because it hung, 0 for never. ``relay``: "" (not wanted), "on",
    "off" (not wanted, and mails are left), "held" (mails wait for the centre), "alone" (it does not run)."""

    serial: str
    fingerprint: str
    version: str
    enrolled: bool = False
    centre: str = ""
    enrolment: str = ""
    collectivite: str = ""
    connected: bool = False
    heard_at: int = 0
    stale: bool = False
    trouble: str = ""
    resolver_trouble: str = ""
    disk_trouble: str = ""
    settings_trouble: str = ""
    inspection: str = ""
    inspection_hung_at: int = 0
    mode: str = ""
    mode_trouble: str = ""
    entries: int = 0
    lists: int = 0
    policy_version: int = 0
    blocks: list[Block] = []
    changes: list[PolicyChange] = []
    labels: list[str] = []
    relay: str = ""
    relay_waiting: int = 0


class AskState(msgspec.Struct, tag="state", tag_field="ask"):
    """``machine``: address of who looks; it is told its own labels, and nobody else's."""

    machine: str = ""


class AskEnrol(msgspec.Struct, tag="enrol", tag_field="ask"):
    code: str
    centre: str = ""


class AskBlock(msgspec.Struct, tag="block", tag_field="ask"):
    """What covers this address or name; counts nothing."""

    value: str


class AskToken(msgspec.Struct, tag="token", tag_field="ask"):
    """The address at the portal where a signed-in person may lift this block for an hour."""

    value: str


class Answer(msgspec.Struct):
    """``error``: a code, "" when it worked."""

    error: str = ""
    state: State | None = None
    block: Block | None = None
    link: str = ""


Request = AskState | AskEnrol | AskBlock | AskToken
_REQUEST = msgspec.json.Decoder(Request)


def socket_path(config: BoxConfig) -> Path:
    return config.run_directory / "page.sock"


class Flag(Protocol):
    def is_set(self) -> bool: ...


class LocalSocket:
    """``answer`` is called by one thread, one request after the other. The page's, unless ``path``, ``user`` and
    ``requests`` are another part's."""

    def __init__(
        self,
        config: BoxConfig,
        answer: Callable[[Any], msgspec.Struct],
        *,
        path: Path | None = None,
        user: str | None = None,
        requests: msgspec.json.Decoder[Any] = _REQUEST,
    ) -> None:
        """Errors: OSError."""
        self._answer = answer
        self._requests = requests
        user = config.page_user if user is None else user
        self._path = path = path or socket_path(config)
        path.parent.mkdir(mode=0o755, parents=True, exist_ok=True)
        path.unlink(missing_ok=True)
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self._socket.bind(str(path))
        try:
            if (owner := user_id(user)) >= 0:
                os.chown(path, owner, -1)
        except KeyError:
            log.warning("there is no user %s: nobody can ask at %s", user, path.name)
        path.chmod(0o600)
        self._socket.listen(16)

    def serve(self, stopping: Flag) -> None:
        self._socket.settimeout(0.5)
        while not stopping.is_set():
            try:
                peer, _ = self._socket.accept()
            except TimeoutError:
                continue
            with peer:
                try:
                    peer.settimeout(TIMEOUT_S)
                    peer.sendall(msgspec.json.encode(self._one(_line(peer, MAX_REQUEST_BYTES))) + b"\n")
                except (OSError, ValueError):
                    continue

    def _one(self, line: bytes) -> msgspec.Struct:
        try:
            return self._answer(self._requests.decode(line))
        except UNDECODABLE:
            return Answer(error="request")

    def close(self) -> None:
        self._socket.close()
        self._path.unlink(missing_ok=True)


def ask(path: Path, request: Request) -> Answer:
    """Ask the agent. Errors: OSError (it does not run), ValueError (no sound answer)."""
    return asked(path, request, Answer, timeout_s=TIMEOUT_S)


def asked[T: msgspec.Struct](path: Path, request: msgspec.Struct, kind: type[T], *, timeout_s: float) -> T:
    """Errors: OSError (nobody answers), ValueError (no sound answer)."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as client:
        client.settimeout(timeout_s)
        client.connect(str(path))
        client.sendall(msgspec.json.encode(request) + b"\n")
        try:
            return msgspec.json.decode(_line(client, MAX_ANSWER_BYTES), type=kind)
        except UNDECODABLE:
            raise ValueError("answer") from None


def _line(peer: socket.socket, limit: int) -> bytes:
    data = b""
    while not data.endswith(b"\n"):
        piece = peer.recv(65536)
        if not piece or len(data) + len(piece) > limit:
            raise ValueError("no line")
        data += piece
    return data


class PolicyLog:
    """The last policies that the box received, kept on disk: who, why, what became of them."""

    def __init__(self, path: Path) -> None:
        self._path = path
        try:
            self._changes = msgspec.json.decode(path.read_bytes(), type=list[PolicyChange])
        except (OSError, *UNDECODABLE):
            self._changes = []

    def note(self, message: PolicyMessage, at: int, *, outcome: str = "applied") -> None:
        """Errors: OSError; it is remembered until the agent ends all the same."""
        change = PolicyChange(message.policy_version, at, message.changed_by, message.why, outcome[:200])
        last = self._changes[:1]
        if last and (last[0].version, last[0].outcome) == (change.version, change.outcome):
            return
        self._changes = [change, *self._changes][:MAX_CHANGES]
        write_atomic(self._path, msgspec.json.encode(self._changes))

    def latest(self) -> list[PolicyChange]:
        """Newest first."""
        return list(self._changes)


class RecentBlocks:
    """The last things that were refused to the LAN, in memory only. Safe for several threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._blocks: dict[tuple[str, str], Block] = {}

    def note(self, kind: str, value: str, *, reason: str, entry_id: str, direction: str, at: int) -> None:
        with self._lock:
            block = self._blocks.pop((value, direction), None)
            if block is None:
                block = Block(kind, value, reason, entry_id, 0, at, at, direction)
            block.count += 1
            block.last_at, block.entry_id, block.reason = at, entry_id, reason
            self._blocks[(value, direction)] = block
            if len(self._blocks) > MAX_BLOCKS:
                del self._blocks[next(iter(self._blocks))]

    def latest(self) -> list[Block]:
        """Newest first."""
        with self._lock:
            return [msgspec.structs.replace(block) for block in reversed(self._blocks.values())]
