"""Typed messages between the centre and its doors.

Purpose: the one definition of what travels on the feed, in acknowledgements and enrolment; facts: ``facts``.
Input:   hostile in both directions; ``decode`` caps the size and refuses unknown versions with a clear error.
Rule:    a field added later has a default, so that a message of the previous version is understood; unknown
         fields are ignored, so that an older door understands a newer centre of the same version. An entry or a list
         whose kind or action is of tomorrow is left out alone: one of them must not keep every later line from a door.
Units:   ``*_at``, ``valid_until``, ``expires_at`` in UTC epoch seconds; ``*_ms`` in milliseconds.
Source:  docs/internals/feed.md.
"""

from __future__ import annotations

import functools
from collections.abc import Iterable
from enum import StrEnum
from typing import Annotated, Protocol

import msgspec

from beffroi_protocol.errors import UNDECODABLE, MessageMalformed, MessageTooLarge, VersionUnknown
from beffroi_protocol.indicators import Indicator, Kind
from beffroi_protocol.openings import Opening
from beffroi_protocol.relaying import Relay

VERSION = 1
OLDEST_VERSION = 1
MAX_MESSAGE_BYTES = 8 * 1024 * 1024
MAX_POST_BYTES = 1024 * 1024
MAX_UPLINK_LINE_BYTES = 2048
"""Of what a box says on the connection on which it follows."""
MAX_SNAPSHOT_FILE_BYTES = 64 * 1024 * 1024
MAX_RELEASE_BYTES = 64 * 1024 * 1024
MAX_LIST_BYTES = 256 * 1024 * 1024

Number = Annotated[int, msgspec.Meta(ge=0, le=2**53)]
"""Versions, epochs, counts, milliseconds: what every JSON reader holds exactly."""
Seconds = Annotated[int, msgspec.Meta(ge=0, le=253_402_300_799)]
"""UTC epoch seconds, to the end of the year 9999."""
Name = Annotated[str, msgspec.Meta(min_length=1, max_length=128)]
"""Identifiers and channels."""
Text = Annotated[str, msgspec.Meta(max_length=512)]
ListName = Annotated[str, msgspec.Meta(pattern=r"\A[a-z0-9][a-z0-9._-]{0,63}\Z")]
"""Name of a bulk list: safe as the name of a file, of a kernel set and in a log."""
Digest = Annotated[str, msgspec.Meta(pattern=r"\A[0-9a-f]{64}\Z")]
"""SHA-256 in lower-case hex: the address of a file."""
Code = Annotated[str, msgspec.Meta(pattern=r"\A[a-z0-9_]{0,40}\Z")]
Port = Annotated[int, msgspec.Meta(ge=1, le=65535)]


class Action(StrEnum):
    """``WARN``: observed and counted, never refused. ``ALLOW``: nothing refuses it. In an overlay a local exception, in
    a base channel what is never blocked again."""

    BLOCK = "block"
    QUARANTINE = "quarantine"
    THROTTLE = "throttle"
    WARN = "warn"
    ALLOW = "allow"


class Entry(msgspec.Struct, frozen=True, order=True):
    """A decision as doors see it. No reporter in it: the feed must not tell who saw what."""

    id: Name
    indicator: Indicator
    action: Action
    expires_at: Seconds
    reason: Text = ""


class BulkList(msgspec.Struct, frozen=True):
    """A long list that travels by digest: fetched as a file and checked before use (``lists.ListCheck``).

    ``sha256`` and ``size_bytes`` are of the uncompressed content, ``count`` is its number of lines.
    ``expires_at`` 0: until it is replaced or withdrawn. ``threat``: what it warns of (``threats.Threat``), "" for no
    one thing.
    """

    name: ListName
    kind: Kind
    sha256: Digest
    size_bytes: Number
    count: Number
    action: Action = Action.BLOCK
    expires_at: Seconds = 0
    reason: Text = ""
    threat: Code = ""

    def active(self, *, now: int) -> bool:
        return not self.expires_at or self.expires_at > now


