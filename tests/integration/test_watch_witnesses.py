"""Liars and boxes on the database: what counts, what never blocks, what is told."""

from __future__ import annotations

import json
from collections.abc import Callable

import pytest
from beffroi.core.audit.models import AuditEntry
from beffroi.core.decisions import exceptions
from beffroi.core.decisions.exceptions import ExceptionRefused
from beffroi.core.decisions.models import Decision
from beffroi.core.events import outbox
from beffroi.core.events.models import OutboxEvent
from beffroi.core.events.running import run_pending
from beffroi.core.identity.actor import Actor
from beffroi.core.identity.models import ActivationCode
from beffroi.lib import clock
from beffroi.lib.ids import new_id
from beffroi.stream.store import Event, channel_events
from beffroi.watch import actions, reputation
from beffroi.watch.models import Campaign
from django.db import transaction

from tests.conftest import Commune
from tests.fixtures_traps import SCANNER, trap
from tests.fixtures_watch import (
    HOST,
    LANDING,
    URL,
    NameServer,
    Report,
    active,
    campaign,
    list_page,
    names,
    report,
)

__all__ = ["list_page", "names", "report"]


@pytest.mark.usefixtures("names")
def test_traps_of_two_communes_decide_an_address_and_one_never_does() -> None:
    for _ in range(5):
        trap("col_a")
    assert active() == set()
    trap("col_b", detector="box_brute_force")
    assert active() == {("ip", SCANNER)}
    made = Decision.objects.get()
    assert (made.rule, made.evidence["communes"], made.strength) == ("two_boxes", 2, "strong")


@pytest.mark.usefixtures("names")
@pytest.mark.parametrize(
    ("address", "detector", "tcp"),
    [
        (SCANNER, "box_honeyport", "false"),
        (SCANNER, "box_port_scan", "true"),
        ("1.1.1.1", "box_honeyport", "true"),
        ("192.168.1.20", "box_honeyport", "true"),
    ],
)
def test_what_a_stranger_could_forge_or_what_is_protected_never_decides(
    address: str, detector: str, tcp: str
) -> None:
    for owner in ("col_a", "col_b", "col_c"):
        trap(owner, address=address, detector=detector, tcp=tcp)
    assert active() == set()


def test_a_lone_commune_is_observed_and_a_second_one_blocks(report: Report) -> None:
    report("col_a", "per_1")
    weak = Decision.objects.get()
    assert (weak.value, weak.state, weak.rule, campaign().state) == (HOST, "observed", "one_commune", "open")
    report("col_b", "per_2")
    weak.refresh_from_db()
    assert (weak.state, weak.rule) == ("active", "two_communes")
    assert campaign().decisions == Decision.objects.filter(state="active").count()


def test_dismissing_a_campaign_ends_what_was_observed(report: Report, administrator: Actor) -> None:
    report("col_a", "per_1")
    actions.dismiss_campaign(actor=administrator, campaign=campaign())
    assert Decision.objects.get().state == "revoked"


def _lies(report: Report, administrator: Actor, commune: str, person: str, count: int) -> None:
    for number in range(count):
        url = f"https://innocent-{commune[-1]}{person[-1]}{number}.example/x"
        report(commune, person, indicators=[["url", url]])
        latest = Campaign.objects.filter(state="open").order_by("-first_seen").first()
        assert latest is not None
        actions.dismiss_campaign(actor=administrator, campaign=latest)


def test_who_reported_harmless_things_is_no_second_witness_until_time_has_passed(
    report: Report, administrator: Actor
) -> None:
    _lies(report, administrator, "col_a", "per_liar", 3)
    report("col_a", "per_liar")
    report("col_b", "per_2")
    assert active() == set()
    report("col_c", "per_3")
    assert ("domain", HOST) in active()
    with clock.shifted(120 * 86400):
        report("col_a", "per_liar", indicators=[["url", "https://new-lure.example.com/x"]])
        report("col_b", "per_2", indicators=[["url", "https://new-lure.example.com/x"]])
        assert ("domain", "new-lure.example.com") in active()


def test_a_commune_that_lies_is_no_second_witness_with_another_person(
    report: Report, administrator: Actor
) -> None:
    for person in range(3):
        _lies(report, administrator, "col_a", f"per_{person}", 2)
    report("col_a", "per_new")
    report("col_b", "per_2")
    assert active() == set()


def test_a_commune_that_reports_everything_within_an_hour_does_not_count(report: Report) -> None:
    for number in range(20):
        report("col_a", "per_1", indicators=[["url", f"https://many-{number}.example/x"]])
    report("col_a", "per_1")
    report("col_b", "per_2")
    assert active() == set()


