"""The purge: what is over goes, and what is needed stays."""

from __future__ import annotations

from datetime import timedelta

import pytest
from allauth.account.models import EmailAddress
from beffroi.core.audit import actions as audit
from beffroi.core.audit import queries as audit_queries
from beffroi.core.audit.models import AuditEntry, AuditPersonal
from beffroi.core.decisions import actions as decisions
from beffroi.core.decisions.models import Appeal, Decision, DecisionEffect
from beffroi.core.events.running import run_pending
from beffroi.core.identity import actions as identity
from beffroi.core.identity import administrators
from beffroi.core.identity import queries as identity_queries
from beffroi.core.identity.actor import Actor
from beffroi.core.identity.models import Membership, Person, SignIn
from beffroi.incidents import actions as incidents
from beffroi.incidents.models import Encounter, Incident, IncidentEntry, IncidentEvidence, IncidentTask
from beffroi.lib import clock
from beffroi.lib.errors import Conflict
from beffroi.mail.held.models import SenderRule
from beffroi.mail.models import (
    MailDelivery,
    MailMessage,
    MailObservation,
    MailRecipient,
    RemediationItem,
    RemediationJob,
)
from beffroi.mail.sending.models import SendingAlarm
from beffroi.watch.models import Campaign, CampaignIndicator, Sighting
from django.contrib.sessions.models import Session

from tests.conftest import PASSWORD, Commune
from tests.fixtures_incidents import decide
from tests.fixtures_retention import DAY_S, incident, message, purge

pytestmark = pytest.mark.usefixtures("database")
MAIL_TABLES = (MailMessage, MailObservation, MailRecipient, MailDelivery)


def moved(decision: Decision, message_id: str, commune: Commune) -> RemediationJob:
    job = RemediationJob.objects.create(
        direction="withdraw", decision_id=decision.id, state="done", moved=1, done_at=clock.now()
    )
    RemediationItem.objects.create(
        job=job, message_id=message_id, mailbox_id="mbx_1", collectivite_id=commune.id, state="moved"
    )
    return job


def campaign(decision: Decision | None = None) -> Campaign:
    made = Campaign.objects.create(state="decided" if decision else "open")
    CampaignIndicator.objects.create(campaign=made, kind="domain", value="b.fr", joins=True)
    Sighting.objects.create(
        detector="user_report", door="mail", collectivite_id="col_1", person_id="per_1", campaign=made,
        seen_at=clock.now(),
    )  # fmt: skip
    if decision is not None:
        Decision.objects.filter(pk=decision.pk).update(campaign_id=made.id)
    return made


def end(decision: Decision) -> None:
    decisions.revoke(actor=Actor.system("tests"), decision=decision, reason="over")
    run_pending("main")


def test_traces_of_a_message_go_together_after_a_year_and_not_before(beaune: Commune) -> None:
    message(beaune)
    assert "messages" not in purge(days=364)
    assert purge(days=366)["messages"] == 1
    assert [model.objects.count() for model in MAIL_TABLES] == [0, 0, 0, 0]


def test_a_decision_in_force_keeps_its_evidence_and_the_copies_it_moved(beaune: Commune) -> None:
    decision = decide()
    Decision.objects.update(expires_at=clock.now() + timedelta(days=3000))
    campaign(decision)
    job = moved(decision, message(beaune), beaune)
    gone = purge(days=800)
    assert not {"decisions", "sightings", "campaigns", "messages", "withdrawals", "withdrawn_copies"} & set(
        gone
    )
    with clock.shifted(800 * DAY_S):
        end(decision)
    assert not {"decisions", "sightings", "messages"} & set(purge(days=1164))
    gone = purge(days=1166)
    assert gone.items() >= {
        "decisions": 1, "withdrawn_copies": 1, "withdrawals": 1, "messages": 1, "sightings": 1, "campaigns": 1,
    }.items()  # fmt: skip
    assert not RemediationJob.objects.filter(pk=job.pk).exists()
    assert not CampaignIndicator.objects.exists()


def test_a_past_decision_goes_with_its_counts_and_a_contested_one_waits_for_the_answer(
    beaune: Commune,
) -> None:
    decision, contested = decide(), decide("185.203.116.10")
    for one in (decision, contested):
        DecisionEffect.objects.create(decision_id=one.id, collectivite_id=beaune.id)
        end(one)
    Appeal.objects.create(collectivite_id=beaune.id, decision_id=contested.id, text="?", created_by="per_1")
    assert purge(days=366)["decisions"] == 1
    assert list(Decision.objects.values_list("pk", flat=True)) == [contested.id]
    assert list(DecisionEffect.objects.values_list("decision_id", flat=True)) == [contested.id]


def test_an_incident_goes_six_years_after_it_was_closed_unless_a_complaint_is_under_way(
    beaune: Commune, administrator: Actor
) -> None:
    plain, contested, still_open = (incident(beaune) for _ in range(3))
    for one in (plain, contested):
        incidents.close(actor=administrator, incident=one, reason="false_alarm")
    incidents.set_complaint(actor=administrator, incident=contested, under_way=True)
    assert "incidents" not in purge(days=2191)
    assert purge(days=2193)["incidents"] == 1
    assert set(Incident.objects.values_list("pk", flat=True)) == {contested.id, still_open.id}
    for model in (IncidentEntry, IncidentTask, IncidentEvidence, Encounter):
        assert not model.objects.filter(incident_id=plain.id).exists()
    with clock.shifted(2193 * DAY_S):
        incidents.set_complaint(actor=administrator, incident=contested, under_way=False)
    assert purge(days=2194)["incidents"] == 1
    assert Incident.objects.get().id == still_open.id