class Batch(msgspec.Struct, frozen=True, tag="batch", tag_field="t"):
    """One step of a channel's log. An empty batch (from == to) is the heartbeat and carries the time."""

    v: int
    channel: Name
    epoch: Number
    from_version: Number
    to_version: Number
    issued_at: Seconds
    valid_until: Seconds
    prev: Text
    added: tuple[Entry, ...] = ()
    removed: tuple[str, ...] = ()
    lists: tuple[BulkList, ...] = ()
    audit_head: Text = ""
    lists_removed: tuple[str, ...] = ()


class Snapshot(msgspec.Struct, frozen=True, tag="snapshot", tag_field="t"):
    """The whole of a channel at ``version``; ``head`` is the hash of the batch that ended there."""

    v: int
    channel: Name
    epoch: Number
    version: Number
    issued_at: Seconds
    valid_until: Seconds
    head: Text
    entries: tuple[Entry, ...] = ()
    lists: tuple[BulkList, ...] = ()
    audit_head: Text = ""


class SnapshotFile(msgspec.Struct, frozen=True, tag="snapshot_file", tag_field="t"):
    """A snapshot too long for a line: the file with this digest is the JSON payload of a Snapshot.

    ``issued_at`` and ``valid_until`` of this message count, not those in the file: one file serves for as long
    as the channel stands still.
    """

    v: int
    channel: Name
    epoch: Number
    version: Number
    issued_at: Seconds
    valid_until: Seconds
    sha256: Digest
    size_bytes: Annotated[int, msgspec.Meta(ge=0, le=MAX_SNAPSHOT_FILE_BYTES)]


class InboundRule(msgspec.Struct, frozen=True):
    """One port that the internet may reach. ``sources``: prefixes or addresses; empty: anyone."""

    protocol: Annotated[str, msgspec.Meta(pattern="^(tcp|udp)$")]
    port: Port
    sources: tuple[str, ...] = ()
    label: Text = ""


class Policy(msgspec.Struct, frozen=True):
    """What a box should be, apart from deny entries. Names of interfaces are the box's own.

    ``observe_until``: until then new flows from the internet pass and are learned; later all is refused that
    ``inbound``, ``inbound_tcp_ports`` and ``allow_addresses`` do not let in. ``honeyports`` (tcp): nobody has an
    honest reason to connect to them. ``canary_names``: nobody has an honest reason to ask for them.
    ``leak_bytes_hour``: bytes an hour to one new destination that raise an alarm, 0 for none. ``beacon_beats`` calls at
    a regular interval of ``beacon_from_s`` to an hour raise one: shorter ones are seen sooner and mistaken more often
    (a page that refreshes itself). ``relay``: mail of copiers, None for none. ``unlock``: people
    may lift a block for an hour, at ``portal_url`` (https, without a final slash; "": nowhere). ``inspect``: read
    the first packets of a flow, where an engine is installed.
    """

    mode: str = "router"
    enforce: bool = True
    redirect_dns: bool = True
    allow_addresses: tuple[str, ...] = ()
    inbound_tcp_ports: tuple[int, ...] = ()
    centre_names: tuple[str, ...] = ()
    centre_addresses: tuple[str, ...] = ()
    protected_names: tuple[str, ...] = ()
    protected_networks: tuple[str, ...] = ()
    observe_until: Seconds = 0
    inbound: tuple[InboundRule, ...] = ()
    honeyports: tuple[Port, ...] = ()
    canary_names: tuple[str, ...] = ()
    refuse_doh: bool = False
    leak_bytes_hour: Number = 0
    unlock: bool = True
    inspect: bool = False
    portal_url: Text = ""
    beacon_from_s: Annotated[int, msgspec.Meta(ge=10, le=3600)] = 45
    beacon_beats: Annotated[int, msgspec.Meta(ge=8, le=64)] = 16
    relay: Relay | None = None
    openings: tuple[Opening, ...] = ()


class PolicyMessage(msgspec.Struct, frozen=True, tag="policy", tag_field="t"):
    """A policy for the boxes of one collectivité. ``policy_version`` only grows. ``collectivite_name``: as it is called
    when this is sent; "" from a centre of before."""

    v: int
    collectivite_id: Name
    policy_version: Number
    issued_at: Seconds
    policy: Policy
    changed_by: str = ""
    why: Text = ""
    collectivite_name: Text = ""


