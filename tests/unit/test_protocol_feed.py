"""The feed from the door's side: chain, epochs, replays, keys, time; as cases and as properties."""

from __future__ import annotations

import random
from collections.abc import Sequence

import pytest
from beffroi_protocol.errors import (
    BatchReplayed,
    ChainBroken,
    EpochBehind,
    KeyExpired,
    KeyNotYet,
    KeyRetired,
    KeyUnknown,
    MessageMalformed,
    MessageTooLarge,
    ProtocolError,
    SignatureInvalid,
    StateDamaged,
    VersionUnknown,
)
from beffroi_protocol.indicators import Indicator, Kind, normalise
from beffroi_protocol.messages import (
    MAX_MESSAGE_BYTES,
    AckBatch,
    Action,
    Batch,
    Entry,
    FactBatch,
    Policy,
    PolicyMessage,
    Snapshot,
    decode,
    decode_feed,
    encode,
)
from beffroi_protocol.requests import sign_request, verify_request
from beffroi_protocol.session import FeedSession, Refused, TrustedClock
from beffroi_protocol.signing import (
    ROLE_ROOT,
    ROOT_KID,
    Signer,
    TrustStore,
    b64,
    delegate,
    key_id,
    payload_hash,
    public_bytes,
    split_line,
    unb64,
)
from beffroi_protocol.table import Change, DecisionTable
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given, settings
from hypothesis import strategies as st

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


# -- the chain -----------------------------------------------------------------------------------------------


def test_batches_follow_one_another_and_are_matched() -> None:
    centre, door = Centre(), session()
    door.receive(centre.snapshot(), monotonic=0.0)
    change = door.receive(centre.batch([entry(1)]), monotonic=0.0)
    assert isinstance(change, Change)
    assert (change.version, change.added) == (1, (entry(1),))
    assert door.tables["box"].match_address("51.15.0.1", now=T0) == entry(1)
    door.receive(centre.batch(removed=["dec_0001"]), monotonic=0.0)
    assert door.tables["box"].match_address("51.15.0.1", now=T0) is None
    assert door.since() == f"box:1:2:{centre.head}"


def test_a_gap_asks_for_a_snapshot_and_the_snapshot_mends_it() -> None:
    centre, door = Centre(), session()
    door.receive(centre.snapshot(), monotonic=0.0)
    centre.batch([entry(1)])
    gap = door.receive(centre.batch([entry(2)]), monotonic=0.0)
    assert isinstance(gap, Refused)
    assert gap.resync
    assert door.since() == "box:0:0:"
    door.receive(centre.snapshot(), monotonic=0.0)
    assert len(door.tables["box"]) == 2
    assert door.since() == f"box:1:2:{centre.head}"


def test_a_higher_epoch_demands_a_snapshot_and_a_lower_one_is_refused() -> None:
    old, new, door = Centre(epoch=1), Centre(epoch=2), session()
    door.receive(old.snapshot(), monotonic=0.0)
    assert refusal(door.receive(new.batch([entry(1)]), monotonic=0.0)) is ChainBroken
    assert isinstance(door.receive(new.snapshot(), monotonic=0.0), Change)
    assert refusal(door.receive(old.snapshot(), monotonic=0.0)) is EpochBehind
    assert refusal(door.receive(old.batch([entry(9)]), monotonic=0.0)) is EpochBehind


def test_an_old_snapshot_and_an_old_batch_are_replays() -> None:
    centre, door = Centre(), session()
    first = centre.snapshot()
    batches = [centre.batch([entry(n)]) for n in range(3)]
    for line in (first, *batches):
        door.receive(line, monotonic=0.0)
    for line in (first, *batches):
        assert refusal(door.receive(line, monotonic=0.0)) is BatchReplayed
    assert len(door.tables["box"]) == 3


