"""Typed messages between the centre and its doors.

Purpose: the one definition of what travels on the feed, in acknowledgements, facts and enrolment.
Input:   hostile in both directions; ``decode`` caps the size and refuses unknown versions with a clear error.
Rule:    a field added later has a default, so that a message of the previous version is understood; unknown
         fields are ignored, so that an older door understands a newer centre of the same version.
Units:   ``*_at``, ``valid_until``, ``expires_at`` in UTC epoch seconds; ``*_ms`` in milliseconds.
Source:  docs/internals/feed.md.
"""

from __future__ import annotations

from collections.abc import Iterable
from enum import StrEnum
from typing import Annotated

import msgspec

from beffroi_protocol.errors import MessageMalformed, MessageTooLarge, VersionUnknown
from beffroi_protocol.indicators import Indicator, Kind

VERSION = 1
OLDEST_VERSION = 1
MAX_MESSAGE_BYTES = 8 * 1024 * 1024
MAX_POST_BYTES = 1024 * 1024
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
Port = Annotated[int, msgspec.Meta(ge=1, le=65535)]


class Action(StrEnum):
    """``WARN``: observed and counted, never refused. ``ALLOW``: a local exception; only an overlay carries it."""

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
    ``expires_at`` 0: until it is replaced or withdrawn.
    """

    name: ListName
    kind: Kind
    sha256: Digest
    size_bytes: Number
    count: Number
    action: Action = Action.BLOCK
    expires_at: Seconds = 0
    reason: Text = ""

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
    ``leak_bytes_hour``: bytes an hour to one new destination that raise an alarm, 0 for none. ``unlock``: people
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


class PolicyMessage(msgspec.Struct, frozen=True, tag="policy", tag_field="t"):
    """A policy for the boxes of one collectivité. ``policy_version`` only grows."""

    v: int
    collectivite_id: Name
    policy_version: Number
    issued_at: Seconds
    policy: Policy
    changed_by: str = ""
    why: Text = ""


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


class AckAnswer(msgspec.Struct, frozen=True):
    """What the centre says to acknowledgements. ``spread_ms``: the next ones wait a random part of it, so that those of
    thousands of doors do not come at once."""

    v: int
    spread_ms: Number = 0


class FlowsBlocked(msgspec.Struct, frozen=True, tag="flows_blocked", tag_field="t"):
    """Attempts of one remote address that a box refused, counted over an interval. No LAN address.

    ``count``: attempts. Within five minutes, all packets of one remote, direction, protocol and port are one.
    """

    id: Name
    indicator: Indicator
    direction: Annotated[str, msgspec.Meta(pattern="^(in|out)$")]
    count: Number
    first_at: Seconds
    last_at: Seconds
    protocol: Text = ""
    port: Annotated[int, msgspec.Meta(ge=0, le=65535)] = 0
    entry_id: Text = ""


class NamesRefused(msgspec.Struct, frozen=True, tag="names_refused", tag_field="t"):
    """Look-ups of one listed name that a box refused, counted over an interval.

    ``count``: within five minutes, all questions of the LAN for the name and names below it are one.
    """

    id: Name
    indicator: Indicator
    count: Number
    first_at: Seconds
    last_at: Seconds
    entry_id: Text = ""


class RefusedTotals(msgspec.Struct, frozen=True, tag="refused_totals", tag_field="t"):
    """What the kernel of a box refused in one direction over an interval, exact even where a flood hid its senders.

    ``packets``: all of them, repetitions too. ``attempts``: as in FlowsBlocked, also those told of nobody.
    """

    id: Name
    direction: Annotated[str, msgspec.Meta(pattern="^(in|out)$")]
    packets: Number
    attempts: Number
    first_at: Seconds
    last_at: Seconds


class EntryRefused(msgspec.Struct, frozen=True, tag="entry_refused", tag_field="t"):
    """A deny entry that the door would not enforce, because it names something protected."""

    id: Name
    entry_id: Name
    indicator: Indicator
    reason: Text
    at: Seconds


class PolicyRolledBack(msgspec.Struct, frozen=True, tag="policy_rolled_back", tag_field="t"):
    id: Name
    policy_version: Number
    kept_version: Number
    reason: Text
    at: Seconds


class Sighting(msgspec.Struct, frozen=True, tag="sighting", tag_field="t"):
    """Evidence that a machine can check again; never a verdict."""

    id: Name
    detector: Name
    indicators: tuple[Indicator, ...]
    seen_at: Seconds
    evidence: dict[str, str] = {}


class LookBack(msgspec.Struct, frozen=True, tag="look_back", tag_field="t"):
    """How often the whole LAN met a new entry's indicator in the days before: flows, on how many days."""

    id: Name
    entry_id: Name
    indicator: Indicator
    count: Number
    days: Number
    first_at: Seconds
    last_at: Seconds