def test_who_presses_on_a_whole_mailbox_silences_no_colleague(report: Report) -> None:
    for number in range(25):
        report("col_a", "per_0", indicators=[["url", f"https://many-{number}.example/x"]])
    report("col_a", "per_0")
    report("col_b", "per_2")
    assert active() == set()
    report("col_a", "per_1")
    assert ("domain", HOST) in active()


def test_a_commune_that_shares_its_flood_among_its_people_does_not_count(report: Report) -> None:
    for number in range(24):
        report("col_a", f"per_{number % 3}", indicators=[["url", f"https://many-{number}.example/x"]])
    report("col_a", "per_9")
    report("col_b", "per_b")
    assert active() == set()


@pytest.mark.usefixtures("names")
@pytest.mark.parametrize("noise", ["box_port_scan", "box_cleartext", "box_brute_force"])
def test_the_noise_of_a_box_silences_neither_its_other_detectors_nor_people(
    report: Report, noise: str
) -> None:
    for number in range(22):
        trap("col_a", address=f"45.130.1.{number + 1}", detector=noise)
    trap("col_a")
    trap("col_b")
    assert ("ip", SCANNER) in active()
    report("col_a", "per_1")
    report("col_b", "per_2")
    assert ("domain", HOST) in active()


def test_dismissed_alarms_of_a_box_are_no_lies_of_people_nor_of_its_other_detectors(
    report: Report, administrator: Actor
) -> None:
    for number in range(8):
        trap("col_a", address=f"45.130.1.{number + 1}", detector="box_honeyport")
    for one in Campaign.objects.filter(state="open"):
        actions.dismiss_campaign(actor=administrator, campaign=one)
    report("col_a", "per_1")
    report("col_b", "per_2")
    assert ("domain", HOST) in active()
    trap("col_b", detector="box_honeyport")
    trap("col_a", detector="box_honeyport")
    assert ("ip", SCANNER) not in active()  # what that detector told was harmless
    trap("col_a", detector="box_brute_force")
    assert ("ip", SCANNER) in active()


