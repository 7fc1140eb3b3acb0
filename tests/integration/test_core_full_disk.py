"""A full disk at the sign-in: it is said as it is, and never looks like too many tries."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from beffroi.core.events.models import OutboxEvent
from beffroi.core.identity import failures
from beffroi.core.identity.administrators import NewAdministrator
from beffroi.core.identity.models import SignIn
from beffroi.core.identity.shared_cache import StorageFull
from django.core.cache import cache
from django.core.cache.backends.db import DatabaseCache
from django.db import OperationalError, connection
from django.test import Client

from tests.conftest import PASSWORD, Commune, code_of
from tests.fixtures_portal import no_door, on_listener, visitor

pytestmark = pytest.mark.usefixtures("committed")
__all__ = ["no_door"]
ATTACKER = "5.181.80.66"
SAYS = {
    "sqlite": "database or disk is full",
    "postgresql": 'could not extend file "base/1/2": No space left on device',
}


@contextmanager
def full_disk() -> Iterator[None]:
    """Every statement that writes is answered as by the real thing; reading goes on."""

    def refuse(execute: Callable[..., Any], sql: str, *rest: Any) -> Any:
        if sql.lstrip().upper().startswith(("INSERT", "UPDATE", "DELETE")):
            raise OperationalError(SAYS[connection.vendor])
        return execute(sql, *rest)

    with connection.execute_wrapper(refuse):
        yield


def test_the_portal_says_that_the_disk_is_full_and_not_that_there_were_too_many_tries(
    beaune: Commune,
) -> None:
    client = Client(headers={"X-Beffroi-Listener": "portal"})
    wanted = {"login": beaune.agent_membership.person.email, "password": PASSWORD}
    with full_disk():
        assert client.get("/connexion/").status_code == 200
        answer = client.post("/connexion/", wanted)
    text = answer.content.decode()
    assert answer.status_code == 503
    assert "plus de place pour écrire" in text
    assert "Prévenez le Département" in text
    assert "Trop d" not in text
    assert client.post("/connexion/", wanted).status_code == 302  # with room again, nothing is left of it


def test_who_is_in_reads_on_a_full_disk_from_another_network_too(beaune: Commune) -> None:
    client = visitor()
    wanted = {"login": beaune.agent_membership.person.email, "password": PASSWORD}
    assert client.post("/connexion/", wanted).status_code == 302
    assert client.get("/acces/").status_code == 200
    away = {"X-Forwarded-For": "198.51.100.9"}
    with full_disk():
        assert client.get("/acces/", headers=away).status_code == 200
    assert client.get("/acces/", headers=away).status_code == 200
    assert SignIn.objects.filter(address="198.51.100.9").count() == 1


@pytest.mark.parametrize("right", [True, False])
def test_the_console_says_the_same(new_administrator: NewAdministrator, right: bool) -> None:
    code = code_of(new_administrator)
    fields = {"email": new_administrator.record.email, "password": PASSWORD if right else "x", "code": code}
    with on_listener("console"), full_disk():
        answer = Client(headers={"X-Beffroi-Listener": "console"}).post("/connexion/", fields)
    assert answer.status_code == 503
    assert "plus de place pour écrire" in answer.content.decode()


def test_a_key_that_somebody_holds_is_no_full_disk() -> None:
    assert cache.add("key", 1)
    assert not cache.add("key", 2)
    with full_disk():
        assert not cache.add("key", 2)
        with pytest.raises(StorageFull):
            cache.add("another", 1)
    assert cache.get("key") == 1


def test_a_key_that_others_hold_in_turn_is_no_full_disk(monkeypatch: pytest.MonkeyPatch) -> None:
    """A house signs in at once, by one address: its lock is free when one looks, and taken when one wants it."""
    add = DatabaseCache.add

    def taken(self: DatabaseCache, key: str, *given: Any, **more: Any) -> bool:
        return key != "lock" and add(self, key, *given, **more)

    monkeypatch.setattr(DatabaseCache, "add", taken)
    assert not cache.add("lock", 1)
    with full_disk(), pytest.raises(StorageFull):
        cache.add("lock", 1)


def test_failed_sign_ins_of_the_console_are_counted_as_those_of_every_door(
    new_administrator: NewAdministrator,
) -> None:
    fields = {"email": new_administrator.record.email, "password": "wrong", "code": "000000"}
    with on_listener("console"):
        for _ in range(40):
            client = Client(headers={"X-Beffroi-Listener": "console", "X-Forwarded-For": ATTACKER})
            assert client.post("/connexion/", fields).status_code == 403
    told = [row.payload for row in OutboxEvent.objects.filter(kind=failures.KIND)]
    assert 0 < len(told) < 40  # the limits of sign-in bound what is written
    assert all(ATTACKER in one and '"door":"console"' in one for one in told)
    assert not any(new_administrator.record.email in one for one in told)
