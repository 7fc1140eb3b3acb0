"""The purge: what is over goes, what is needed stays, each run is counted, and no clock makes it delete too much."""

from __future__ import annotations

import json
from datetime import timedelta

import pytest
from allauth.account.models import EmailAddress
from beffroi.core.audit import actions as audit
from beffroi.core.audit import queries as audit_queries
from beffroi.core.audit.models import AuditCheckpoint, AuditEntry, AuditPersonal
from beffroi.core.decisions import actions as decisions
from beffroi.core.decisions.models import Appeal, Decision, DecisionEffect
from beffroi.core.events import run_pending
from beffroi.core.identity import actions as identity
from beffroi.core.identity import administrators
from beffroi.core.identity import queries as identity_queries
from beffroi.core.identity.actor import Actor
from beffroi.core.identity.models import Membership, Person, SignIn
from beffroi.core.retention import actions, consumers, queries, registry, rules, told
from beffroi.core.retention.models import RetentionCount, RetentionRun
from beffroi.incidents import actions as incidents
from beffroi.incidents.models import Encounter, Incident, IncidentEntry, IncidentEvidence, IncidentTask
from beffroi.incidents.recorded import Captured
from beffroi.incidents.rules import Kind
from beffroi.lib import clock
from beffroi.lib.config import Config
from beffroi.lib.errors import Conflict, NotFound
from beffroi.lib.ids import new_id
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
from beffroi.portal import retention_words
from beffroi.watch.models import Campaign, CampaignIndicator, Sighting
from django.contrib.sessions.models import Session
from django.db import IntegrityError, OperationalError

from tests.conftest import PASSWORD, Commune
from tests.fixtures_incidents import decide

pytestmark = pytest.mark.usefixtures("database")
DAY_S = 86400
MAIL_TABLES = (MailMessage, MailObservation, MailRecipient, MailDelivery)


def purge(*, days: float = 0) -> dict[str, int]:
    """One run, so many days from now, on a clock that a person vouches for; what it deleted by category."""
    with clock.shifted(days * DAY_S):
        run = actions.begin(clock_confirmed_by="root")
        assert actions.go_on(run)
    return {one.category: one.deleted for one in run.counts.all() if one.deleted}


def message(commune: Commune) -> str:
    made = new_id("msg")
    now = clock.now()
    MailMessage.objects.create(
        pk=made, received_at=now, message_id="<a@b>", message_id_hash="0", sender="a@b.fr",
        client_ip="192.0.2.1", helo="b.fr", verdict="{}",
    )  # fmt: skip
    MailObservation.objects.create(message_id=made, kind="domain", value="b.fr", role="link")
    MailRecipient.objects.create(message_id=made, address=f"agent@{commune.domain}")
    MailDelivery.objects.create(
        message_id=made, mailbox_id="mbx_1", collectivite_id=commune.id, folder="INBOX", delivered_at=now
    )
    return made


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


def incident(commune: Commune, decision_id: str = "") -> Incident:
    captured = Captured("box", clock.now(), {"count": 3})
    made = incidents.open_incident(
        actor=incidents.SYSTEM, kind=Kind.PASSWORD_TYPED, collectivite_id=commune.id, subject=new_id("inc"),
        occurred_at=clock.now(), evidence=(captured,), decision_id=decision_id, person_id=commune.agent.id,
    )  # fmt: skip
    Encounter.objects.create(
        decision_id=decision_id or made.id, collectivite_id=commune.id, door="login", incident_id=made.id,
        first_at=clock.now(), last_at=clock.now(),
    )  # fmt: skip
    return made


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
    audit.record(actor=them, verb="mail:quota:mailbox", object_id="mbx_1", collectivite_id=None)
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


# -- the run ---------------------------------------------------------------------------------------------------


def test_a_run_is_audited_as_counts_and_nothing_else(beaune: Commune) -> None:
    for _ in range(3):
        message(beaune)
    purge(days=400)
    entry = next(
        one for one in AuditEntry.objects.filter(verb="retention:purged") if "messages" in one.details
    )
    assert set(json.loads(entry.details)) == {"category", "before", "count"}
    assert json.loads(entry.details)["count"] == 3
    assert entry.personal_digest == ""