class Question(msgspec.Struct, frozen=True, tag="question", tag_field="t"):
    """Asks one box how it is; it answers once, with a ``Diagnosis``. It carries no command."""

    v: int
    id: Name
    box_id: Name
    issued_at: Seconds
    valid_until: Seconds


class Release(msgspec.Struct, frozen=True, tag="release", tag_field="t"):
    """Software for boxes: a Debian package named by its digest. Signed by a key of the software role, which is kept
    offline: no online key can make one. ``number`` only grows; a box installs none that is lower than it ever had.
    """

    v: int
    number: Annotated[int, msgspec.Meta(ge=1, le=2**53)]
    version: Annotated[str, msgspec.Meta(pattern=r"\A[0-9][A-Za-z0-9.+~:-]{0,39}\Z")]
    sha256: Digest
    size_bytes: Annotated[int, msgspec.Meta(ge=1, le=MAX_RELEASE_BYTES)]
    issued_at: Seconds
    not_before: Seconds
    expires_at: Seconds


class Delegation(msgspec.Struct, frozen=True, tag="delegation", tag_field="t"):
    """The offline root's word that ``public_key`` (base64url, 32 bytes) may sign for ``roles``."""

    v: int
    kid: Name
    public_key: str
    roles: tuple[str, ...]
    serial: Number
    not_before: Seconds
    not_after: Seconds


FeedMessage = Batch | Snapshot | SnapshotFile | PolicyMessage | Question | Release | Delegation


class Ack(msgspec.Struct, frozen=True):
    """What a door enforces. ``enforced_at_ms`` is the door's own clock, epoch milliseconds."""

    channel: Name
    epoch: Number
    version: Number
    enforced_at_ms: Number


class AckBatch(msgspec.Struct, frozen=True):
    v: int
    acks: tuple[Ack, ...]
    policy_version: Number = 0
    agent_version: str = ""


class EnrolRequest(msgspec.Struct, frozen=True):
    """Asked again with the same code and key until ``state`` is "active" (idempotent).

    With ``code`` "" a confirmed box asks who it is; ``proof`` is then its key's (``enrolment_code.prove_key``).
    """

    v: int
    code: str
    serial: str
    public_key: str
    agent_version: str = ""
    proof: str = ""


class EnrolAnswer(msgspec.Struct, frozen=True):
    """``state`` is "pending" until the fingerprint is confirmed in the console, then "active"."""

    v: int
    state: str
    box_id: str = ""
    collectivite_id: str = ""
    collectivite_name: str = ""
    root_public_key: str = ""
    delegations: tuple[str, ...] = ()  # signed lines
    policy: str = ""  # signed line


class Posted(Protocol):
    """What is posted, and what answers it: AckBatch, FactBatch, EnrolRequest, EnrolAnswer."""

    @property
    def v(self) -> int: ...


class Problem(msgspec.Struct, frozen=True):
    """The body of every refusal."""

    code: str
    message: str
    retryable: bool = False


_ENCODER = msgspec.json.Encoder()
_FEED_DECODER = msgspec.json.Decoder(FeedMessage)
_SNAPSHOT_DECODER = msgspec.json.Decoder(Snapshot)
_decoder = functools.cache(msgspec.json.Decoder)


def encode(message: msgspec.Struct) -> bytes:
    """Return the JSON bytes of a message, without line feeds."""
    return _ENCODER.encode(message)


def decode_feed(payload: bytes, *, at_door: bool = False) -> FeedMessage:
    """Return the message; ``at_door``: without entries and lists of words that this software does not know. The centre
    itself must miss none.

    Errors: MessageTooLarge, MessageMalformed, VersionUnknown."""
    decode_ = _decode_known if at_door else _decode
    message: FeedMessage = decode_(_FEED_DECODER, payload, MAX_MESSAGE_BYTES)
    return _checked(message)


def decode_snapshot_file(payload: bytes, *, at_door: bool = False) -> Snapshot:
    """Return the snapshot that a file holds; the caller has compared its digest with a signed one.

    Errors: as decode_feed, with the limit MAX_SNAPSHOT_FILE_BYTES.
    """
    decode_ = _decode_known if at_door else _decode
    return _checked(decode_(_SNAPSHOT_DECODER, payload, MAX_SNAPSHOT_FILE_BYTES))


