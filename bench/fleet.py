"""Many simulated boxes in one process: real TLS, real signed requests, the real protocol; no kernel behind them.

Purpose: `python -m bench.fleet` follows the feed for thousands of boxes and acknowledges each batch, as the agent does:
         one held response, another connection for posts that is kept while the front door keeps it, the agent's own
         pauses with jitter after a loss. It answers JSON requests on stdin, as the laboratory's hands do.
Process: in the internet's namespace of the laboratory; no privilege used. One epoll loop and plain sockets: what the
         boxes cost here is taken from the same processors as what is measured.
Proof:   some boxes of each process verify every line with the protocol package, as a box does; all others read it.
Fails:   a box that is refused or cut comes back; ``state`` counts that.
"""

from __future__ import annotations

import collections
import contextlib
import heapq
import json
import random
import select
import socket
import ssl
import threading
import time
from collections.abc import Generator
from pathlib import Path
from typing import Any

from beffroi_box import AGENT_VERSION
from beffroi_box.agent import BACKOFF_FIRST_S, BACKOFF_LAST_S
from beffroi_box.client import NONCE_LIFE_S
from beffroi_lab.hands import serve
from beffroi_protocol.messages import (
    VERSION,
    Ack,
    AckAnswer,
    AckBatch,
    Batch,
    Snapshot,
    decode,
    decode_feed,
    encode,
)
from beffroi_protocol.requests import NONCE_HEADER, sign_request
from beffroi_protocol.session import FeedSession, Refused, TrustedClock
from beffroi_protocol.signing import ROOT_KID, TrustStore, payload_hash, split_line, unb64
from beffroi_protocol.table import overlay
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

READ, WRITE, PARKED = select.EPOLLIN, select.EPOLLOUT, 0
_READ_BYTES = 16384
_HANDSHAKES_AT_ONCE = 40
_READ_LINES_KEPT = 4096

Answer = dict[str, Any]
Job = Generator[tuple[socket.socket | None, int, float]]
"""A job yields what it waits for: (socket, events, 0), or (None, PARKED, seconds)."""


class Refusal(OSError):
    """The centre answered something else than 200."""


class Fleet:
    """All boxes of this process. The loop's thread alone changes it; other threads read counters."""

    def __init__(self, settings: Answer) -> None:
        self.host, self.target = str(settings["host"]), (str(settings["address"]), int(settings["port"]))
        self.keep_posts = bool(settings["keep_posts"])
        self.context = ssl.create_default_context(cafile=str(settings["authority"]))
        register = json.loads(Path(settings["register"]).read_text("utf-8"))
        first, count = int(settings["first"]), int(settings["count"])
        self.root = unb64(register["root"])
        self.boxes = [
            Box(self, row, first + number, verifies=number < int(settings["sample"]))
            for number, row in enumerate(register["boxes"][first : first + count])
        ]
        self.times: dict[int, tuple[list[float], list[float]]] = collections.defaultdict(lambda: ([], []))
        self.versions: dict[str, int] = {}  # of each decision: when it began and when it ended
        self.counts: collections.Counter[str] = collections.Counter()
        self.handshakes = 0
        self._epoll = select.epoll()
        self._waiting: dict[int, tuple[Job, int]] = {}
        self._timers: list[tuple[float, int, Job]] = []
        self._number = 0
        self._read: dict[bytes, Batch | Snapshot | None] = {}

    # -- loop --------------------------------------------------------------------------------------------

    def run(self) -> None:
        for box in self.boxes:
            self.step(box.feed_job)
            self.step(box.post_job)
        while True:
            limit_s = max(0.0, self._timers[0][0] - time.monotonic()) if self._timers else 1.0
            for number, _ in self._epoll.poll(min(limit_s, 1.0), 1024):
                if (waiting := self._waiting.get(number)) is not None:
                    self.step(waiting[0])
            now = time.monotonic()
            while self._timers and self._timers[0][0] <= now:
                self.step(heapq.heappop(self._timers)[2])

    def step(self, job: Job) -> None:
        sock, events, pause_s = next(job)
        if sock is not None:
            number = sock.fileno()
            known = self._waiting.get(number)
            if known is None:
                self._epoll.register(number, events)
            elif known[1] != events:
                self._epoll.modify(number, events)
            if known is None or known[1] != events:
                self._waiting[number] = (job, events)
        elif pause_s:
            self._number += 1
            heapq.heappush(self._timers, (time.monotonic() + pause_s, self._number, job))

    def forget(self, sock: socket.socket) -> None:
        if self._waiting.pop(sock.fileno(), None) is not None:
            self._epoll.unregister(sock)
        sock.close()

    # -- lines -------------------------------------------------------------------------------------------

    def read(self, line: bytes) -> Batch | Snapshot | None:
        """Decode a line once for all boxes that receive the same bytes."""
        if line in self._read:
            return self._read[line]
        kid, _, payload = split_line(line)
        message = None if kid == ROOT_KID else decode_feed(payload)
        found = message if isinstance(message, Batch | Snapshot) else None
        if isinstance(found, Batch) and found.channel == "box":
            for entry in found.added:
                self.versions[entry.id] = found.to_version
        if len(self._read) >= _READ_LINES_KEPT:
            self._read.clear()
        self._read[line] = found
        return found


