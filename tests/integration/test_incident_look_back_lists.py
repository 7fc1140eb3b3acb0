"""A list that is published or grows is looked for in sign-ins, mail and what boîtiers tell: one incident a commune."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from beffroi.core.decisions import exceptions, lists, never_again
from beffroi.core.decisions.models import IndicatorList
from beffroi.core.events import outbox
from beffroi.core.events.running import run_pending
from beffroi.core.identity.actor import Actor
from beffroi.incidents import queries
from beffroi.incidents.models import Encounter, Incident
from beffroi.incidents.rules import PLANS, Kind
from beffroi.lib import clock
from beffroi.mail.models import MailMessage, MailObservation
from beffroi_protocol.indicators import normalise
from django.db import transaction

from tests.conftest import Commune
from tests.fixtures_incidents import sign_in
from tests.fixtures_portal import LURE_ID, deliver, own_mailbox

pytestmark = pytest.mark.usefixtures("database")
SERVER = "185.203.116.9"


def publish(name: str, *values: str, kind: str = "ip", **options: Any) -> IndicatorList:
    row = lists.publish_list(
        actor=Actor.system("tests"),
        name=name,
        kind=kind,
        values=values,
        source="abuse.ch",
        licence="CC0",
        **options,
    ).row
    run_pending("main")
    run_pending("main")  # what mail told of it
    return row


def told(commune: Commune, name: str, value: str = SERVER, kind: str = "ip", **changes: object) -> None:
    """As a boîtier's look back arrives."""
    now = clock.epoch_s()
    payload = {
        "box_id": "box_x", "entry_id": name, "indicator_kind": kind, "indicator_value": value,
        "count": 41, "days": 3, "first_at": now - 9 * 86400, "last_at": now - 60,
    } | changes  # fmt: skip
    with transaction.atomic():
        outbox.publish("box:looked_back", payload, collectivite_id=commune.id)
    run_pending("main")


@pytest.mark.parametrize(
    ("threat", "kind"),
    [
        ("command_server", Kind.COMMAND_SERVER),
        ("malware", Kind.COMMAND_SERVER),
        ("phishing", Kind.LISTED_MET),
        ("scanner", Kind.LISTED_MET),
        ("", Kind.LISTED_MET),
    ],
)
def test_a_lan_that_met_values_of_a_list_gets_one_incident(threat: str, kind: Kind, beaune: Commune) -> None:
    row = publish("feodo", SERVER, "185.203.116.10", threat=threat)
    told(beaune, "feodo")
    told(beaune, "feodo", "185.203.116.10", count=2)
    incident = Incident.objects.get()
    assert (incident.kind, incident.subject, incident.collectivite_id) == (kind, row.id, beaune.id)
    assert [t.code for t in queries.tasks(incident)] == [t.code for t in PLANS[kind].tasks]
    assert ("unplug_network" in {t.code for t in queries.tasks(incident)}) is (kind is Kind.COMMAND_SERVER)
    met = Encounter.objects.get()
    assert (met.decision_id, met.door, met.incident_id) == (row.id, "packet", incident.id)


@pytest.mark.parametrize(
    "changes",
    [
        {"entry_id": "nothing"},
        {"count": 0},
        {"count": "many"},
        {"indicator_value": "192.0.2.44"},
        {"indicator_kind": "weather"},
        {"indicator_value": "185.203.116.8"},
    ],
    ids=str,
)
def test_a_box_that_answers_another_question_opens_nothing(
    beaune: Commune, changes: dict[str, object]
) -> None:
    publish("feodo", SERVER, threat="command_server")
    told(beaune, "feodo", **changes)
    assert not Incident.objects.exists()


def test_a_box_speaks_of_its_own_communes_lists_only(beaune: Commune, nuits: Commune) -> None:
    publish("theirs", SERVER, scope=nuits.id)
    told(beaune, "theirs")
    assert not Incident.objects.exists()


def test_what_is_let_through_is_no_incident(beaune: Commune, nuits: Commune, administrator: Actor) -> None:
    publish("scanners", SERVER)
    indicator = normalise("ip", SERVER)
    exceptions.allow_locally(
        actor=beaune.agent, collectivite_id=beaune.id, indicator=indicator, ttl_s=3600, reason="x"
    )
    told(beaune, "scanners")
    assert not Incident.objects.exists()
    never_again.never_again(actor=administrator, indicator=indicator, reason="x")
    told(nuits, "scanners")
    assert not Incident.objects.exists()


@pytest.mark.parametrize(
    ("listed", "threat", "opens"),
    [
        (SERVER, "command_server", Kind.FOREIGN_SIGN_IN),
        ("185.203.116.0/24", "phishing", Kind.FOREIGN_SIGN_IN),
        (SERVER, "scanner", Kind.LISTED_MET),
        ("185.203.117.0/24", "malware", None),
    ],
)
def test_who_signed_in_from_a_new_address_of_a_list(
    listed: str, threat: str, opens: Kind | None, beaune: Commune, nuits: Commune
) -> None:
    sign_in(beaune.agent_membership, SERVER)
    sign_in(nuits.agent_membership, "185.203.118.1")
    publish("one", listed, kind="cidr" if "/" in listed else "ip", threat=threat)
    found = [(one.kind, one.collectivite_id) for one in Incident.objects.all()]
    assert found == ([(opens, beaune.id)] if opens else [])


def test_only_what_is_new_is_looked_for(beaune: Commune) -> None:
    publish("one", SERVER)
    assert not Incident.objects.exists()
    sign_in(beaune.agent_membership, SERVER)
    publish("one", SERVER, "185.203.117.9")
    assert not Incident.objects.exists(), "it was on the list before: the door refused it"
    publish("two", SERVER)
    assert Incident.objects.count() == 1


def test_delivered_mail_that_holds_what_a_list_names_since(beaune: Commune, nuits: Commune) -> None:
    deliver(own_mailbox(beaune), LURE_ID)
    for name, kind, value in (
        ("names", "domain", "colis-suivi-paiement.example"),
        ("pages", "url", "https://colis-suivi-paiement.example/laposte"),
    ):
        row = publish(
            name, value, "other.example.net" if kind == "domain" else "https://o.example/", kind=kind
        )
        incident = Incident.objects.get(subject=row.id)
        assert (incident.kind, incident.collectivite_id) == (Kind.LISTED_MET, beaune.id)
        assert Encounter.objects.get(decision_id=row.id).count == 1
    assert Incident.objects.count() == 2, "one a list"


def test_names_below_a_listed_one_and_old_mail(beaune: Commune) -> None:
    deliver(own_mailbox(beaune), LURE_ID)
    seen = MailObservation.objects.filter(kind="domain", value="colis-suivi-paiement.example")
    seen.update(value="www.colis.example")
    MailMessage.objects.update(received_at=clock.now() - timedelta(days=31))
    publish("names", "colis.example", kind="domain")
    assert not Incident.objects.exists(), "older than 30 days"
    MailMessage.objects.update(received_at=clock.now())
    publish("more", "colis.example", kind="domain", threat="malware")
    assert Incident.objects.get().kind == Kind.LISTED_MET
