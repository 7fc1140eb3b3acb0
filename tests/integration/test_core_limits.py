"""Counts of tries hold, whatever else is counted meanwhile."""

from __future__ import annotations

import pytest
from beffroi.core.identity import limits
from django.core.cache import cache

pytestmark = pytest.mark.django_db


def test_many_counts_of_others_do_not_end_one_s_own() -> None:
    """The cache throws a third away when it holds too many."""
    for _ in range(3):
        limits.count("attack", "somebody", window_s=3600)
    for number in range(700):
        cache.set(f"limit:other:{number}", 1, timeout=3600)
    assert limits.used_up("attack", "somebody", limit=3, window_s=3600)


def test_a_try_that_is_given_back_is_free_again() -> None:
    taken = [limits.take("attack", "a", limit=2, window_s=3600) for _ in range(3)]
    assert taken[0] and taken[1] and not taken[2]
    assert limits.take("attack", "b", limit=2, window_s=3600)
    limits.give_back(taken[0])
    assert limits.take("attack", "a", limit=2, window_s=3600) == taken[0]