class Box:
    """One box: two jobs, as the agent has two threads for them."""

    def __init__(self, fleet: Fleet, row: list[str], number: int, *, verifies: bool) -> None:
        self.fleet = fleet
        self.id, collectivite_id, key = row
        self.key = Ed25519PrivateKey.from_private_bytes(unb64(key))
        # An address of its own, as each town hall has.
        self.source = f"88.{160 + number // 62500}.{number // 250 % 250 + 1}.{number % 250 + 1}"
        self.channels = ("box", overlay("box", collectivite_id))
        self.at = dict.fromkeys(self.channels, (0, 0, ""))
        self.acked: dict[str, tuple[int, int]] = {}
        self.joined_at = 0.0
        self.following = False
        self.session = (
            FeedSession(TrustStore(fleet.root), self.channels, TrustedClock(floor=0)) if verifies else None
        )
        self.parked = False
        self.nonce, self.nonce_at = "", 0.0
        self.spread_s = 0.0
        self.feed_job, self.post_job = self._feed(), self._post()

    # -- the feed ----------------------------------------------------------------------------------------

    def _feed(self) -> Job:
        pause_s = BACKOFF_FIRST_S
        yield None, PARKED, random.random() * 0.5
        while True:
            started = time.monotonic()
            try:
                yield from self._follow()
            except (OSError, ValueError) as error:
                self.fleet.counts[f"feed: {error}"[:120]] += 1
            self.following = False
            if time.monotonic() - started > BACKOFF_LAST_S:
                pause_s = BACKOFF_FIRST_S
            yield None, PARKED, pause_s * (0.5 + random.random())
            pause_s = min(BACKOFF_LAST_S, pause_s * 2)

    def _follow(self) -> Job:
        tls = yield from self._connect()
        try:
            nonce, _, _ = yield from self._exchange(
                tls, _request("GET", "/v1/nonce", self.fleet.host, {}, b"")
            )
            since = ",".join(f"{c}:{e}:{v}:{h}" for c, (e, v, h) in self.at.items())
            path = f"/v1/feed?since={since}"
            signed = sign_request(self.key, box_id=self.id, method="GET", path=path, nonce=nonce, body=b"")
            _, _, rest = yield from self._exchange(
                tls, _request("GET", path, self.fleet.host, signed, b""), held=True
            )
            chunks = _Chunks()
            lines = chunks.lines(rest)
            while True:
                for line in lines:
                    self._receive(line)
                lines = chunks.lines((yield from _receive_some(tls)))
        finally:
            self.fleet.forget(tls)

    def _receive(self, line: bytes) -> None:
        now = time.time()
        if self.session is not None:
            if isinstance(result := self.session.receive(line, monotonic=time.monotonic()), Refused):
                self.fleet.counts[f"line refused: {result.error.code}"] += 1
            self.fleet.counts["verified"] += 1
        message = self.fleet.read(line)
        if message is None:
            return
        epoch, before, _ = self.at[message.channel]
        if isinstance(message, Snapshot):
            self.at[message.channel] = (message.epoch, message.version, message.head)
        elif message.to_version != message.from_version:
            self.at[message.channel] = (
                message.epoch,
                message.to_version,
                payload_hash(split_line(line)[2]),
            )
            if message.channel == "box" and message.to_version > before:
                self.fleet.times[message.to_version][0].append(now)
        elif epoch != message.epoch:
            self.at[message.channel] = (message.epoch, message.to_version, message.prev)
        if not self.following and message.channel == self.channels[-1]:
            self.following, self.joined_at = True, now
        if self.parked and self._news():
            self.fleet.step(self.post_job)

    def _news(self) -> list[Ack]:
        now_ms = int(time.time() * 1000)
        return [
            Ack(channel, epoch, version, now_ms)
            for channel, (epoch, version, _) in self.at.items()
            if epoch and self.acked.get(channel) != (epoch, version)
        ]

    # -- acknowledgements --------------------------------------------------------------------------------

    def _post(self) -> Job:
        tls: ssl.SSLSocket | None = None
        while True:
            if not self._news():
                self.parked = True
                yield None, PARKED, 0.0
                self.parked = False
                continue
            if self.spread_s:
                yield None, PARKED, self.spread_s * random.random()
            news = self._news()
            try:
                if tls is None:
                    tls = yield from self._connect()
                yield from self._acknowledge(tls, news)
                if self.fleet.keep_posts:
                    continue
            except (OSError, ValueError) as error:
                self.fleet.counts[f"post: {error}"[:120]] += 1
                self.nonce = ""
                if tls is not None:
                    self.fleet.forget(tls)
                    tls = None
                    continue  # a kept connection may have been closed meanwhile: once more at once
                yield None, PARKED, 2.0 * (0.5 + random.random())
            if tls is not None:
                self.fleet.forget(tls)
                tls = None

    def _acknowledge(self, tls: ssl.SSLSocket, news: list[Ack]) -> Job:
        host = self.fleet.host
        if not self.nonce or time.monotonic() - self.nonce_at > NONCE_LIFE_S:
            self.nonce, _, _ = yield from self._exchange(tls, _request("GET", "/v1/nonce", host, {}, b""))
        body = encode(AckBatch(VERSION, tuple(news), 1, AGENT_VERSION))
        signed = sign_request(
            self.key, box_id=self.id, method="POST", path="/v1/acks", nonce=self.nonce, body=body
        )
        self.nonce = ""
        request = _request("POST", "/v1/acks", host, signed, body)
        self.nonce, _, answer = yield from self._exchange(tls, request)
        self.spread_s = decode(answer, AckAnswer).spread_ms / 1000
        self.nonce_at = time.monotonic()
        now = time.time()
        for ack in news:
            before = self.acked.get(ack.channel, (0, 0))
            self.acked[ack.channel] = (ack.epoch, ack.version)
            if ack.channel == "box" and before[0] == ack.epoch:
                for version in range(before[1] + 1, ack.version + 1):
                    self.fleet.times[version][1].append(now)

    # -- wire --------------------------------------------------------------------------------------------

    def _connect(self) -> Generator[tuple[socket.socket | None, int, float], None, ssl.SSLSocket]:
        while self.fleet.handshakes >= _HANDSHAKES_AT_ONCE:
            yield None, PARKED, 0.01 + random.random() * 0.02
        self.fleet.handshakes += 1
        raw = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        current: socket.socket = raw
        try:
            raw.setblocking(False)
            raw.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            raw.bind((self.source, 0))
            with contextlib.suppress(BlockingIOError):
                raw.connect(self.fleet.target)
            yield raw, WRITE, 0.0
            if code := raw.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR):
                raise OSError(code, "not connected")
            self.fleet._epoll.unregister(raw)
            del self.fleet._waiting[raw.fileno()]
            tls = self.fleet.context.wrap_socket(
                raw, server_hostname=self.fleet.host, do_handshake_on_connect=False
            )
            current = tls
            while True:
                try:
                    tls.do_handshake()
                except ssl.SSLWantReadError:
                    yield tls, READ, 0.0
                except ssl.SSLWantWriteError:
                    yield tls, WRITE, 0.0
                else:
                    return tls
        except BaseException:
            self.fleet.forget(current)
            raise
        finally:
            self.fleet.handshakes -= 1

    def _exchange(
        self, tls: ssl.SSLSocket, request: bytes, *, held: bool = False
    ) -> Generator[tuple[socket.socket | None, int, float], None, tuple[str, bytes, bytes]]:
        """Return (nonce, head, what follows the head). Errors: Refusal."""
        while True:
            try:
                tls.send(request)  # less than one record
                break
            except ssl.SSLWantReadError:
                yield tls, READ, 0.0
            except ssl.SSLWantWriteError:
                yield tls, WRITE, 0.0
        data = b""
        while (end := data.find(b"\r\n\r\n")) < 0:
            data += yield from _receive_some(tls)
        head, rest = data[:end].lower(), data[end + 4 :]
        status = head.split(b" ", 2)[1]
        if not held:
            length = int(_field(head, b"content-length") or b"0")
            while len(rest) < length:
                rest += yield from _receive_some(tls)
        if status != b"200":
            raise Refusal(f"answer {status.decode()} {rest[:60]!r}")
        at = head.index(NONCE_HEADER.lower().encode())
        nonce = data[at : data.index(b"\r\n", at)].partition(b":")[2].strip().decode()
        return nonce, head, rest


