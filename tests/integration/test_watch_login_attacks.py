"""Guessing at the portal and at IMAP becomes one decision for all, on the database."""

from __future__ import annotations

import pytest
from beffroi.core.communes.models import Collectivite, Domain
from beffroi.core.decisions.models import Decision
from beffroi.core.events import outbox
from beffroi.core.events.models import OutboxEvent
from beffroi.core.events.running import run_pending
from beffroi.core.identity import failures
from beffroi.core.identity.actor import Actor
from beffroi.core.identity.administrators import SignInRefused, authenticate_administrator
from beffroi.core.identity.models import Administrator, SignIn
from beffroi.lib import clock
from beffroi.watch import consumers, login_attacks
from beffroi.watch.models import Campaign, Sighting
from django.db import transaction

ATTACKER = "5.181.80.66"


@pytest.fixture(autouse=True)
def communes(database: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(consumers, "_failures", login_attacks.Memory())
    for name in ("nolay", "seurre"):
        owner = Collectivite.objects.create(kind="commune", name=name)
        Domain.objects.create(name=f"mairie-{name}.fr", collectivite=owner)


def _fail(account: str, door: str = "imap", address: str = ATTACKER) -> None:
    found = failures.payload(address=address, account=account, door=door)
    assert found is not None
    with transaction.atomic():
        outbox.publish(failures.KIND, found)
    run_pending("main")


def test_accounts_of_two_communes_across_doors_decide_the_address_and_tell_no_account() -> None:
    for n in range(4):
        _fail(f"agent{n}@mairie-nolay.fr", "imap")
    assert not Decision.objects.exists()
    _fail("maire@mairie-seurre.fr", "portal")
    made = Decision.objects.get()
    assert (made.kind, made.value, made.state, made.rule) == ("ip", ATTACKER, "active", "strong_detector")
    assert made.evidence["detectors"] == ["login_attack"]
    assert made.campaign_id == Campaign.objects.get().id
    assert Sighting.objects.get().evidence == {"login_accounts": "5", "login_communes": "2"}
    assert not any("agent" in row.payload or "maire@" in row.payload for row in OutboxEvent.objects.all())


def test_one_town_hall_whose_mail_programs_hold_old_passwords_is_not_blocked() -> None:
    for n in range(20):
        _fail(f"agent{n}@mairie-nolay.fr")
    assert not Sighting.objects.exists()


def test_names_of_nobody_here_count_nothing() -> None:
    for n in range(20):
        _fail(f"agent{n}@ailleurs{n}.example.org")
    assert not Sighting.objects.exists()


def _at_console(account: str) -> None:
    with pytest.raises(SignInRefused):
        authenticate_administrator(email=account, password="wrong", code="000000", address=ATTACKER)
    run_pending("main")


def test_names_tried_at_the_console_decide_the_address(administrator: Actor) -> None:
    (mine,) = Administrator.objects.values_list("email", flat=True)
    domain = mine.rpartition("@")[2]
    assert not Domain.objects.filter(name=domain).exists()
    _at_console(mine)
    for n in range(3):
        _at_console(f"admin{n}@ailleurs.example.org")
    for n in range(3):
        _at_console(f"dsi{n}@{domain}")
    assert not Sighting.objects.exists()
    _at_console(f"maire@{domain}")
    assert Decision.objects.get().value == ATTACKER
    assert Sighting.objects.get().evidence == {
        "login_accounts": "5",
        "login_communes": "1",
        "login_nobody": "4",
    }


def test_an_administrator_counts_beside_a_commune(administrator: Actor) -> None:
    for n in range(4):
        _fail(f"agent{n}@mairie-nolay.fr")
    _at_console(Administrator.objects.get().email)
    assert Sighting.objects.get().evidence == {"login_accounts": "5", "login_communes": "2"}


def test_a_shared_house_where_more_people_sign_in_than_fail_is_not_blocked() -> None:
    now = clock.now()
    for n in range(8):
        SignIn.objects.create(
            person_id=f"per_{n}",
            collectivite_id="col_a",
            door="imap",
            address=ATTACKER,
            day=now.date(),
            first_at=now,
            last_at=now,
        )
    for n in range(8):
        _fail(f"agent{n}@mairie-{('nolay', 'seurre')[n % 2]}.fr")
    assert not Sighting.objects.exists()
    _fail("agent9@mairie-nolay.fr")
    assert Sighting.objects.exists(), "more accounts fail than people belong there"


def test_after_an_undo_the_address_must_be_seen_guessing_anew() -> None:
    for n in range(5):
        _fail(f"agent{n}@mairie-{('nolay', 'seurre')[n % 2]}.fr")
    assert Sighting.objects.count() == 1
    _fail("agent9@mairie-nolay.fr")
    assert Sighting.objects.count() == 1