def test_a_fork_at_the_same_version_counts_only_when_it_is_later() -> None:
    lost, restored, door = Centre(), Centre(), session()
    for centre in (lost, restored):
        centre.batch([entry(1 if centre is lost else 2)])
    earlier = lost.snapshot()
    restored.now += 100
    later = restored.snapshot()
    door.receive(earlier, monotonic=0.0)
    assert isinstance(door.receive(later, monotonic=0.0), Change)
    assert refusal(door.receive(earlier, monotonic=0.0)) is BatchReplayed
    assert door.tables["box"].get("dec_0002") is not None


def test_a_heartbeat_moves_time_and_never_back() -> None:
    centre, door = Centre(), session()
    door.receive(centre.snapshot(), monotonic=0.0)
    beats = [centre.heartbeat() for _ in range(3)]
    for beat in beats:
        door.receive(beat, monotonic=0.0)
    table = door.tables["box"]
    newest = (table.issued_at, table.valid_until, door.clock.floor)
    for beat in beats:
        door.receive(beat, monotonic=500.0)
    assert (table.issued_at, table.valid_until, door.clock.floor) == newest
    assert table.version == 0


def test_repeating_the_last_heartbeat_does_not_hold_the_time_still() -> None:
    centre, door = Centre(), session()
    door.receive(centre.snapshot(), monotonic=0.0)
    beat = centre.heartbeat()
    for second in range(0, 7200, 20):
        door.receive(beat, monotonic=float(second))
    now = door.clock.now(local=0.0, monotonic=7200.0)
    assert now >= centre.now + 7200
    assert door.tables["box"].stale(now=now)


def test_an_expired_feed_is_stale_and_still_blocks() -> None:
    centre, door = Centre(), session()
    centre.batch([entry(1)])
    door.receive(centre.snapshot(), monotonic=0.0)
    late = T0 + 30 * 86400
    assert door.tables["box"].stale(now=late)
    assert door.tables["box"].match_address("51.15.0.1", now=late) == entry(1)


def test_an_entry_ends_by_itself() -> None:
    centre, door = Centre(), session()
    centre.batch([entry(1)])
    door.receive(centre.snapshot(), monotonic=0.0)
    assert door.tables["box"].match_address("51.15.0.1", now=T0 + YEAR_S) is None


def test_a_clock_ten_years_back_changes_nothing_once_a_message_came() -> None:
    clock = TrustedClock(floor=T0)
    assert clock.now(local=T0 - 10 * YEAR_S, monotonic=0.0) == T0
    clock.learn(T0 + 50, monotonic=10.0)
    assert clock.now(local=0.0, monotonic=20.0) == T0 + 60
    clock.learn(T0, monotonic=30.0)
    assert clock.now(local=0.0, monotonic=30.0) == T0 + 70


def test_a_channel_that_was_not_asked_for_is_refused() -> None:
    assert (
        refusal(session("box").receive(Centre("box@col_other").snapshot(), monotonic=0.0)) is MessageMalformed
    )


# -- hostile entries -----------------------------------------------------------------------------------------


def test_entries_of_other_kinds_or_spellings_are_left_out_alone() -> None:
    centre, door = Centre(), session()
    door.receive(centre.snapshot(), monotonic=0.0)
    bad = [
        entry(2, "a@evil.com", Kind.SENDER),  # not of this channel
        entry(3, "EVIL.com", Kind.DOMAIN),
        entry(4, "1.2.3.4/32", Kind.CIDR),
        entry(5, "localhost", Kind.IP),
    ]
    change = door.receive(centre.batch([entry(1), *bad]), monotonic=0.0)
    assert isinstance(change, Change)
    assert change.added == (entry(1),)
    assert change.refused == tuple(bad)
    assert list(door.tables["box"]) == [entry(1)]
    after = door.receive(centre.batch([entry(6)]), monotonic=0.0)
    assert isinstance(after, Change)  # the chain goes on