def test_a_dry_run_deletes_and_records_nothing(beaune: Commune) -> None:
    message(beaune)
    before = AuditEntry.objects.count()
    with clock.shifted(400 * DAY_S):
        found = {one.category: one.count for one in actions.preview()}
    assert found["messages"] == 1
    assert MailMessage.objects.count() == 1
    assert (RetentionRun.objects.count(), AuditEntry.objects.count()) == (0, before)


def test_a_run_that_was_cut_off_goes_on_where_it_stood_and_counts_each_row_once(
    beaune: Commune, monkeypatch: pytest.MonkeyPatch
) -> None:
    for _ in range(5):
        message(beaune)
    small = {one.name: one for one in registry.categories()}["messages"]
    erased = 0

    def dies_in_the_third_batch(ids: list[str]) -> int:
        nonlocal erased
        erased += 1
        assert small.erase is not None
        gone = small.erase(ids)
        if erased == 3:
            raise OperationalError("the disk is full")
        return gone

    broken = registry.Category("messages", 22, small.kept, small.due, dies_in_the_third_batch, batch=1)
    monkeypatch.setattr(registry, "categories", lambda: [broken])
    with clock.shifted(400 * DAY_S):
        run = actions.begin(clock_confirmed_by="root")
        with pytest.raises(OperationalError):
            actions.go_on(run)
        assert MailMessage.objects.count() == MailObservation.objects.count() == 3  # whole or not at all
        again = actions.begin()  # of a new process; the clock of the run's begin counts
        assert again.pk == run.pk
        assert actions.go_on(again)
    assert RetentionCount.objects.get().deleted == 5
    assert not MailMessage.objects.exists()


def test_a_run_that_stood_at_a_category_of_a_former_version_goes_on_from_the_first(beaune: Commune) -> None:
    message(beaune)
    with clock.shifted(400 * DAY_S):
        run = actions.begin(clock_confirmed_by="root")
        RetentionRun.objects.filter(pk=run.pk).update(category="of_a_former_version", after="x")
        actions.go_on(run, for_s=0)
        assert RetentionRun.objects.get().category != "of_a_former_version"
        assert actions.go_on(run)


