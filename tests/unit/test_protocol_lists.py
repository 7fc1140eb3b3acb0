"""Bulk lists and snapshot files from the door's side: what is checked, what is matched, what is refused."""

from __future__ import annotations

import hashlib
import ipaddress
import mmap
import random
from pathlib import Path

import msgspec
import pytest
from beffroi_protocol.errors import (
    BatchReplayed,
    EpochBehind,
    FileMismatch,
    ListInvalid,
    MessageMalformed,
    ProtocolError,
)
from beffroi_protocol.indicators import Indicator, Kind, normalise
from beffroi_protocol.lists import ListCheck, ListIndex, content
from beffroi_protocol.messages import (
    MAX_LIST_BYTES,
    MAX_SNAPSHOT_FILE_BYTES,
    Action,
    Batch,
    BulkList,
    Entry,
    Snapshot,
    SnapshotFile,
    decode_feed,
    encode,
)
from beffroi_protocol.session import FeedSession, FileWanted, Refused, TrustedClock
from beffroi_protocol.signing import Signer, TrustStore, delegate, payload_hash, public_bytes
from beffroi_protocol.table import Change, DecisionTable
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given, settings
from hypothesis import strategies as st

ROOT, FEED = (Ed25519PrivateKey.from_private_bytes(bytes([n]) * 32) for n in (1, 2))
T0 = 1_800_000_000


def listed(data: bytes, kind: Kind = Kind.DOMAIN, *, name: str = "ads", **changes: object) -> BulkList:
    made = BulkList(name, kind, hashlib.sha256(data).hexdigest(), len(data), data.count(b"\n"))
    return msgspec.structs.replace(made, **changes)


def check(data: bytes, wanted: BulkList, *, step: int = 7) -> None:
    checked = ListCheck(wanted)
    for at in range(0, len(data), step):
        checked.feed(data[at : at + step])
    checked.finish()


def session(*channels: str) -> FeedSession:
    made = FeedSession(TrustStore(public_bytes(ROOT)), channels or ("box",), TrustedClock())
    line = delegate(ROOT, public_bytes(FEED), serial=1, not_before=T0 - 3600, not_after=T0 + 86400)
    made.receive(line, monotonic=0.0)
    return made


def snapshot(
    count: int = 3, *, epoch: int = 1, version: int = 5, lists: tuple[BulkList, ...] = ()
) -> Snapshot:
    entries = tuple(
        Entry(f"dec_{n:06}", Indicator(Kind.IP, f"51.15.{n // 250}.{n % 250}"), Action.BLOCK, T0 + 999)
        for n in range(count)
    )
    return Snapshot(1, "box", epoch, version, T0, T0 + 60, "a" * 64, entries, lists)


def announced(message: Snapshot, payload: bytes, **changes: object) -> bytes:
    made = SnapshotFile(
        1,
        message.channel,
        message.epoch,
        message.version,
        T0 + 5,
        T0 + 99,
        payload_hash(payload),
        len(payload),
    )
    return Signer(FEED).line(msgspec.structs.replace(made, **changes))


def refusal(result: object) -> type[ProtocolError]:
    assert isinstance(result, Refused), result
    return type(result.error)


# -- the content of a list ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("step", [1, 7, 1000])
def test_a_right_list_passes_in_any_pieces(step: int) -> None:
    data = content(["b.example.com", "a.example.com", "xn--fa-hia.de", "a.example.com"])
    assert data == b"a.example.com\nb.example.com\nxn--fa-hia.de\n"
    check(data, listed(data), step=step)
    check(b"", listed(b""))


