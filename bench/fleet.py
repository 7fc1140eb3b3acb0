"""Many simulated boxes in one process: real TLS, real signed requests, the real protocol; no kernel behind them.

Purpose: `python -m bench.fleet` follows the feed for thousands of boxes and acknowledges each batch, as the agent does:
         one held connection on which it also speaks, the agent's own pauses with jitter after a loss. It answers JSON
         requests on stdin, as the laboratory's hands do.
Process: in the internet's namespace of the laboratory; no privilege used. One epoll loop and plain sockets: what the
         boxes cost here is taken from the same processors as what is measured.
Proof:   some boxes of each process verify every line with the protocol package, as a box does; all others read it.
Fails:   a box that is refused or cut comes back; ``state`` counts that.
"""

from __future__ import annotations

import collections
import contextlib
import json
import random
import ssl
import threading
import time
from pathlib import Path
from typing import Any

from beffroi_box import AGENT_VERSION
from beffroi_box.agent import BACKOFF_FIRST_S, BACKOFF_LAST_S
from beffroi_lab.hands import serve
from beffroi_protocol.messages import (
    VERSION,
    Ack,
    AckBatch,
    Batch,
    Snapshot,
    decode_feed,
    encode,
)
from beffroi_protocol.requests import sign_request
from beffroi_protocol.session import FeedSession, Refused, TrustedClock
from beffroi_protocol.signing import ROOT_KID, TrustStore, payload_hash, split_line, unb64
from beffroi_protocol.table import overlay
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from bench.wire import PARKED, Chunks, Job, Loop, Waiting, exchange, receive, request, say

_READ_LINES_KEPT = 4096

Answer = dict[str, Any]


class Fleet:
    """All boxes of this process. The loop's thread alone changes it; other threads read counters."""

    def __init__(self, settings: Answer) -> None:
        self.host, self.target = str(settings["host"]), (str(settings["address"]), int(settings["port"]))
        self.context = ssl.create_default_context(cafile=str(settings["authority"]))
        register = json.loads(Path(settings["register"]).read_text("utf-8"))
        first, count = int(settings["first"]), int(settings["count"])
        self.root = unb64(register["root"])
        self.boxes = [
            Box(self, row, first + number, verifies=number < int(settings["sample"]))
            for number, row in enumerate(register["boxes"][first : first + count])
        ]
        self.times: dict[int, tuple[list[float], list[float]]] = collections.defaultdict(lambda: ([], []))
        self.versions: dict[str, int] = {}  # by decision
        self.counts: collections.Counter[str] = collections.Counter()
        self.loop = Loop()
        self._read: dict[bytes, Batch | Snapshot | None] = {}

    def run(self) -> None:
        for box in self.boxes:
            self.loop.step(box.feed_job)
        self.loop.run()

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
    """One box; its job is the agent's thread that follows."""

    def __init__(self, fleet: Fleet, row: list[str], number: int, *, verifies: bool) -> None:
        self.fleet = fleet
        self.id, collectivite_id, key = row
        self.key = Ed25519PrivateKey.from_private_bytes(unb64(key))
        # An address of its own, as each town hall has.
        self.source = f"88.{160 + number // 62500}.{number // 250 % 250 + 1}.{number % 250 + 1}"
        self.channels = ("box", overlay("box", collectivite_id))
        self.at = dict.fromkeys(self.channels, (0, 0, ""))
        self.acked: dict[str, tuple[int, int]] = {}  # on this connection
        self.told: dict[str, tuple[int, int]] = {}
        self.joined_at = 0.0
        self.following = False
        self.session = (
            FeedSession(TrustStore(fleet.root), self.channels, TrustedClock(floor=0)) if verifies else None
        )
        self.feed_job = self._feed()

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
        tls = yield from self._connection()
        try:
            nonce, _ = yield from exchange(tls, request("GET", "/v1/nonce", self.fleet.host, {}, b""))
            since = ",".join(f"{c}:{e}:{v}:{h}" for c, (e, v, h) in self.at.items())
            path = f"/v1/feed?since={since}"
            signed = sign_request(self.key, box_id=self.id, method="POST", path=path, nonce=nonce, body=b"")
            asked = request("POST", path, self.fleet.host, {**signed, "Transfer-Encoding": "chunked"}, b"")
            _, rest = yield from exchange(tls, asked, held=True)
            chunks = Chunks()
            lines = chunks.lines(rest)
            self.acked.clear()  # all of it is said again
            while True:
                for line in lines:
                    self._receive(line)
                if news := self._news():
                    yield from say(tls, encode(AckBatch(VERSION, tuple(news), 1, AGENT_VERSION)))
                    self._said(news)
                lines = chunks.lines((yield from receive(tls)))
        finally:
            self.fleet.loop.close(tls)

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

    def _news(self) -> list[Ack]:
        now_ms = int(time.time() * 1000)
        return [
            Ack(channel, epoch, version, now_ms)
            for channel, (epoch, version, _) in self.at.items()
            if epoch and self.acked.get(channel) != (epoch, version)
        ]

    def _said(self, news: list[Ack]) -> None:
        now = time.time()
        for ack in news:
            before = self.told.get(ack.channel, (0, 0))
            self.acked[ack.channel] = self.told[ack.channel] = (ack.epoch, ack.version)
            if ack.channel == "box" and before[0] == ack.epoch:
                for version in range(before[1] + 1, ack.version + 1):
                    self.fleet.times[version][1].append(now)

    def _connection(self) -> Waiting[ssl.SSLSocket]:
        fleet = self.fleet
        return fleet.loop.connect(fleet.context, self.source, fleet.target, fleet.host)


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