def test_a_category_whose_first_rows_are_held_still_reaches_the_others(
    beaune: Commune, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept, gone = decide(), decide("185.203.116.10")
    for one in (kept, gone):
        Decision.objects.filter(pk=one.pk).update(state="expired", ended_at=clock.now())
    incident(beaune, kept.id)
    found = {one.name: one for one in registry.categories()}["decisions"]
    single = registry.Category(
        "decisions", 10, found.kept, found.due, found.erase, held_as="decision", batch=1
    )
    monkeypatch.setattr(registry, "categories", lambda: [single])
    assert purge(days=400) == {"decisions": 1}
    assert Decision.objects.get().id == kept.id


def test_the_worker_works_in_slices_and_once_a_day() -> None:
    def runs() -> list[str]:
        for _ in range(100):
            consumers.purge()
        return [str(one.state) for one in RetentionRun.objects.order_by("id")]

    assert runs() == ["done"]
    with clock.shifted(DAY_S / 2):
        assert runs() == ["done"]
    with clock.shifted(DAY_S + 60):
        assert runs() == ["done", "done"]


def test_a_purge_that_fails_is_told_at_once_and_one_that_does_not_run_after_36_hours(
    monkeypatch: pytest.MonkeyPatch, config: Config
) -> None:
    def breaks(_ids: list[str]) -> int:
        raise IntegrityError("something refers to it")

    one = {found.name: found for found in registry.categories()}["sessions"]
    broken = registry.Category("sessions", 50, 0, one.due, breaks)
    monkeypatch.setattr(registry, "categories", lambda: [broken])
    Session.objects.create(session_key="over", session_data="", expire_date=clock.now())
    system = Actor.system("tests")
    began = clock.epoch_s()
    for days in (0.1, 1.0, 1.7):
        with clock.shifted(days * DAY_S), pytest.raises(IntegrityError):
            consumers.purge()
        with clock.shifted(days * DAY_S):
            assert queries.needs_a_person(system)
            assert queries.report(system).late is (days > 1.6)
            assert "fails (IntegrityError)" in told.problem(config, now=clock.epoch_s())
    assert Session.objects.count() == 1
    monkeypatch.setattr(registry, "categories", lambda: [one])
    consumers.purge()
    assert not queries.needs_a_person(system) and told.problem(config, now=clock.epoch_s()) == ""
    assert told.problem(config, now=began + 36 * 3600) == "", "it ended within a moment of now"
    late = told.problem(config, now=clock.epoch_s() + 37 * 3600 + 60)
    assert "has not ended for 37 hours" in late and "./beffroi retention run" in late


# -- the clock -------------------------------------------------------------------------------------------------


def test_a_clock_ten_years_ahead_deletes_nothing_even_when_it_signed_checkpoints(beaune: Commune) -> None:
    message(beaune)
    purge()
    with clock.shifted(3650 * DAY_S):
        for day in range(3):
            AuditCheckpoint.objects.create(
                position=1000 + day, hash="0", count=1, at=clock.now() + timedelta(days=day), signature="0"
            )
        with pytest.raises(actions.ClockInDoubt):
            actions.begin()
        consumers.purge()  # the worker says it once a day, and goes on living
        refused = RetentionRun.objects.filter(state="refused")
        assert [one.reason for one in refused] == [rules.AHEAD]
        assert queries.report(Actor.system("tests")).refused
    assert MailMessage.objects.count() == 1
    assert AuditEntry.objects.filter(verb="retention:refused").count() == 1


def test_the_first_run_of_a_centre_with_a_past_trusts_its_audit_log(beaune: Commune) -> None:
    message(beaune)  # and its accounts are in the audit log
    with clock.shifted(3650 * DAY_S), pytest.raises(actions.ClockInDoubt):
        actions.begin()
    assert MailMessage.objects.count() == 1


def test_a_clock_that_went_back_waits_for_a_person_and_goes_on_from_their_word(beaune: Commune) -> None:
    with clock.shifted(20 * DAY_S):  # wrong, but within what is allowed
        actions.go_on(actions.begin(clock_confirmed_by="root"))
    with pytest.raises(actions.ClockInDoubt):
        actions.begin()
    assert RetentionRun.objects.get(state="refused").reason == rules.BEHIND
    purge()
    entry = AuditEntry.objects.filter(verb="retention:clock_confirmed").order_by("-id").first()
    assert entry is not None
    assert "root" not in entry.details  # on the erasable side
    with clock.shifted(DAY_S + 60):
        assert actions.go_on(actions.begin())  # from now on by itself


def test_a_centre_that_was_off_for_long_deletes_nothing_before_a_person_confirms(beaune: Commune) -> None:
    message(beaune)
    purge()
    with clock.shifted(400 * DAY_S):
        with pytest.raises(actions.ClockInDoubt):
            actions.begin()
        assert MailMessage.objects.count() == 1
        assert actions.go_on(actions.begin(clock_confirmed_by="root"))
    assert not MailMessage.objects.exists()


@pytest.mark.parametrize(
    ("marks", "reached"),
    [
        ((), 0),
        ((1, 2, 3), 3),
        ((30, 60, 90), 90),
        ((1, 40), 1),
        ((3650, 3651), 0),
        ((-5, 3), 3),
    ],
)
def test_time_is_trusted_as_far_as_it_can_be_walked(marks: tuple[int, ...], reached: int) -> None:
    start = clock.now()
    days = [start + timedelta(days=one) for one in marks]
    assert rules.walked(start, days, step=timedelta(days=31)) == start + timedelta(days=reached)


def test_every_category_has_words_settings_and_its_place(config: Config) -> None:
    found = registry.categories()
    assert len({one.order for one in found}) == len(found)
    for one in found:
        assert isinstance(one.kept, int) or getattr(config, one.kept) > 0
        assert one.name in retention_words.CATEGORIES


def test_the_report_is_for_whoever_reads_the_journal(beaune: Commune) -> None:
    assert queries.report(beaune.referent).done is None
    with pytest.raises(NotFound):
        queries.report(beaune.agent)
