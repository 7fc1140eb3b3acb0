"""A nonce serves once, for a minute, whatever happens to the clock."""

from __future__ import annotations

import pytest
from beffroi.lib import clock
from beffroi.lib.errors import Unavailable
from beffroi.stream import nonces
from beffroi.stream.nonces import LIFE_S, MAX_USED_A_BOX, NonceRefused, Nonces, TooManyRequests

BOX = "box_1"


@pytest.mark.parametrize("step_s", [0, -86400, 86400])
def test_it_serves_once_within_its_minute(step_s: int) -> None:
    known = Nonces()
    used, young, old = (known.issue() for _ in range(3))
    with clock.jumped(step_s):
        known.burn(known.check(used, BOX), BOX)
        known.burn(known.check(young, BOX), BOX)
        with pytest.raises(NonceRefused):
            known.check(used, BOX)
    with pytest.raises(NonceRefused):
        known.check(used, BOX)
    with clock.shifted(LIFE_S + 2), pytest.raises(NonceRefused):
        known.check(old, BOX)


def test_what_was_used_is_forgotten_after_a_minute_although_the_clock_was_set_back(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(nonces, "MAX_USED", 1)
    known = Nonces()
    with clock.jumped(86400):
        known.burn(known.check(known.issue(), BOX), BOX)
    with pytest.raises(Unavailable):
        known.burn(known.check(known.issue(), BOX), BOX)
    with clock.shifted(LIFE_S + 2):
        known.burn(known.check(known.issue(), BOX), BOX)


def test_a_stolen_box_takes_its_own_share_alone_and_has_it_again_after_a_minute() -> None:
    known = Nonces()
    for _ in range(MAX_USED_A_BOX):
        known.burn(known.check(known.issue(), BOX), BOX)
    with pytest.raises(TooManyRequests):
        known.check(known.issue(), BOX)
    known.burn(known.check(known.issue(), "box_2"), "box_2")
    with clock.shifted(LIFE_S + 2):
        known.burn(known.check(known.issue(), BOX), BOX)


def test_who_only_says_to_be_a_box_takes_nothing_of_its_share() -> None:
    known = Nonces()
    for _ in range(MAX_USED_A_BOX + 1):
        known.check(known.issue(), BOX)
    assert not known._by_owner, "a Counter keeps no name that it was only asked about"