def test_an_entry_that_comes_again_with_another_indicator_frees_the_first() -> None:
    table, centre = DecisionTable("box"), Centre()
    applied(table, centre.snapshot())
    applied(table, centre.batch([entry(1)]))
    change = applied(table, centre.batch([entry(1, "51.15.9.9")]))
    assert change.removed == (entry(1),)
    assert table.match_address("51.15.0.1", now=T0) is None
    assert table.match_address("51.15.9.9", now=T0) is not None


def test_two_decisions_about_one_thing_need_two_ends() -> None:
    table, centre = DecisionTable("box"), Centre()
    applied(table, centre.snapshot())
    net = normalise("cidr", "51.15.7.0/24").value
    applied(table, centre.batch([entry(1, net, Kind.CIDR), entry(2, net, Kind.CIDR)]))
    applied(table, centre.batch(removed=["dec_0001"]))
    assert table.match_address("51.15.7.7", now=T0) is not None
    applied(table, centre.batch(removed=["dec_0002"]))
    assert table.match_address("51.15.7.7", now=T0) is None


def test_names_match_their_children_and_networks_their_family() -> None:
    table, centre = DecisionTable("box"), Centre()
    applied(table, centre.snapshot())
    applied(table, centre.batch([entry(1, "evil.com", Kind.DOMAIN), entry(2, "2a01:e0a:1::/48", Kind.CIDR)]))
    assert table.match_name("a.b.EVIL.com", now=T0) is not None
    assert table.match_name("notevil.com", now=T0) is None
    assert table.match_address("2a01:e0a:1::9", now=T0) is not None
    assert table.match_address("42.1.14.10", now=T0) is None


@pytest.mark.parametrize(
    "text",
    [
        b"",
        b"null",
        b"[]",
        b'{"t":"batch"}',
        b'{"t":"bell","v":1}',
        b'{"t":"batch","v":1,"channel":"box","epoch":1,"from_version":2,"to_version":1,"issued_at":1,"valid_until":2,"prev":""}',
        b'{"t":"batch","v":1,"channel":"box","epoch":-1,"from_version":0,"to_version":1,"issued_at":1,"valid_until":2,"prev":""}',
        b'{"t":"batch","v":1,"channel":"","epoch":1,"from_version":0,"to_version":1,"issued_at":1,"valid_until":2,"prev":""}',
        b'{"t":"batch","v":1,"channel":"box","epoch":1,"from_version":0,"to_version":1e400,"issued_at":1,"valid_until":2,"prev":""}',
        b'{"t":"batch","v":1,"channel":"box","epoch":1,"from_version":0,"to_version":'
        + b"9" * 5000
        + b',"issued_at":1,"valid_until":2,"prev":""}',
        b'{"t":"batch","v":1,"channel":"box","epoch":1,"from_version":1,"to_version":1,"issued_at":1,"valid_until":2,"prev":"","removed":["dec_1"]}',
        b"[" * 100_000,
        b'{"t":"batch","v":1,"x":' + b"[" * 100_000,
        b"\xff\xfe",
    ],
)
def test_a_message_that_cannot_be_is_malformed(text: bytes) -> None:
    with pytest.raises(MessageMalformed):
        decode_feed(text)


def test_an_entry_that_is_there_twice_is_malformed() -> None:
    for line in (
        Signer(FEED).line(Snapshot(1, "box", 1, 1, T0, T0, "h", (entry(1), entry(1, "51.15.9.9")))),
        Signer(FEED).line(Batch(1, "box", 1, 0, 1, T0, T0, "", (entry(1), entry(1, "51.15.9.9")))),
    ):
        assert refusal(session().receive(line, monotonic=0.0)) is MessageMalformed


def test_an_oversized_message_is_refused_before_it_is_read() -> None:
    with pytest.raises(MessageTooLarge):
        decode_feed(b" " * (MAX_MESSAGE_BYTES + 1))
    with pytest.raises(MessageTooLarge):
        split_line(b" " * (MAX_MESSAGE_BYTES + 1))
    with pytest.raises(MessageTooLarge):
        decode(b" " * (1024 * 1024 + 1), FactBatch)


