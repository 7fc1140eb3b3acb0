"""A list that is published or grows is looked for in sign-ins, mail and what boîtiers tell: one incident a commune."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from beffroi.core.audit.models import AuditEntry
from beffroi.core.decisions import exceptions, lists, never_again
from beffroi.core.decisions.models import IndicatorList, NeverAgain
from beffroi.core.events import outbox
from beffroi.core.events.models import OutboxEvent
from beffroi.core.events.running import run_pending
from beffroi.core.identity.actor import Actor
from beffroi.incidents import actions, queries
from beffroi.incidents.models import Encounter, Incident
from beffroi.incidents.rules import PLANS, Kind
from beffroi.lib import clock
from beffroi.mail.models import MailMessage, MailObservation
from beffroi.portal import incident_view
from beffroi_protocol.indicators import normalise
from django.db import transaction

from tests.conftest import Commune
from tests.fixtures_incidents import codes, sign_in
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
def test_a_box_that_answers_another_question_opens_nothing(beaune: Commune, changes: dict[str, Any]) -> None:
    publish("feodo", SERVER, threat="command_server")
    told(beaune, "feodo", **changes)
    assert not Incident.objects.exists()


@pytest.mark.parametrize(
    ("threat", "kind"), [("command_server", Kind.COMMAND_SERVER), ("phishing", Kind.LISTED_MET)]
)
def test_a_lan_that_asked_for_names_of_a_list_gets_one_incident(
    threat: str, kind: Kind, beaune: Commune
) -> None:
    name = "update.lure.example"
    row = publish("names", name, "other.lure.example", kind="domain", threat=threat)
    told(beaune, "names", name, "domain")
    told(beaune, "names", "elsewhere.example", "domain")
    incident = Incident.objects.get()
    assert (incident.kind, incident.subject, incident.collectivite_id) == (kind, row.id, beaune.id)


def test_what_a_list_on_trial_names_opens_nothing(beaune: Commune) -> None:
    publish("names.trial", "lure.example", kind="domain", threat="phishing", action="warn")
    told(beaune, "names.trial", "lure.example", "domain")
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


def spare(administrator: Actor, value: str = SERVER, kind: str = "ip", **options: Any) -> NeverAgain:
    row = never_again.never_again(
        actor=administrator, indicator=normalise(kind, value), reason="le prestataire de Nuits", **options
    )
    run_pending("main")
    return row


def states(*communes: Commune) -> list[str]:
    return [Incident.objects.get(collectivite_id=one.id).state for one in communes]


def test_never_again_closes_what_the_entry_opened_in_each_commune_and_nothing_else(
    beaune: Commune, nuits: Commune, administrator: Actor
) -> None:
    other = "185.203.116.10"
    publish("feodo", SERVER, other, threat="malware")
    told(beaune, "feodo", values=1)
    told(nuits, "feodo", other, values=1)
    sign_in(nuits.agent_membership, SERVER)
    publish("guessers", SERVER, threat="phishing")
    spare(administrator)
    assert states(beaune) == ["closed"]
    at_nuits = {one.kind: one for one in Incident.objects.filter(collectivite_id=nuits.id)}
    assert at_nuits[Kind.COMMAND_SERVER].is_open, "another entry of the same list opened it"
    assert not at_nuits[Kind.FOREIGN_SIGN_IN].is_open
    closed = Incident.objects.get(collectivite_id=beaune.id)
    assert (closed.close_reason, closed.closed_by) == ("never_again", administrator.id)
    line = incident_view.timeline(administrator, closed)[-1]
    assert "fausse alerte" in line.text and SERVER in line.text and "Département" in line.who
    assert line.said == "le prestataire de Nuits"
    for_the_commune = incident_view.timeline(beaune.referent, closed)[-1]
    assert SERVER in for_the_commune.text and for_the_commune.said == "", (
        "the reason may speak of another commune"
    )
    told_of = OutboxEvent.objects.filter(kind="incident:closed").values_list("collectivite_id", flat=True)
    assert sorted(told_of) == sorted([beaune.id, nuits.id])
    assert AuditEntry.objects.filter(verb="incident:closed", object_id=closed.id).exists()


@pytest.mark.parametrize("lifted", ["by a person", "by its end"])
def test_taken_back_it_opens_again_what_it_closed(
    lifted: str, beaune: Commune, nuits: Commune, administrator: Actor
) -> None:
    publish("feodo", SERVER, threat="malware")
    told(beaune, "feodo", values=1)
    told(nuits, "feodo", values=1)
    by_hand = Incident.objects.get(collectivite_id=nuits.id)
    actions.close(actor=administrator, incident=by_hand, reason="false_alarm")
    row = spare(administrator, ttl_s=60)
    assert states(beaune, nuits) == ["closed", "closed"]
    if lifted == "by a person":
        never_again.take_back(actor=administrator, never_again_id=row.id, reason="pas lui finalement")
    else:
        NeverAgain.objects.update(until=clock.now())
        never_again.expire_due()
    run_pending("main")
    assert states(beaune, nuits) == ["open", "closed"], "what a person closed stays so"
    line = incident_view.timeline(administrator, Incident.objects.get(collectivite_id=beaune.id))[-1]
    assert "de nouveau refusé" in line.text


def test_what_is_not_refused_again_stays_closed(
    beaune: Commune, nuits: Commune, administrator: Actor
) -> None:
    publish("ended", SERVER, threat="malware")
    publish("held", "colis.example", kind="domain")
    told(beaune, "ended", values=1)
    told(nuits, "held", "colis.example", "domain", values=1)
    address, name = spare(administrator), spare(administrator, "colis.example", "domain")
    assert states(beaune, nuits) == ["closed", "closed"]
    IndicatorList.objects.filter(name="ended").update(expires_at=clock.now())
    spare(administrator, "185.203.116.0/24", "cidr")
    for row in (address, name):
        never_again.take_back(actor=administrator, never_again_id=row.id, reason="x")
    run_pending("main")
    assert states(beaune, nuits) == ["closed", "open"], "a list that ended refuses nothing"


@pytest.mark.parametrize("values", [0, 2], ids=["an older box", "two values"])
def test_what_rests_on_more_stays_open_with_a_line(
    values: int, beaune: Commune, administrator: Actor
) -> None:
    publish("feodo", SERVER, "185.203.116.10", threat="malware")
    told(beaune, "feodo", values=values)
    spare(administrator)
    incident = Incident.objects.get()
    assert incident.is_open
    assert "le reste du dossier est à vérifier" in incident_view.timeline(beaune.referent, incident)[-1].text
    spare(administrator)
    assert codes(incident).count("never_again_partly") == 1


def test_an_incident_of_several_entries_closes_with_the_last(beaune: Commune, administrator: Actor) -> None:
    publish("feodo", SERVER, "185.203.116.10", threat="malware")
    told(beaune, "feodo", values=1)
    told(beaune, "feodo", "185.203.116.10", values=1)
    spare(administrator)
    assert states(beaune) == ["open"]
    spare(administrator, "185.203.116.10")
    assert states(beaune) == ["closed"]


def test_mail_that_a_wrong_entry_named(beaune: Commune, administrator: Actor) -> None:
    deliver(own_mailbox(beaune), LURE_ID)
    publish("names", "colis-suivi-paiement.example", kind="domain")
    assert states(beaune) == ["open"]
    spare(administrator, "colis-suivi-paiement.example", "domain")
    assert states(beaune) == ["closed"]
