"""What tests of the protocol share: a centre that signs a channel's log, keys, a door's session."""

from __future__ import annotations

from collections.abc import Sequence

from beffroi_protocol.errors import (
    ProtocolError,
)
from beffroi_protocol.indicators import Indicator, Kind
from beffroi_protocol.messages import (
    Action,
    Batch,
    Entry,
    Snapshot,
    decode_feed,
)
from beffroi_protocol.session import FeedSession, Refused, TrustedClock
from beffroi_protocol.signing import (
    Signer,
    TrustStore,
    delegate,
    payload_hash,
    public_bytes,
    split_line,
)
from beffroi_protocol.table import Change, DecisionTable
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

ROOT, FEED, OTHER, THIRD = (Ed25519PrivateKey.from_private_bytes(bytes([n]) * 32) for n in (1, 2, 3, 4))
T0 = 1_800_000_000
YEAR_S = 365 * 86400


def entry(number: int, value: str = "", kind: Kind = Kind.IP) -> Entry:
    value = value or f"51.15.{number // 250}.{number % 250}"
    return Entry(f"dec_{number:04}", Indicator(kind, value), Action.BLOCK, T0 + YEAR_S, "campaign")


class Centre:
    """A channel's log as the centre keeps it."""

    def __init__(self, channel: str = "box", epoch: int = 1, key: Ed25519PrivateKey = FEED) -> None:
        self.channel, self.epoch, self.version, self.head, self.now = channel, epoch, 0, "", T0
        self.entries: dict[str, Entry] = {}
        self.signer = Signer(key)

    def batch(self, added: Sequence[Entry] = (), removed: Sequence[str] = (), *, step: int = 1) -> bytes:
        self.now += 1
        message = Batch(
            1, self.channel, self.epoch, self.version, self.version + step, self.now, self.now + 3600, self.head,
            tuple(added), tuple(removed),
        )  # fmt: skip
        line = self.signer.line(message)
        if step:
            self.version, self.head = self.version + step, payload_hash(split_line(line)[2])
            for entry_id in removed:
                self.entries.pop(entry_id, None)
            self.entries.update({e.id: e for e in added})
        return line

    def heartbeat(self) -> bytes:
        return self.batch(step=0)

    def snapshot(self) -> bytes:
        return self.signer.line(
            Snapshot(
                1, self.channel, self.epoch, self.version, self.now, self.now + 3600, self.head,
                tuple(sorted(self.entries.values())),
            )
        )  # fmt: skip


def delegation(
    key: Ed25519PrivateKey = FEED, serial: int = 1, start: int = T0 - 3600, end: int = T0 + YEAR_S
) -> bytes:
    return delegate(ROOT, public_bytes(key), serial=serial, not_before=start, not_after=end)


def session(*channels: str) -> FeedSession:
    made = FeedSession(TrustStore(public_bytes(ROOT)), channels or ("box",), TrustedClock())
    made.receive(delegation(), monotonic=0.0)
    return made


def refusal(result: object) -> type[ProtocolError]:
    assert isinstance(result, Refused)
    return type(result.error)


def applied(table: DecisionTable, line: bytes) -> Change:
    payload = split_line(line)[2]
    message = decode_feed(payload)
    assert isinstance(message, Batch | Snapshot)
    return table.apply(message, payload)