def test_a_post_of_a_later_version_is_named_as_such() -> None:
    with pytest.raises(VersionUnknown):
        decode(b'{"v":2,"acks":"in another shape"}', AckBatch)


# -- keys ----------------------------------------------------------------------------------------------------


def test_only_the_roots_delegate_may_sign() -> None:
    door = session()
    assert refusal(door.receive(Centre(key=OTHER).snapshot(), monotonic=0.0)) is KeyUnknown
    assert refusal(door.receive(Signer(OTHER, kid=key_id(public_bytes(FEED))).line(
        PolicyMessage(1, "col_a", 1, T0, Policy())), monotonic=0.0)) is SignatureInvalid  # fmt: skip
    forged = delegate(OTHER, public_bytes(OTHER), serial=9, not_before=0, not_after=T0 + YEAR_S)
    assert refusal(door.receive(forged, monotonic=0.0)) is SignatureInvalid


def test_a_line_cannot_be_replayed_in_another_role() -> None:
    door, root_signer = session(), Signer(ROOT, role=ROLE_ROOT, kid=ROOT_KID)
    kid, signature, payload = split_line(delegation())
    moved = b" ".join((b"bf1", key_id(public_bytes(FEED)).encode(), b64(signature).encode(), payload))
    assert refusal(door.receive(moved, monotonic=0.0)) is SignatureInvalid
    assert refusal(
        door.receive(root_signer.line(PolicyMessage(1, "col_a", 1, T0, Policy())), monotonic=0.0)
    ) is (MessageMalformed)
    assert kid == ROOT_KID


def test_current_and_previous_key_overlap_and_the_one_before_is_retired() -> None:
    trust = TrustStore(public_bytes(ROOT))
    lines = [delegation(key, serial) for serial, key in enumerate((FEED, OTHER, THIRD), 1)]
    for line in lines[:2]:
        trust.add_delegation(line)
    assert len(trust.lines) == 2
    trust.add_delegation(lines[2])
    trust.verify(Centre(key=OTHER).snapshot(), now=T0)
    with pytest.raises(KeyUnknown):
        trust.verify(Centre(key=FEED).snapshot(), now=T0)
    with pytest.raises(KeyRetired):
        trust.add_delegation(lines[0])
    assert set(trust.lines.values()) == set(lines[1:])


def test_replaying_an_older_delegation_of_the_same_key_brings_no_retired_key_back() -> None:
    trust = TrustStore(public_bytes(ROOT))
    old = delegation(THIRD, 3)
    for line in (old, delegation(THIRD, 5)):
        trust.add_delegation(line)
    for line in (old, delegation(OTHER, 3)):
        with pytest.raises(KeyRetired):
            trust.add_delegation(line)
    assert list(trust.lines) == [key_id(public_bytes(THIRD))]


def test_a_serial_two_higher_retires_a_stolen_key_at_once() -> None:
    door = session()
    door.receive(delegation(OTHER, 3), monotonic=0.0)
    assert refusal(door.receive(Centre().snapshot(), monotonic=0.0)) is KeyUnknown


def test_a_message_outside_its_keys_term_is_refused_and_teaches_no_time() -> None:
    door, centre = session(), Centre()
    centre.now = T0 + 2 * YEAR_S
    assert refusal(door.receive(centre.snapshot(), monotonic=0.0)) is KeyExpired
    centre.now = T0 - 2 * YEAR_S
    assert refusal(door.receive(centre.snapshot(), monotonic=0.0)) is KeyNotYet
    assert door.clock.floor == 0
    door.clock.floor = T0 + 2 * YEAR_S
    centre.now = T0
    assert refusal(door.receive(centre.snapshot(), monotonic=0.0)) is KeyExpired


