"""What the centre took is kept for some days, and told again to one that was restored from a backup."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path

import pytest
from beffroi_box import retelling, told
from beffroi_box.config import build
from beffroi_box.errors import CentreRefused, CentreUnreachable, ConfigInvalid
from beffroi_box.facts import FactSpool
from beffroi_box.sender import Sender
from beffroi_box.told import LOOSE, Told
from beffroi_protocol.facts import EntryRefused, Fact, FactBatch, FactsTaken, NamesRefused, Sighting
from beffroi_protocol.indicators import Indicator, Kind
from beffroi_protocol.messages import Action, Entry, decode, encode

NOW = 1_800_000_000
DAY_S = 86400
EVIL = Indicator(Kind.IP, "45.83.64.7")


def count(number: int) -> NamesRefused:
    return NamesRefused(f"fct_{number}", Indicator(Kind.DOMAIN, f"n{number}.example"), 1, NOW, NOW)


def alarm(number: int) -> Sighting:
    return Sighting(f"sig_{number}", "honeyport", (EVIL,), NOW)


class Clock:
    now = NOW

    def __call__(self) -> int:
        return self.now


class Centre:
    """As the stream's ``put_facts``: facts once each, and the number up to which all posts are here."""

    def __init__(self) -> None:
        self.facts: dict[str, Fact] = {}
        self.number = 0
        self.trouble: Exception | None = None
        self.posts: list[FactBatch] = []

    def backup(self) -> tuple[dict[str, Fact], int]:
        return dict(self.facts), self.number

    def restore(self, saved: tuple[dict[str, Fact], int]) -> None:
        self.facts, self.number = dict(saved[0]), saved[1]

    def post(self, path: str, body: bytes) -> bytes:
        if self.trouble is not None:
            raise self.trouble
        batch = decode(body, FactBatch)
        self.posts.append(batch)
        self.facts |= {fact.id: fact for fact in batch.facts}
        if batch.after <= self.number < batch.number:
            self.number = batch.number
        return encode(FactsTaken(len(batch.facts), self.number))


class Box:
    """Spool and sender of an agent that starts anew with each ``Box`` on the same directory."""

    def __init__(
        self, directory: Path, centre: Centre, clock: Callable[[], int], *, keep_s: int = 7 * DAY_S
    ) -> None:
        directory.mkdir(exist_ok=True)
        self.spool = FactSpool(directory, "box_1", keep_s=keep_s, now=clock)
        self.sender = Sender(centre.post, self.spool)
        self.centre = centre
        self.monotonic = 0.0

    def tell(self, *facts: Fact) -> None:
        for fact in facts:
            self.spool.tell(fact)
        self.send()

    def send(self) -> bool:
        self.monotonic += 3.0
        return self.sender.send_facts(monotonic=self.monotonic)

    def join(self) -> None:
        self.sender.again.joined(str(self.centre.number), monotonic=self.monotonic)

    def wait(self) -> None:
        """Until nothing is to be told again."""
        for _ in range(1000):
            if self.sender.again.due == math.inf:
                return
            self.monotonic = max(self.monotonic, self.sender.again.due)
            self.send()
        raise AssertionError("it never ends")


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def centre() -> Centre:
    return Centre()


@pytest.fixture
def box(tmp_path: Path, centre: Centre, clock: Clock) -> Box:
    return Box(tmp_path / "spool", centre, clock)


def kept(tmp_path: Path) -> list[str]:
    return sorted(path.suffix for path in (tmp_path / "spool" / "told").iterdir())


def test_a_restored_centre_is_told_again_what_it_lacks_and_nothing_else(box: Box, centre: Centre) -> None:
    box.tell(count(1), alarm(1))
    saved = centre.backup()
    box.tell(count(2))
    box.tell(alarm(2), count(3))
    whole = centre.backup()
    centre.restore(saved)
    box.join()
    centre.posts.clear()
    box.wait()
    assert centre.backup() == whole
    assert {fact.id for post in centre.posts for fact in post.facts} == {"fct_2", "fct_3", "sig_2"}
    assert [fact.id for fact in centre.posts[0].facts] == ["sig_2"]  # evidence first
    centre.posts.clear()
    box.join()
    box.wait()
    assert centre.posts == []