def decode[T: Posted](payload: bytes, kind: type[T]) -> T:
    """Return a posted message of type ``kind``. Errors: as decode_feed."""
    message: T = _decode(_decoder(kind), payload, MAX_POST_BYTES)
    _check_version(message.v)
    return message


def _checked[T: FeedMessage](message: T) -> T:
    _check_version(message.v)
    if fault := _fault(message):
        raise MessageMalformed(fault)
    return message


def _decode[T](decoder: msgspec.json.Decoder[T], payload: bytes, limit_bytes: int) -> T:
    if len(payload) > limit_bytes:
        raise MessageTooLarge(len(payload), limit_bytes)
    try:
        return decoder.decode(payload)
    except UNDECODABLE as error:
        version = _peek_version(payload)
        if version is not None and not OLDEST_VERSION <= version <= VERSION:
            raise VersionUnknown(version, OLDEST_VERSION, VERSION) from None
        raise MessageMalformed(str(error)[:200]) from None


def _decode_known[T](decoder: msgspec.json.Decoder[T], payload: bytes, limit_bytes: int) -> T:
    """As ``_decode``, without what is of tomorrow."""
    try:
        return _decode(decoder, payload, limit_bytes)
    except MessageMalformed:
        if (known := without_tomorrow(payload)) is None:
            raise
    return _decode(decoder, known, limit_bytes)


class _KindOf(msgspec.Struct, frozen=True):
    kind: str


class _Words(msgspec.Struct):
    """Of an entry, or of a list, which says its kind itself."""

    action: str = Action.BLOCK.value
    kind: str = Kind.IP.value
    indicator: _KindOf = _KindOf(Kind.IP.value)


def without_tomorrow(payload: bytes) -> bytes | None:
    """Return a message, or a kept table, without the entries and lists of unknown words, None when there are none."""
    try:
        fields = msgspec.json.decode(payload, type=dict[str, msgspec.Raw])
        found = {
            name: msgspec.json.decode(fields[name], type=list[msgspec.Raw])
            for name in ("added", "entries", "lists")
            if name in fields
        }
    except UNDECODABLE:
        return None
    known = {name: [raw for raw in raws if _is_known(raw)] for name, raws in found.items()}
    return msgspec.json.encode(fields | known) if known != found else None


def _is_known(raw: msgspec.Raw) -> bool:
    """What is of no shape is left to the decoder, which refuses it with its message."""
    try:
        words = msgspec.json.decode(raw, type=_Words)
    except UNDECODABLE:
        return True
    return words.action in Action and words.kind in Kind and words.indicator.kind in Kind


def _fault(message: FeedMessage) -> str:
    """What a well-typed message says that cannot be; "" when nothing."""
    if isinstance(message, Batch):
        return _batch_fault(message)
    if isinstance(message, Snapshot):
        if len({entry.id for entry in message.entries}) != len(message.entries):
            return "an entry is there twice"
        if _twice(one.name for one in message.lists):
            return "a list is there twice"
    elif isinstance(message, Delegation) and message.not_after < message.not_before:
        return "the delegation ends before it begins"
    elif isinstance(message, Release) and message.expires_at <= message.not_before:
        return "the release ends before it begins"
    return ""


def _batch_fault(batch: Batch) -> str:
    if batch.to_version < batch.from_version:
        return "the batch goes back"
    changes = batch.added or batch.removed or batch.lists or batch.lists_removed
    if batch.to_version == batch.from_version and changes:
        return "a heartbeat changes nothing"
    if len({entry.id for entry in batch.added}) != len(batch.added):
        return "an entry is there twice"
    if _twice((*(one.name for one in batch.lists), *batch.lists_removed)):
        return "a list is there twice"
    return ""


def _twice(names: Iterable[str]) -> bool:
    seen = list(names)
    return len(set(seen)) != len(seen)


class _Versioned(msgspec.Struct):
    v: int


def _peek_version(payload: bytes) -> int | None:
    try:
        return msgspec.json.decode(payload, type=_Versioned).v
    except UNDECODABLE:
        return None


def _check_version(version: int) -> None:
    if not OLDEST_VERSION <= version <= VERSION:
        raise VersionUnknown(version, OLDEST_VERSION, VERSION)