def test_an_attacker_drowns_no_trap_and_a_lying_box_is_heard_on_few_things_only(
    names: NameServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of what a detector tells within an hour the first things count, not none: a flood costs its own tail."""
    monkeypatch.setattr(reputation, "NEW_CAMPAIGNS_AN_HOUR", 5)
    addresses = [f"45.130.1.{number + 1}" for number in range(9)]
    for address in addresses:
        trap("col_a", address=address)
    for address in addresses:
        trap("col_b", address=address, detector="box_brute_force")
    assert {value for _, value in active()} == set(addresses[:5])
    trap("col_c", address=addresses[8])
    trap("col_d", address=addresses[8])
    assert ("ip", addresses[8]) in active()  # others' evidence does not wait for a liar
    with clock.shifted(3601):
        trap("col_a", address=addresses[6])
        trap("col_b", address=addresses[6], detector="box_brute_force")
        assert ("ip", addresses[6]) in active()


def test_a_box_is_no_commune_that_saw_a_mail(report: Report, list_page: Callable[[str], None]) -> None:
    """Else a lie of one box would stand for the second commune that spares a mass withdrawal its second person."""
    with transaction.atomic():
        outbox.publish(
            "sighting:from_box",
            {
                "sighting_id": new_id("sgt"),
                "detector": "box_port_scan",
                "door": "packet",
                "collectivite_id": "col_liar",
                "indicators": [["url", URL]],
                "evidence": {},
            },
        )
    run_pending("main")
    list_page(URL)
    report("col_a", "per_1", evidence={})
    assert Decision.objects.get(kind="url").evidence["communes"] == 1


def test_any_number_of_liars_of_one_commune_blocks_nothing(report: Report) -> None:
    for number in range(8):
        report("col_a", f"per_{number}")
        trap("col_a", address=LANDING)
    with clock.shifted(30 * 86400):
        run_pending("main")
    assert active() == set()


def test_what_machines_inside_call_is_taken_for_a_command_server_once_it_is_decided(
    report: Report, beaune: Commune
) -> None:
    with transaction.atomic():
        outbox.publish(
            "sighting:from_box",
            {
                "sighting_id": new_id("sgt"),
                "detector": "box_beacon",
                "door": "packet",
                "collectivite_id": "col_c",
                "indicators": [["domain", HOST]],
                "evidence": {},
            },
        )
    run_pending("main")
    assert not Decision.objects.exists()
    report("col_a", "per_1")
    report("col_b", "per_2")
    decision = Decision.objects.get(kind="domain")
    assert (decision.state, decision.reason) == ("active", "command_server")
    assert "box_beacon" in decision.evidence["detectors"]
    with pytest.raises(ExceptionRefused, match="command_server"):
        exceptions.allow_locally(
            actor=beaune.agent,
            collectivite_id=beaune.id,
            indicator=decision.indicator,
            ttl_s=60,
            reason="x",
        )


def _calls_home(name: str) -> None:
    with transaction.atomic():
        outbox.publish(
            "sighting:from_box",
            {
                "sighting_id": new_id("sgt"),
                "detector": "box_dns_tunnel",
                "door": "packet",
                "collectivite_id": "col_c",
                "indicators": [["domain", name]],
                "evidence": {},
            },
        )
    run_pending("main")


def test_the_address_and_the_links_of_a_command_server_are_opened_by_nobody(
    report: Report, beaune: Commune, administrator: Actor
) -> None:
    _calls_home(HOST)
    report("col_a", "per_1")
    report("col_b", "per_2")
    found = {d.indicator: d for d in Decision.objects.filter(state="active")}
    assert {i.kind for i in found} == {"domain", "url", "ip"}
    for indicator in found:
        for actor in (beaune.agent, administrator):
            with pytest.raises(ExceptionRefused, match="command_server"):
                exceptions.allow_locally(
                    actor=actor, collectivite_id=beaune.id, indicator=indicator, ttl_s=60, reason="x"
                )


def test_what_lies_below_a_command_server_is_one_and_a_box_that_names_a_suffix_says_nothing(
    report: Report,
) -> None:
    _calls_home("com")
    report("col_a", "per_1", indicators=[["url", "https://www.lure-one.com/x"]])
    report("col_b", "per_2", indicators=[["url", "https://www.lure-one.com/x"]])
    assert Decision.objects.get(kind="domain").reason == "two_communes"
    _calls_home("lure-two.com")
    report("col_a", "per_3", indicators=[["url", "https://www.lure-two.com/x"]])
    report("col_b", "per_4", indicators=[["url", "https://www.lure-two.com/x"]])
    assert Decision.objects.get(kind="domain", value="www.lure-two.com").reason == "command_server"


# -- confidentiality ---------------------------------------------------------------------------------------


def test_nothing_that_leaves_watch_tells_who_reported(
    report: Report, administrator: Actor, beaune: Commune, nuits: Commune
) -> None:
    """Feed entries, events that others may hear, audit entries, decisions: none holds a reporter."""
    report(beaune.id, beaune.agent.id)
    report(nuits.id, nuits.agent.id)
    trap(beaune.id)
    trap(nuits.id)
    actions.undo_campaign(actor=administrator, campaign=Campaign.objects.filter(state="decided")[0])
    reporters = {beaune.id, nuits.id, beaune.agent.id, nuits.agent.id}
    checked = 0
    for row in OutboxEvent.objects.exclude(kind__startswith="sighting:").order_by("id"):
        if row.kind.startswith(("communes:", "identity:", "mail:")):
            continue
        event = Event(row.id, row.kind, row.collectivite_id, json.loads(row.payload))
        told = [str(change) for change in channel_events(event)] + [row.payload, str(row.collectivite_id)]
        assert not any(one in text for text in told for one in reporters), row.kind
        checked += 1
    for entry in AuditEntry.objects.filter(verb__regex="^(campaign|decision):"):
        told = [str(entry.details), str(entry.collectivite_id), entry.object_id, entry.actor_id]
        assert not any(one in text for text in told for one in reporters), entry.verb
        checked += 1
    for decision in Decision.objects.all():
        assert not any(one in str(decision.__dict__) for one in reporters)
        checked += 1
    assert checked > 12


def test_a_referent_of_two_communes_makes_no_second_witness(
    report: Report, beaune: Commune, nuits: Commune
) -> None:
    """Somebody took over the account of a secretary of two town halls, and added a person in the other one."""
    for number, (person, owner, made_by) in enumerate(
        (
            (beaune.agent.id, beaune.id, nuits.referent.id),
            (beaune.referent.id, beaune.id, "adm_1"),  # the Département added the first one of each
            (nuits.referent.id, nuits.id, "adm_1"),
        )
    ):
        ActivationCode.objects.create(
            person_id=person,
            collectivite_id=owner,
            made_by=made_by,
            sha256=f"{number:064}",
            expires_at=clock.now(),
            used_at=clock.now(),
        )
    report(nuits.id, nuits.referent.id)
    report(beaune.id, beaune.agent.id)
    assert active() == set()
    report(beaune.id, beaune.referent.id)
    assert ("domain", HOST) in active()