@pytest.mark.parametrize(
    ("data", "kind"),
    [
        (b"b.example.com\na.example.com\n", Kind.DOMAIN),  # not in order
        (b"a.example.com\na.example.com\n", Kind.DOMAIN),  # twice
        (b"A.example.com\n", Kind.DOMAIN),
        (b"a.example.com\n\nb.example.com\n", Kind.DOMAIN),
        (b"a.example.com\r\n", Kind.DOMAIN),
        (b"a.example.com", Kind.DOMAIN),  # half a line
        (b"\xff\xfe.com\n", Kind.DOMAIN),
        (b"a.example.com\n", Kind.IP),
        (b"51.15.3.2/32\n", Kind.CIDR),
        (b"x" * 5000 + b"\n", Kind.DOMAIN),
    ],
)
def test_a_list_that_an_engine_would_read_differently_is_refused(data: bytes, kind: Kind) -> None:
    for step in (3, 100_000):
        with pytest.raises(ListInvalid):
            check(data, listed(data, kind), step=step)


def test_other_content_than_announced_is_refused() -> None:
    data = content(["a.example.com", "b.example.com"])
    for wrong in (
        listed(data, sha256="0" * 64),
        listed(data, size_bytes=len(data) - 1),
        listed(data, size_bytes=len(data) + 1),
    ):
        with pytest.raises(FileMismatch):
            check(data, wrong)
    with pytest.raises(ListInvalid):
        check(data, listed(data, count=3))


def test_a_list_longer_than_announced_is_refused_at_once() -> None:
    checked = ListCheck(listed(b"a.example.com\n"))
    with pytest.raises(FileMismatch):
        checked.feed(b"a.example.com\nb")


def test_a_line_without_end_costs_no_memory() -> None:
    checked = ListCheck(listed(b"", size_bytes=MAX_LIST_BYTES))
    with pytest.raises(ListInvalid):
        checked.feed(b"x" * 4096)


# -- asking a list -----------------------------------------------------------------------------------------------

labels = st.text("abcz-9", min_size=1, max_size=4).map(lambda s: f"a{s}z")
names = st.lists(labels, min_size=2, max_size=4).map(".".join)


@given(st.sets(names, max_size=40), st.lists(names, max_size=20))
@settings(deadline=None)
def test_a_list_of_names_answers_as_a_set(values: set[str], asked: list[str]) -> None:
    data = content(values)
    check(data, listed(data))
    index = ListIndex(data, Kind.DOMAIN)
    assert set(index) == values
    for name in (*asked, *values, *(f"www.{v}" for v in values)):
        assert (name in index) == (name in values)
        parents = [name.split(".", n)[-1] for n in range(name.count(".") + 1)]
        assert index.match_name(name) == next((p for p in parents if p in values), None)


networks = st.one_of(
    st.tuples(st.integers(0, 2**32 - 1).map(lambda n: n & 0xFF0300FF), st.integers(1, 31)).map(
        lambda p: ipaddress.ip_network((p[0], p[1]), strict=False)
    ),
    st.tuples(st.integers(0, 255), st.integers(1, 127)).map(
        lambda p: ipaddress.ip_network(((0x2A01 << 112) | (p[0] << 64) | p[0], p[1]), strict=False)
    ),
)


@given(st.sets(networks, max_size=30), st.lists(networks, max_size=10))
@settings(deadline=None)
def test_a_list_of_networks_answers_as_its_networks(
    values: set[ipaddress.IPv4Network | ipaddress.IPv6Network],
    others: list[ipaddress.IPv4Network | ipaddress.IPv6Network],
) -> None:
    texts = {str(network) for network in values if normalise("cidr", str(network)).value == str(network)}
    index = ListIndex(content(texts), Kind.CIDR)
    for network in (*values, *others):
        edges = (int(network.network_address), int(network.broadcast_address))
        for number in (
            edges[0],
            edges[1],
            max(0, edges[0] - 1),
            min(edges[1] + 1, 2**network.max_prefixlen - 1),
        ):
            address = type(network.network_address)(number)
            text = normalise("ip", str(address)).value
            covering = [n for n in texts if ipaddress.ip_address(text) in ipaddress.ip_network(n)]
            found = index.match_address(text)
            assert (found is not None) == bool(covering)
            assert found is None or found in covering