class FlowsLearned(msgspec.Struct, frozen=True, tag="flows_learned", tag_field="t"):
    """New flows that a town hall lives on, counted while its box observes.

    Inbound: ``remote`` is the source's /24 or /48. Outbound: ``service`` is one of the box's catalogue of what town
    halls use, ``remote`` is empty: no browsing history.
    """

    id: Name
    direction: Annotated[str, msgspec.Meta(pattern="^(in|out)$")]
    protocol: Text
    port: Annotated[int, msgspec.Meta(ge=0, le=65535)]
    count: Number
    first_at: Seconds
    last_at: Seconds
    remote: Text = ""
    service: Text = ""


class Bypass(msgspec.Struct, frozen=True, tag="bypass", tag_field="t"):
    """Machines of the LAN that go round the box, or its resolver. ``count``: machines, or attempts where none shows."""

    id: Name
    kind: Name
    count: Number
    at: Seconds


class Diagnosis(msgspec.Struct, frozen=True, tag="diagnosis", tag_field="t"):
    """The answer to a ``Question``: the box's own state as short texts by name; nothing of the people behind it."""

    id: Name
    question_id: Name
    at: Seconds
    report: Annotated[dict[Name, Text], msgspec.Meta(max_length=50)]


class SoftwareUpdated(msgspec.Struct, frozen=True, tag="software_updated", tag_field="t"):
    """What became of a release on a box. ``outcome``: installed (and proved), rolled_back (the former one is back), or
    refused (nothing was changed)."""

    id: Name
    number: Number
    version: Text
    outcome: Annotated[str, msgspec.Meta(pattern="^(installed|rolled_back|refused)$")]
    reason: Text
    at: Seconds


Fact = (
    FlowsBlocked
    | NamesRefused
    | EntryRefused
    | PolicyRolledBack
    | Sighting
    | LookBack
    | FlowsLearned
    | Bypass
    | RefusedTotals
    | Diagnosis
    | SoftwareUpdated
)


class FactBatch(msgspec.Struct, frozen=True):
    v: int
    facts: tuple[Fact, ...]


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


class Problem(msgspec.Struct, frozen=True):
    """The body of every refusal."""

    code: str
    message: str
    retryable: bool = False


_ENCODER = msgspec.json.Encoder()
_FEED_DECODER = msgspec.json.Decoder(FeedMessage)
_SNAPSHOT_DECODER = msgspec.json.Decoder(Snapshot)


def encode(message: msgspec.Struct) -> bytes:
    """Return the JSON bytes of a message, without line feeds."""
    return _ENCODER.encode(message)


def decode_feed(payload: bytes) -> FeedMessage:
    """Return the message. Errors: MessageTooLarge, MessageMalformed, VersionUnknown."""
    message: FeedMessage = _decode(_FEED_DECODER, payload, MAX_MESSAGE_BYTES)
    return _checked(message)


def decode_snapshot_file(payload: bytes) -> Snapshot:
    """Return the snapshot that a file holds; the caller has compared its digest with a signed one.

    Errors: as decode_feed, with the limit MAX_SNAPSHOT_FILE_BYTES.
    """
    return _checked(_decode(_SNAPSHOT_DECODER, payload, MAX_SNAPSHOT_FILE_BYTES))


def decode[T: (AckBatch, AckAnswer, FactBatch, EnrolRequest, EnrolAnswer)](
    payload: bytes, kind: type[T]
) -> T:
    """Return a posted message of type ``kind``. Errors: as decode_feed."""
    message: T = _decode(msgspec.json.Decoder(kind), payload, MAX_POST_BYTES)
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
    except (msgspec.MsgspecError, ValueError, RecursionError) as error:
        version = _peek_version(payload)
        if version is not None and not OLDEST_VERSION <= version <= VERSION:
            raise VersionUnknown(version, OLDEST_VERSION, VERSION) from None
        raise MessageMalformed(str(error)[:200]) from None


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
    except (msgspec.MsgspecError, ValueError, RecursionError):
        return None


def _check_version(version: int) -> None:
    if not OLDEST_VERSION <= version <= VERSION:
        raise VersionUnknown(version, OLDEST_VERSION, VERSION)
