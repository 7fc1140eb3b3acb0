"""A nonce serves once, for a minute, whatever happens to the clock."""

from __future__ import annotations

import pytest
from beffroi.lib import clock
from beffroi.lib.errors import Unavailable
from beffroi.stream import nonces
from beffroi.stream.nonces import LIFE_S, NonceRefused, Nonces


@pytest.mark.parametrize("step_s", [0, -86400, 86400])
def test_it_serves_once_within_its_minute(step_s: int) -> None:
    known = Nonces()
    used, young, old = (known.issue() for _ in range(3))
    with clock.jumped(step_s):
        known.burn(known.check(used))
        known.burn(known.check(young))
        with pytest.raises(NonceRefused):
            known.check(used)
    with pytest.raises(NonceRefused):
        known.check(used)
    with clock.shifted(LIFE_S + 2), pytest.raises(NonceRefused):
        known.check(old)


def test_what_was_used_is_forgotten_after_a_minute_although_the_clock_was_set_back(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(nonces, "MAX_USED", 1)
    known = Nonces()
    with clock.jumped(86400):
        known.burn(known.check(known.issue()))
    with pytest.raises(Unavailable):
        known.burn(known.check(known.issue()))
    with clock.shifted(LIFE_S + 2):
        known.burn(known.check(known.issue()))