def test_a_list_of_addresses_is_exact_and_other_kinds_answer_nothing(tmp_path: Path) -> None:
    draw = random.Random(1)
    values = {str(ipaddress.IPv4Address(draw.getrandbits(32))) for _ in range(5000)}
    path = tmp_path / "list"
    path.write_bytes(content(values))
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as mapped:
        index = ListIndex(mapped, Kind.IP)
        assert all(index.match_address(value) == value for value in values)
        assert index.match_address("::ffff:" + next(iter(values))) is not None
        asked = [str(ipaddress.IPv4Address(draw.getrandbits(32))) for _ in range(2000)]
        assert [v in index for v in asked] == [v in values for v in asked]
        assert index.match_name("evil.example") is None
        assert not index.match(Indicator(Kind.DOMAIN, next(iter(values))))
    assert ListIndex(b"", Kind.CIDR).match_address("51.15.1.1") is None
    assert "x" not in ListIndex(b"", Kind.DOMAIN)


# -- lists in the table --------------------------------------------------------------------------------------------


def batch(table: DecisionTable, *lists: BulkList, removed: tuple[str, ...] = ()) -> Change:
    message = Batch(
        1, table.channel, table.epoch, table.version, table.version + 1, T0, T0 + 60, table.head,
        lists=lists, lists_removed=removed,
    )  # fmt: skip
    return table.apply(decode_feed(encode(message)), encode(message))  # type: ignore[arg-type]


def test_lists_come_are_replaced_and_go_and_survive_the_disk() -> None:
    table = DecisionTable("box")
    one, two = listed(b"a.example.com\n"), listed(b"b.example.com\n")
    assert batch(table, one).lists_added == (one,)
    change = batch(table, two)
    assert (change.lists_added, change.lists_removed) == ((two,), (one,))
    again = DecisionTable.load(table.dump())
    assert again.lists == {"ads": two}
    assert again.dump() == table.dump()
    gone = batch(table, removed=("ads", "unknown"))
    assert (gone.lists_added, gone.lists_removed, table.lists) == ((), (two,), {})


def test_a_snapshot_brings_all_lists_and_ends_the_others() -> None:
    table = DecisionTable("box")
    one, two = listed(b"a.example.com\n", name="one"), listed(b"b.example.com\n", name="two")
    batch(table, one)
    message = snapshot(lists=(two,))
    change = table.apply(message, encode(message))
    assert (change.lists_added, change.lists_removed, change.reset) == ((two,), (one,), True)
    same = msgspec.structs.replace(message, version=6)
    assert table.apply(same, encode(same)).lists_removed == ()


def test_a_list_that_does_not_fit_the_channel_is_left_out_alone() -> None:
    table = DecisionTable("box")
    good = listed(b"a.example.com\n", name="good")
    senders = listed(b"a@example.com\n", Kind.SENDER, name="senders")
    huge = listed(b"", name="huge", size_bytes=MAX_LIST_BYTES + 1)
    change = batch(table, senders, good, huge)
    assert (change.lists_added, change.lists_refused) == ((good,), (senders, huge))
    assert list(table.lists) == ["good"]


def test_an_expired_list_is_not_in_force() -> None:
    assert listed(b"").active(now=T0)
    assert listed(b"", expires_at=T0 + 1).active(now=T0)
    assert not listed(b"", expires_at=T0).active(now=T0)


@pytest.mark.parametrize(
    "change",
    [
        {"lists": (listed(b"a\n"), listed(b"b\n"))},
        {"lists": (listed(b"a\n"),), "lists_removed": ("ads",)},
        {"lists": (listed(b"a\n", name="../etc"),)},
        {"lists": (listed(b"a\n", name="ads\n"),)},
        {"lists": (listed(b"a\n", sha256="A" * 64),)},
        {"lists_removed": ("a",), "to_version": 0},
        {"lists": (listed(b"a\n"),), "to_version": 0},
    ],
)
def test_a_batch_with_lists_that_cannot_be_is_malformed(change: dict[str, object]) -> None:
    message = msgspec.structs.replace(Batch(1, "box", 1, 0, 1, T0, T0, ""), **change)
    with pytest.raises(MessageMalformed):
        decode_feed(encode(message))