def test_what_is_new_goes_first_and_hides_no_gap(box: Box, centre: Centre) -> None:
    saved = centre.backup()
    box.tell(alarm(1))
    centre.restore(saved)
    box.tell(alarm(2))
    assert set(centre.facts) == {"sig_2"} and centre.number == 0
    box.wait()  # the answer said that something is lacking, without a new connection
    assert set(centre.facts) == {"sig_1", "sig_2"} and centre.number == 2


def test_a_restarted_agent_still_has_it(tmp_path: Path, box: Box, centre: Centre, clock: Clock) -> None:
    for number in range(3):
        box.tell(alarm(number))
    centre.restore(({}, 0))
    again = Box(tmp_path / "spool", centre, clock)
    again.join()
    again.wait()
    assert set(centre.facts) == {"sig_0", "sig_1", "sig_2"} and centre.number == 3


def test_telling_again_waits_for_a_centre_that_cannot_and_begins_at_random(box: Box, centre: Centre) -> None:
    box.tell(alarm(1))
    centre.restore(({}, 0))
    box.join()
    assert 0 <= box.sender.again.due - box.monotonic <= retelling.SPREAD_S
    box.monotonic += retelling.SPREAD_S
    centre.trouble = CentreUnreachable("down")
    assert not box.send()
    centre.trouble = None
    box.wait()
    assert set(centre.facts) == {"sig_1"}


def test_what_the_centre_will_never_take_again_is_dropped_and_the_rest_follows(
    box: Box, centre: Centre
) -> None:
    box.tell(alarm(1))
    centre.restore(({}, 0))
    box.join()
    box.monotonic += retelling.SPREAD_S
    centre.trouble = CentreRefused(400, "request.invalid")
    assert not box.send()
    centre.trouble = None
    box.tell(alarm(2))
    box.wait()
    assert set(centre.facts) == {"sig_2"} and centre.number == 2


def test_a_box_that_lost_its_number_goes_on_from_the_centres(
    tmp_path: Path, centre: Centre, clock: Clock
) -> None:
    centre.number = 40
    fresh = Box(tmp_path / "spool", centre, clock)
    fresh.tell(alarm(1))  # before it heard of the 40
    fresh.wait()
    assert centre.number == 41
    fresh.tell(alarm(2))
    assert centre.number == 42
    centre.restore(({}, 40))
    fresh.join()
    fresh.wait()
    assert set(centre.facts) == {"sig_1", "sig_2"} and centre.number == 42


def test_a_centre_that_does_not_count_is_told_nothing_twice(box: Box, centre: Centre) -> None:
    box.tell(alarm(1))
    box.sender.again.joined(None, monotonic=0.0)
    for bad in ("", "-1", "x", "9" * 30, "²"):
        box.sender.again.joined(bad, monotonic=0.0)
    assert box.sender.again.due == math.inf
    for answer in (b"", b"{}", b"[]", b'{"stored":1}', b'{"told":-1}'):
        assert retelling.has(answer) is None


def test_many_posts_are_packed_and_lose_nothing(tmp_path: Path, box: Box, centre: Centre) -> None:
    for number in range(LOOSE + 2):
        box.tell(alarm(number), count(number))
    assert kept(tmp_path) == [".one", ".one", ".packed"]
    whole = centre.backup()
    centre.restore(({}, 0))
    box.join()
    centre.posts.clear()
    box.wait()
    assert centre.backup() == whole
    assert len(centre.posts) < 10  # and not one for each


def test_what_is_older_than_the_kept_days_is_deleted_but_for_the_number(
    tmp_path: Path, box: Box, centre: Centre, clock: Clock
) -> None:
    for day in range(10):
        clock.now = NOW + day * DAY_S
        box.tell(alarm(day))
    centre.restore(({}, 0))
    box.join()
    box.wait()
    assert set(centre.facts) == {f"sig_{day}" for day in range(2, 10)} and centre.number == 10
    clock.now += 8 * DAY_S + 1
    box.spool.keep()
    assert kept(tmp_path) == [".none"]
    assert Box(tmp_path / "spool", centre, clock).spool.take() is None
    centre.posts.clear()
    Box(tmp_path / "spool", centre, clock).tell(alarm(99))
    assert centre.posts[0].number == 11