def _receive_some(
    tls: ssl.SSLSocket,
) -> Generator[tuple[socket.socket | None, int, float], None, bytes]:
    while True:
        try:
            data = tls.recv(_READ_BYTES)
        except ssl.SSLWantReadError:
            yield tls, READ, 0.0
            continue
        if not data:
            raise Refusal("ended")
        return data


def _field(head: bytes, name: bytes) -> bytes:
    at = head.find(b"\r\n" + name + b":")
    return b"" if at < 0 else head[at + len(name) + 3 :].partition(b"\r\n")[0].strip()


def _request(method: str, path: str, host: str, headers: dict[str, str], body: bytes) -> bytes:
    lines = [f"{method} {path} HTTP/1.1", f"Host: {host}", f"User-Agent: beffroi-box/{AGENT_VERSION}"]
    lines += [f"{name}: {value}" for name, value in headers.items()]
    if body:
        lines += ["Content-Type: application/json", f"Content-Length: {len(body)}"]
    return "\r\n".join([*lines, "", ""]).encode() + body


class _Chunks:
    """HTTP chunks to lines."""

    def __init__(self) -> None:
        self._raw, self._body = b"", b""

    def lines(self, data: bytes) -> list[bytes]:
        """Errors: Refusal (the response ended)."""
        raw = self._raw + data
        body = self._body
        while (end := raw.find(b"\r\n")) >= 0:
            size = int(raw[:end], 16)
            if size == 0:
                raise Refusal("the feed ended")
            if len(raw) < end + size + 4:
                break
            body += raw[end + 2 : end + 2 + size]
            raw = raw[end + size + 4 :]
        *lines, self._body = body.split(b"\n")
        self._raw = raw
        return [line for line in lines if line]