# -- snapshots as files --------------------------------------------------------------------------------------------


def test_a_snapshot_travels_as_a_file() -> None:
    door, message = session(), snapshot(50_000, lists=(listed(b"a.example.com\n"),))
    payload = encode(message)
    wanted = door.receive(announced(message, payload), monotonic=0.0)
    assert wanted == FileWanted("box", payload_hash(payload), len(payload))
    assert len(door.tables["box"]) == 0
    change = door.supply(payload, monotonic=0.0)
    assert isinstance(change, Change)
    table = door.tables["box"]
    assert (len(table), table.version, list(table.lists)) == (50_000, 5, ["ads"])
    assert (table.issued_at, table.valid_until) == (T0 + 5, T0 + 99)  # those of the signed line
    assert refusal(door.supply(payload, monotonic=0.0)) is FileMismatch  # once


def test_only_the_announced_bytes_are_accepted() -> None:
    door, message = session(), snapshot()
    payload = encode(message)
    assert refusal(door.supply(payload, monotonic=0.0)) is FileMismatch
    door.receive(announced(message, payload), monotonic=0.0)
    assert refusal(door.supply(payload + b" ", monotonic=0.0)) is FileMismatch
    assert isinstance(door.supply(payload, monotonic=0.0), Change)


@pytest.mark.parametrize("change", [{"size_bytes": 3}, {"version": 6}, {"epoch": 2}])
def test_a_file_that_disagrees_with_its_announcement_is_refused(change: dict[str, object]) -> None:
    door, message = session(), snapshot()
    payload = encode(message)
    assert isinstance(door.receive(announced(message, payload, **change), monotonic=0.0), FileWanted)
    assert refusal(door.supply(payload, monotonic=0.0)) is FileMismatch
    assert len(door.tables["box"]) == 0


def test_a_file_of_another_channel_or_with_other_content_is_refused() -> None:
    door = session("box", "box@col_a")
    other = encode(snapshot())
    line = announced(msgspec.structs.replace(snapshot(), channel="box@col_a"), other)
    door.receive(line, monotonic=0.0)
    assert refusal(door.supply(other, monotonic=0.0)) is FileMismatch
    for payload in (b"{}", b"[" * 100_000, encode(Batch(1, "box", 1, 0, 1, T0, T0, ""))):
        door.receive(announced(snapshot(), payload), monotonic=0.0)
        assert refusal(door.supply(payload, monotonic=0.0)) is MessageMalformed
    assert refusal(session("mail").receive(announced(snapshot(), other), monotonic=0.0)) is MessageMalformed


def test_an_old_announcement_is_a_replay_before_anything_is_fetched() -> None:
    door, message = session(), snapshot(epoch=2)
    payload = encode(message)
    door.receive(announced(message, payload), monotonic=0.0)
    door.supply(payload, monotonic=0.0)
    for old, error in ((snapshot(epoch=2, version=4), BatchReplayed), (snapshot(epoch=1), EpochBehind)):
        assert refusal(door.receive(announced(old, encode(old)), monotonic=0.0)) is error


def test_a_file_that_came_too_late_lowers_nothing() -> None:
    door, message = session(), snapshot(version=5)
    payload = encode(message)
    door.receive(announced(message, payload), monotonic=0.0)
    later = snapshot(version=6)
    assert isinstance(door.receive(Signer(FEED).line(later), monotonic=0.0), Change)
    assert refusal(door.supply(payload, monotonic=0.0)) is FileMismatch
    assert door.tables["box"].version == 6


def test_an_announcement_of_too_much_is_malformed() -> None:
    line = announced(snapshot(), b"", size_bytes=MAX_SNAPSHOT_FILE_BYTES + 1)
    assert refusal(session().receive(line, monotonic=0.0)) is MessageMalformed