def test_without_room_counts_go_first_and_evidence_last(
    tmp_path: Path, centre: Centre, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(told, "MAX_BYTES", 6000)
    box = Box(tmp_path / "spool", centre, clock)
    for number in range(3 * LOOSE):
        box.tell(*(count(10 * number + n) for n in range(10)), alarm(number))
    place = tmp_path / "spool" / "told"
    size = sum(path.stat().st_size for path in place.iterdir() if path.suffix != ".one")
    assert size <= 6000
    centre.restore(({}, 0))
    box.join()
    box.wait()
    told_again = set(centre.facts)
    assert {f"sig_{n}" for n in range(3 * LOOSE)} <= told_again
    assert "fct_0" not in told_again and centre.number == 3 * LOOSE


def test_two_files_about_the_same_posts_after_a_power_cut_count_once(
    tmp_path: Path, box: Box, centre: Centre, clock: Clock
) -> None:
    for number in range(3):
        box.tell(alarm(number))
    place = tmp_path / "spool" / "told"
    loose = {path.name: path.read_bytes() for path in place.iterdir()}
    list(box.spool._told.lacking(0))  # packs them
    for name, data in loose.items():
        (place / name).write_bytes(data)
    (place / "9-9-9.one.new").write_bytes(b"half")
    box = Box(tmp_path / "spool", centre, clock)
    assert kept(tmp_path) == [".packed"]
    centre.restore(({}, 0))
    box.join()
    box.wait()
    assert centre.number == 3


def test_a_damaged_file_is_left_out(tmp_path: Path, box: Box, centre: Centre) -> None:
    box.tell(alarm(1))
    box.tell(alarm(2))
    place = tmp_path / "spool" / "told"
    first = min(place.iterdir())
    first.write_bytes(first.read_bytes()[:20])
    centre.restore(({}, 0))
    box.join()
    box.wait()
    assert set(centre.facts) == {"sig_2"} and centre.number == 2


def test_a_file_that_went_while_it_was_read_ends_the_round(tmp_path: Path, clock: Clock) -> None:
    of = Told(tmp_path / "told", keep_s=DAY_S, now=clock)
    of.keep(1, [count(1)])
    posts = of.lacking(0)
    for path in (tmp_path / "told").iterdir():
        path.unlink()
    assert list(posts) == []


def test_nothing_is_kept_where_the_setting_says_so(tmp_path: Path, centre: Centre, clock: Clock) -> None:
    box = Box(tmp_path / "spool", centre, clock, keep_s=0)
    box.tell(alarm(1))
    assert not (tmp_path / "spool" / "told").exists()
    centre.restore(({}, 0))
    box.join()
    assert box.sender.again.due == math.inf


@pytest.mark.parametrize("days", [-1, 31])
def test_an_impossible_number_of_days_is_refused(tmp_path: Path, days: int) -> None:
    with pytest.raises(ConfigInvalid, match="told_days"):
        build(tmp_path, {"told_days": days}, tmp_path / "box.toml")


def test_part_of_a_post_that_was_refused_is_kept_as_it_was_taken(
    tmp_path: Path, box: Box, centre: Centre
) -> None:
    """A post that is refused is halved until the bad fact is alone: each part that was taken has its number."""
    bad = Entry("dec_bad", EVIL, Action.BLOCK, NOW)
    box.spool.tell(alarm(1))
    box.spool.refused(bad, "the State", NOW)
    box.spool.tell(alarm(2))
    taking = centre.post

    def post(path: str, body: bytes) -> bytes:
        if any(isinstance(fact, EntryRefused) for fact in decode(body, FactBatch).facts):
            raise CentreRefused(400, "request.invalid")
        return taking(path, body)

    box.sender._post = post
    while box.spool.waiting():
        box.send()
    assert set(centre.facts) == {"sig_1", "sig_2"} and centre.number == 2
    centre.restore(({}, 0))
    box.join()
    box.wait()
    assert set(centre.facts) == {"sig_1", "sig_2"} and centre.number == 2
