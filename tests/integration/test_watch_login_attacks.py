"""Guessing at the portal and at IMAP becomes one decision for all, on the database."""

from __future__ import annotations

import pytest
from beffroi.core.communes.models import Collectivite, Domain
from beffroi.core.decisions import shared
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


NETWORK = "2a01:cb00:12:34::/64"


def test_who_takes_another_address_of_ipv6_for_each_try_is_refused_with_the_whole_network() -> None:
    for n in range(5):
        _fail(f"agent{n}@mairie-{('nolay', 'seurre')[n % 2]}.fr", address=f"2a01:cb00:12:34::{n + 1:x}")
    made = Decision.objects.get()
    assert (made.kind, made.value, made.state) == ("cidr", NETWORK, "active")
    assert made.rule == "strong_detector"
    _fail("agent1@mairie-nolay.fr", address="2a01:cb00:12:35::1")
    assert Decision.objects.count() == 1


def test_who_has_thousands_of_networks_fills_no_list_of_ranges(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(login_attacks, "MOST_NETWORKS", 2)
    for network in range(4):
        for n in range(5):
            _fail(
                f"agent{n}@mairie-{('nolay', 'seurre')[n % 2]}.fr",
                address=f"2a01:cb00:12:{network:x}::{n + 1:x}",
            )
    assert list(Decision.objects.order_by("id").values_list("kind", "value")) == [
        ("cidr", "2a01:cb00:12::/64"),
        ("cidr", "2a01:cb00:12:1::/64"),
        ("ip", "2a01:cb00:12:2::5"),
        ("ip", "2a01:cb00:12:3::5"),
    ]


def test_a_network_of_ipv6_from_which_as_many_people_sign_in_is_not_refused() -> None:
    now = clock.now()
    for n in range(5):
        SignIn.objects.create(
            person_id=f"per_{n}",
            collectivite_id="col_a",
            door="imap",
            address=f"2a01:cb00:12:34::{n + 100:x}",
            day=now.date(),
            first_at=now,
            last_at=now,
        )
    for n in range(5):
        _fail(f"agent{n}@mairie-{('nolay', 'seurre')[n % 2]}.fr", address=f"2a01:cb00:12:34::{n + 1:x}")
    assert not Sighting.objects.exists()


def test_a_network_of_ipv6_that_serves_a_member_is_left_to_a_person() -> None:
    shared.note("mairie-nolay.fr", ["2a01:cb00:12:34::80"])
    for n in range(5):
        _fail(f"agent{n}@mairie-{('nolay', 'seurre')[n % 2]}.fr", address=f"2a01:cb00:12:34::{n + 1:x}")
    assert not Decision.objects.exists()
    assert Campaign.objects.get().refusals[0]["code"] == "address_shared"


def test_what_was_decided_about_a_network_ends_when_a_member_turns_out_to_live_there() -> None:
    for n in range(5):
        _fail(f"agent{n}@mairie-{('nolay', 'seurre')[n % 2]}.fr", address=f"2a01:cb00:12:34::{n + 1:x}")
    shared.note("mairie-nolay.fr", ["2a01:cb00:12:34::80"])
    assert Decision.objects.get().state == "revoked"


def test_one_account_every_four_minutes_is_seen_within_the_day() -> None:
    for n in range(2, 5):
        owner = Collectivite.objects.create(kind="commune", name=f"commune{n}")
        Domain.objects.create(name=f"mairie{n}.fr", collectivite=owner)
    domains = ["mairie-nolay.fr", "mairie-seurre.fr", *(f"mairie{n}.fr" for n in range(2, 5))]
    for n in range(20):
        assert not Decision.objects.exists()
        with clock.shifted(240 * n):
            _fail(f"agent{n}@{domains[n % 5]}")
    assert Decision.objects.get().value == ATTACKER
    assert Sighting.objects.get().evidence == {"login_accounts": "20", "login_communes": "5"}