def test_a_delegation_under_another_name_or_backwards_in_time_is_malformed() -> None:
    from beffroi_protocol.messages import Delegation

    signer = Signer(ROOT, role=ROLE_ROOT, kid=ROOT_KID)
    public = b64(public_bytes(FEED))
    for wrong in (
        Delegation(1, "root", public, ("feed",), 1, T0, T0),
        Delegation(1, key_id(public_bytes(FEED)), public, ("feed",), 1, T0, T0 - 1),
        Delegation(1, key_id(b""), "", ("feed",), 1, T0, T0),
    ):
        with pytest.raises(MessageMalformed):
            TrustStore(public_bytes(ROOT)).add_delegation(signer.line(wrong))


def test_every_flipped_bit_of_a_line_is_refused() -> None:
    line = Centre().batch([entry(1)])
    for position in range(len(line)):
        for bit in range(8):
            changed = bytearray(line)
            changed[position] ^= 1 << bit
            trust = TrustStore(public_bytes(ROOT))
            trust.add_delegation(delegation())
            with pytest.raises(ProtocolError):
                trust.verify(bytes(changed), now=T0)


def test_only_one_spelling_of_base64url_is_read() -> None:
    text = b64(bytes(64))
    assert unb64(text) == bytes(64)
    for other in (text + "==", text[:-1] + "B", text.replace("A", "A\n", 1), "+/", "é"):
        with pytest.raises(MessageMalformed):
            unb64(other)


# -- requests of a box -----------------------------------------------------------------------------------------


def test_a_box_request_is_bound_to_box_method_path_nonce_and_body() -> None:
    asked = {"method": "POST", "path": "/v1/acks", "body": b"{}"}
    headers = sign_request(FEED, box_id="box_1", nonce="n", **asked)  # type: ignore[arg-type]
    verify_request(public_bytes(FEED), headers, **asked)  # type: ignore[arg-type]
    for change in ({"method": "GET"}, {"path": "/v1/facts"}, {"body": b"[]"}):
        with pytest.raises(SignatureInvalid):
            verify_request(public_bytes(FEED), headers, **(asked | change))  # type: ignore[arg-type]
    for name in headers:
        with pytest.raises(ProtocolError):
            verify_request(public_bytes(FEED), headers | {name: "box_2\nGET"}, **asked)  # type: ignore[arg-type]
        with pytest.raises(MessageMalformed):
            less = {k: v for k, v in headers.items() if k != name}
            verify_request(public_bytes(FEED), less, **asked)  # type: ignore[arg-type]
    with pytest.raises(SignatureInvalid):
        verify_request(b"short", headers, **asked)  # type: ignore[arg-type]


# -- states ------------------------------------------------------------------------------------------------------


def test_a_state_of_a_later_version_and_a_damaged_one_are_told_apart() -> None:
    import hashlib

    body = b'{"state_v":2,"shape":"unknown"}'
    with pytest.raises(VersionUnknown):
        DecisionTable.load(hashlib.sha256(body).hexdigest().encode() + b"\n" + body)
    for data in (b"", b"\n", body, DecisionTable("box").dump()[:-1], b"0" * 64 + b"\n" + body):
        with pytest.raises(StateDamaged):
            DecisionTable.load(data)


# -- properties -----------------------------------------------------------------------------------------------------

values = st.one_of(
    st.integers(0, 30).map(lambda n: Indicator(Kind.IP, f"51.15.0.{n}")),
    st.integers(0, 6).map(lambda n: Indicator(Kind.CIDR, f"51.15.{n}.0/24")),
    st.integers(0, 6).map(lambda n: Indicator(Kind.DOMAIN, f"evil{n}.com")),
    st.just(Indicator(Kind.DOMAIN, "Not.Canonical.com")),
    st.just(Indicator(Kind.SENDER, "a@evil.com")),
)
entries = st.builds(
    Entry,
    st.integers(0, 12).map(lambda n: f"dec_{n}"),
    values,
    st.just(Action.BLOCK),
    st.integers(T0 + 10, T0 + 20),
)
steps = st.lists(
    st.tuples(
        st.lists(entries, max_size=4, unique_by=lambda e: e.id),
        st.lists(st.integers(0, 12).map(lambda n: f"dec_{n}"), max_size=3),
        st.integers(0, 2),
    ),
    max_size=8,
)