def test_an_open_incident_keeps_the_decision_it_is_about(beaune: Commune, administrator: Actor) -> None:
    decision = decide()
    Decision.objects.update(state="expired", ended_at=clock.now())
    about = incident(beaune, decision.id)
    assert "decisions" not in purge(days=500)
    with clock.shifted(500 * DAY_S):
        incidents.close(actor=administrator, incident=about, reason="false_alarm")
    assert purge(days=501)["decisions"] == 1
    assert Incident.objects.get().decision_id == decision.id  # the incident has its own evidence


def test_a_closed_account_loses_its_name_after_a_year_and_its_history_stays(
    beaune: Commune, system: Actor
) -> None:
    member = beaune.agent_membership
    SignIn.objects.create(
        person_id=member.person_id, collectivite_id=beaune.id, door="imap", address="192.0.2.1",
        day=clock.now().date(), first_at=clock.now(), last_at=clock.now(),
    )  # fmt: skip
    assert AuditPersonal.objects.filter(entry__object_id=member.person_id).exists()
    with clock.shifted(10 * DAY_S):
        identity.end_access(actor=system, membership=member)
    assert "closed_accounts" not in purge(days=374)
    assert purge(days=376)["closed_accounts"] == 1
    person = Person.objects.get(pk=member.person_id)
    assert (person.name, person.email) == ("", f"{person.pk}@efface.invalid")
    assert not person.has_usable_password()
    assert not EmailAddress.objects.filter(user=person).exists()
    assert not AuditPersonal.objects.filter(entry__object_id=person.pk).exists()
    assert Membership.objects.get(pk=member.pk).until is not None
    assert "closed_accounts" not in purge(days=377)  # once
    assert Person.objects.get(pk=beaune.colleague.id).name == "collegue"


def test_a_closed_administrator_loses_the_name_after_a_year_and_what_they_did_stays(
    administrator: Actor, system: Actor
) -> None:
    other = administrators.create_administrator(
        actor=administrator, email="former@cotedor.test", name="Odile Rey", password=PASSWORD
    ).record
    them = Actor("administrator", other.id, None, "administrator")
    audit.record(them, "mail:quota:mailbox", "mbx_1", collectivite_id=None)
    assert "closed_administrators" not in purge(days=800)  # at work
    with clock.shifted(10 * DAY_S):
        administrators.end_administrator_access(actor=administrator, administrator=other)
    assert "closed_administrators" not in purge(days=374)
    assert purge(days=376)["closed_administrators"] == 1
    other.refresh_from_db()
    assert (other.name, other.email, other.totp_secret) == ("", f"{other.id}@efface.invalid", "")
    assert not AuditPersonal.objects.filter(content__contains="Odile").exists()
    assert AuditEntry.objects.filter(actor_id=other.id, verb="mail:quota:mailbox").exists()
    assert AuditEntry.objects.filter(object_id=other.id, verb="identity:administrator:erased").count() == 1
    assert audit_queries.verify(full=True).ok
    assert other not in identity_queries.administrators()
    with pytest.raises(Conflict):
        administrators.renew_administrator(actor=administrator, administrator=other, password=PASSWORD)
    assert "closed_administrators" not in purge(days=377)  # once
    assert administrators.create_administrator(
        actor=administrator, email="former@cotedor.test", name="Odile Rey", password=PASSWORD
    )


def test_an_administrator_who_came_back_keeps_the_name(administrator: Actor) -> None:
    other = administrators.create_administrator(
        actor=administrator, email="back@cotedor.test", name="Odile Rey", password=PASSWORD
    ).record
    administrators.end_administrator_access(actor=administrator, administrator=other)
    administrators.renew_administrator(actor=administrator, administrator=other, password=PASSWORD)
    assert "closed_administrators" not in purge(days=800)
    assert administrators.erase_closed(other) == 0


def test_an_account_that_an_open_incident_concerns_keeps_its_name(beaune: Commune, system: Actor) -> None:
    incident(beaune)
    identity.end_access(actor=system, membership=beaune.agent_membership)
    assert "closed_accounts" not in purge(days=800)
    assert Person.objects.get(pk=beaune.agent.id).name == "agent"


def test_expired_sessions_go_at_once_and_living_ones_stay() -> None:
    for key, hours in (("over", -1), ("living", 1)):
        Session.objects.create(
            session_key=key, session_data="", expire_date=clock.now() + timedelta(hours=hours)
        )
    assert purge()["sessions"] == 1
    assert Session.objects.get().session_key == "living"


def test_closed_alarms_and_replaced_answers_about_senders_go_after_a_year_and_the_others_stay(
    beaune: Commune,
) -> None:
    for number in (1, 2):
        over = clock.now() if number == 1 else None
        SendingAlarm.objects.create(
            mailbox_id=f"mbx_{number}", collectivite_id=beaune.id, limit="minute", most=1, closed_at=over
        )
        SenderRule.objects.create(
            mailbox_id="mbx_1", collectivite_id=beaune.id, address="a@b.fr", verdict="block", ended_at=over
        )
    assert not {"sending_alarms", "former_sender_rules"} & purge(days=364).keys()
    found = purge(days=366)
    assert (found["sending_alarms"], found["former_sender_rules"]) == (1, 1)
    assert SendingAlarm.objects.get().closed_at is SenderRule.objects.get().ended_at is None