_fleet: list[Fleet] = []


def start(**settings: Any) -> Answer:
    """Begin to connect ``count`` boxes of the register, from number ``first`` on."""
    fleet = Fleet(settings)
    _fleet.append(fleet)
    threading.Thread(target=fleet.run, daemon=True).start()
    return {"ok": True, "boxes": len(fleet.boxes)}


def state(since: float = 0.0) -> Answer:
    """Return how many follow the feed and have said so, and when the last of them joined (epoch seconds)."""
    if not _fleet:
        return {
            "following": 0,
            "acknowledged": 0,
            "last_joined": 0.0,
            "cpu_s": time.process_time(),
            "counts": {},
        }
    boxes = _fleet[0].boxes
    there = [b for b in boxes if b.following and b.joined_at >= since]
    return {
        "following": len(there),
        "acknowledged": sum(1 for b in boxes if b.acked and not b._news()),
        "last_joined": max((b.joined_at for b in there), default=0.0),
        "cpu_s": time.process_time(),
        "counts": dict(_fleet[0].counts),
    }


def times(decisions: dict[str, int]) -> Answer:
    """Given decisions and when each began (epoch ms), return for each (lines received, acknowledgements taken, last
    line ms, last acknowledgement ms), and how many lines and acknowledgements took how many ms."""
    fleet = _fleet[0]
    each: dict[str, tuple[int, int, float, float]] = {}
    lines: collections.Counter[int] = collections.Counter()
    acks: collections.Counter[int] = collections.Counter()
    batches = {fleet.versions[decision_id] for decision_id in decisions if decision_id in fleet.versions}
    for decision_id, began_ms in decisions.items():
        read, taken = fleet.times.get(fleet.versions.get(decision_id, -1), ([], []))
        line_ms, ack_ms = ([at * 1000 - began_ms for at in found] for found in (read, taken))
        lines.update(round(ms) for ms in line_ms)
        acks.update(round(ms) for ms in ack_ms)
        each[decision_id] = (len(line_ms), len(ack_ms), max(line_ms, default=0.0), max(ack_ms, default=0.0))
    return {"each": each, "line_ms": lines, "ack_ms": acks, "batches": len(batches)}


if __name__ == "__main__":
    with contextlib.suppress(KeyboardInterrupt):
        serve({deed.__name__: deed for deed in (start, state, times)})