def observed(table: DecisionTable) -> object:
    answers = [table.match_address(f"51.15.{n % 7}.{n}", now=T0) for n in range(31)]
    names = [table.match_name(f"www.evil{n}.com", now=T0) for n in range(7)]
    return sorted(table), [e is not None for e in answers + names], table.version, table.head


@given(steps, st.integers(0, 8))
@settings(deadline=None)
def test_snapshot_and_deltas_equal_a_fresh_snapshot(
    made: list[tuple[list[Entry], list[str], int]], at: int
) -> None:
    centre, follower = Centre(), DecisionTable("box")
    applied(follower, centre.snapshot())
    kernel: set[tuple[str, Indicator]] = set()  # what a door holds that only follows changes
    for i, (added, removed, beats) in enumerate(made):
        line = centre.batch(added, removed)
        if i == at:  # a door that was away comes back by snapshot
            follower = DecisionTable.load(follower.dump())
            change = applied(follower, centre.snapshot())
            kernel = set()
        else:
            change = applied(follower, line)
        kernel -= {(e.id, e.indicator) for e in change.removed}
        kernel |= {(e.id, e.indicator) for e in change.added}
        assert kernel == {(e.id, e.indicator) for e in follower}
        for _ in range(beats):
            applied(follower, centre.heartbeat())
    fresh = DecisionTable("box")
    applied(fresh, centre.snapshot())
    assert observed(follower) == observed(fresh)
    assert observed(DecisionTable.load(follower.dump())) == observed(fresh)
    assert DecisionTable.load(follower.dump()).dump() == follower.dump()


@given(steps, st.integers(0, 2**32))
@settings(deadline=None)
def test_no_order_of_replays_lowers_the_version_or_the_time(
    made: list[tuple[list[Entry], list[str], int]], seed: int
) -> None:
    first, second, door = Centre(epoch=1), Centre(epoch=2), session()
    lines = []
    for centre in (first, second):
        lines.append(centre.snapshot())
        for added, removed, beats in made:
            lines.append(centre.batch(added, removed))
            lines += [centre.heartbeat() for _ in range(beats)]
            lines.append(centre.snapshot())
    order = lines * 2
    random.Random(seed).shuffle(order)
    table, before = door.tables["box"], (0, 0, 0)
    for line in order:
        door.receive(line, monotonic=0.0)
        after = (table.epoch, table.version, door.clock.floor)
        assert after[:2] >= before[:2]
        assert after[2] >= before[2]
        before = after
    door.receive(second.snapshot(), monotonic=0.0)
    assert table.version == second.version
    fresh = DecisionTable("box")
    applied(fresh, second.snapshot())
    assert observed(table) == observed(fresh)


@given(st.binary(max_size=300))
@settings(deadline=None)
def test_hostile_lines_are_refused_and_change_nothing(data: bytes) -> None:
    door = session()
    before = door.since()
    for line in (data, b"bf1 " + data, b"bf1 root AAAA " + data):
        assert isinstance(door.receive(line, monotonic=0.0), Refused)
    assert door.since() == before


@given(st.lists(entries, max_size=5, unique_by=lambda e: e.id))
@settings(deadline=None)
def test_a_message_survives_encoding(listed: list[Entry]) -> None:
    message = Snapshot(1, "box", 1, 1, T0, T0, "h", tuple(listed))
    assert decode_feed(encode(message)) == message
