"""What grows with the fleet: pauses, spans, shares of a heartbeat. Pure."""

from __future__ import annotations

from beffroi.stream.batches import next_in_turn, overlays_a_beat, pause_between_s
from beffroi.stream.hub import STALL_S, Hub, Subscriber
from beffroi.stream.uplink import BEAT_S, Followers
from hypothesis import given
from hypothesis import strategies as st

NAMES = st.sets(st.text("abcdef", min_size=1, max_size=4), max_size=30)


def test_decisions_are_pooled_by_the_size_of_the_fleet() -> None:
    assert [pause_between_s(n, 250) for n in (0, 4, 700, 4000, 35000)] == [0, 0.001, 0.175, 1, 1]


@given(st.integers(0, 200_000), st.integers(1, 300), st.integers(60, 30 * 86_400))
def test_every_overlay_has_its_heartbeat_long_before_the_last_one_is_old(
    overlays: int, heartbeat_s: int, valid_s: int
) -> None:
    each = overlays_a_beat(overlays, heartbeat_s=heartbeat_s, valid_s=valid_s)
    beats = -(-overlays // each)
    assert beats <= 1 or beats * heartbeat_s <= valid_s / 4


@given(NAMES, st.integers(1, 40))
def test_whoever_waits_for_a_turn_has_it_within_one_round(names: set[str], count: int) -> None:
    after, seen = "", set[str]()
    for _ in range(-(-len(names) // count)):
        chosen, after = next_in_turn(names, after, count)
        assert len(chosen) == len(set(chosen)) == min(count, len(names))
        seen |= set(chosen)
    assert seen == names


@given(NAMES, NAMES, st.text("abcdef", max_size=4), st.integers(1, 40))
def test_the_turn_goes_on_when_names_come_and_go(
    before: set[str], after: set[str], at: str, count: int
) -> None:
    _, at = next_in_turn(before, at, count)
    chosen, _ = next_in_turn(after, at, count)
    assert set(chosen) <= after
    assert len(chosen) == min(count, len(after))


def test_a_relay_that_fell_silent_counts_for_nothing() -> None:
    followers = Followers()
    followers.note("relay-1", 9000, now_s=0.0)
    followers.note("relay-2", 8000, now_s=BEAT_S)
    followers.note("relay-1", 9100, now_s=BEAT_S)
    assert followers.count(now_s=BEAT_S) == 17_100
    followers.note("relay-2", 8100, now_s=3 * BEAT_S)
    assert followers.count(now_s=4 * BEAT_S) == 8_100
    assert followers.count(now_s=60.0) == 0


def test_a_reader_that_takes_nothing_is_cut_and_one_that_waits_for_news_is_not() -> None:
    hub = Hub()
    quiet, quick, stalled = (Subscriber(f"box_{name}", ["box"]) for name in ("quiet", "quick", "stalled"))
    cut: list[str] = []
    for one in (quiet, quick, stalled):
        one.on_close = lambda owner=one.owner: cut.append(owner)
        hub.add(one, at_most=1)
    stalled.writing_since_s, quick.writing_since_s = 10.0, 60.0
    assert hub.cut_stalled(now_s=10.0 + STALL_S) == 0
    assert hub.cut_stalled(now_s=11.0 + STALL_S) == 1
    assert cut == ["box_stalled"]
    assert (stalled.closed, len(hub)) == (True, 2)
