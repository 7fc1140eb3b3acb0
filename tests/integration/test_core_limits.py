"""Counts of tries hold, whatever else is counted meanwhile."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
from beffroi.core.identity import administrators, limits
from beffroi.core.identity.administrators import NewAdministrator
from beffroi.lib import clock
from django.contrib.auth.hashers import check_password
from django.core.cache import DEFAULT_CACHE_ALIAS, cache, caches
from django.db import connection

from tests.conftest import PASSWORD, code_of


@pytest.mark.django_db
def test_many_counts_of_others_do_not_end_one_s_own(monkeypatch: pytest.MonkeyPatch) -> None:
    """Django's cache throws a third away when it holds too many, the first in the alphabet: who has networks enough
    would fill it and try anew."""
    monkeypatch.setattr(caches[DEFAULT_CACHE_ALIAS], "_max_entries", 300)
    for _ in range(3):
        assert limits.take("attack", "somebody", limit=3, window_s=3600)
    for number in range(700):
        cache.set(f"limit:other:{number}", 1, timeout=-1 if number < 100 else 3600)
    assert not limits.take("attack", "somebody", limit=3, window_s=3600)
    with connection.cursor() as cursor:
        cursor.execute("SELECT COUNT(*) FROM django_cache WHERE cache_key LIKE %s", ["%limit:other:%"])
        assert cursor.fetchone() == (600,), "what is over goes"


@pytest.mark.django_db
def test_a_try_that_is_given_back_is_free_again() -> None:
    taken = [limits.take("attack", "a", limit=2, window_s=3600) for _ in range(3)]
    assert taken[0] and taken[1] and not taken[2]
    assert limits.take("attack", "b", limit=2, window_s=3600)
    limits.give_back(taken[0])
    assert limits.take("attack", "a", limit=2, window_s=3600) == taken[0]


@pytest.mark.django_db(transaction=True)
def test_guesses_that_come_at_once_are_no_more_than_those_that_come_in_turn(
    new_administrator: NewAdministrator, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Twelve with the right password, each with a code of its own; all of them are let past the limit together."""
    together, codes, check = threading.Barrier(12), [], check_password

    def check_together(password: str, kept: str) -> bool:
        together.wait(60)
        return check(password, kept)

    def use_code(_: object, code: str, _of: str) -> bool:
        codes.append(code)
        return False

    monkeypatch.setattr(administrators, "check_password", check_together)
    monkeypatch.setattr(administrators, "_use_code", use_code)

    def guess(number: int) -> str:
        try:
            administrators.authenticate_administrator(
                email=new_administrator.record.email,
                password=PASSWORD,
                code=f"{number:06}",
                address="192.0.2.1",
            )
        except administrators.SignInRefused:
            return "refused"
        finally:
            connection.close()
        return "in"

    with ThreadPoolExecutor(12) as threads:
        assert set(threads.map(guess, range(12))) == {"refused"}
    assert len(codes) == len(set(codes)) == administrators._PER_ACCOUNT_AND_NETWORK


@pytest.mark.django_db
def test_whoever_knows_the_password_uses_up_no_tries(new_administrator: NewAdministrator) -> None:
    for number in range(2 * administrators._PER_ACCOUNT_AND_NETWORK + 1):  # so that one window has too many
        with clock.shifted(30 * number):
            code = code_of(new_administrator)
            administrators.authenticate_administrator(
                email=new_administrator.record.email, password=PASSWORD, code=code, address="192.0.2.1"
            )
