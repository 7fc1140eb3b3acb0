"""From what rspamd tells of a text to its sketch."""

from __future__ import annotations

from beffroi.mail.gate import texts
from beffroi.mail.gate.facts import Facts, text
from beffroi_protocol.indicators import Indicator, Kind, is_canonical
from beffroi_protocol.sketches import LANES, lanes

KEY = b"k" * 32
TOLD = [str(10**17 + n) for n in range(LANES)]


def test_a_sketch_has_a_lane_for_each_number_and_each_depends_on_its_own_alone() -> None:
    made = texts.sketch(KEY, TOLD)
    assert is_canonical(Indicator(Kind.SKETCH, made)) and len(set(lanes(made))) == LANES
    other = lanes(texts.sketch(KEY, ["1", *TOLD[1:]]))
    assert [a == b for a, b in zip(lanes(made), other, strict=True)] == [False] + [True] * (LANES - 1)


def test_who_lacks_the_key_makes_another_sketch_of_the_same_text() -> None:
    assert not set(lanes(texts.sketch(KEY, TOLD))) & set(lanes(texts.sketch(b"x" * 32, TOLD)))


def test_the_same_number_at_another_place_is_another_lane() -> None:
    assert len(set(lanes(texts.sketch(KEY, ["7"] * LANES)))) == LANES


def test_no_text_or_half_a_one_has_no_sketch() -> None:
    assert [texts.sketch(KEY, told) for told in ([], TOLD[:-1], [*TOLD, "1"])] == ["", "", ""]
    assert text(Facts(1, "msg_x", text={})) == [] and text(Facts(1, "msg_x")) == []
