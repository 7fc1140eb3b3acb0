"""The purge: each run is counted, one that was cut goes on, and no clock makes it delete too much."""

from __future__ import annotations

import json
from datetime import timedelta

import pytest
from beffroi.core.audit.models import AuditCheckpoint, AuditEntry
from beffroi.core.decisions.models import Decision
from beffroi.core.identity.actor import Actor
from beffroi.core.retention import actions, consumers, queries, registry, rules, told
from beffroi.core.retention.models import RetentionCount, RetentionRun
from beffroi.lib import clock
from beffroi.lib.config import Config
from beffroi.lib.errors import NotFound
from beffroi.mail.models import (
    MailMessage,
    MailObservation,
)
from beffroi.portal import retention_words
from django.contrib.sessions.models import Session
from django.db import IntegrityError, OperationalError

from tests.conftest import Commune
from tests.fixtures_incidents import decide
from tests.fixtures_retention import DAY_S, incident, message, purge

pytestmark = pytest.mark.usefixtures("database")


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


def test_a_clock_that_jumped_purges_nothing_before_it_has_stood_for_an_hour() -> None:
    def states() -> list[str]:
        for _ in range(100):
            consumers.purge()
        return [str(one.state) for one in RetentionRun.objects.order_by("id")]

    assert states() == ["done"]
    Session.objects.create(
        session_key="tomorrow", session_data="", expire_date=clock.now() + timedelta(days=1)
    )
    with clock.jumped(2 * DAY_S):
        assert states() == ["done"] and Session.objects.exists()
        with clock.shifted(clock.BELIEVED_AFTER_S + 60):
            assert states() == ["done", "done"] and not Session.objects.exists()


def test_a_run_that_a_clock_ahead_dated_hides_no_purge_that_is_late_since() -> None:
    with clock.jumped(400 * DAY_S):
        actions.go_on(actions.begin(clock_confirmed_by="root"))
    actions.go_on(actions.begin(clock_confirmed_by="root"))
    system = Actor.system("tests")
    assert not queries.needs_a_person(system)
    with clock.shifted(2 * DAY_S):
        assert queries.needs_a_person(system) and queries.report(system).late


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


@pytest.mark.parametrize(
    ("days", "said"),
    [
        (1, "1 jour"),
        (364, "364 jours"),
        (365, "1 an"),
        (366, "1 an"),
        (367, "367 jours"),
        (400, "400 jours"),
        (730, "2 ans"),
        (2192, "6 ans"),
        (2195, "2\xa0195 jours"),
        (0, "jusqu’à leur terme"),
    ],
)
def test_years_are_said_as_years(days: int, said: str) -> None:
    assert retention_words.kept(days) == said


def test_the_report_is_for_whoever_reads_the_journal(beaune: Commune) -> None:
    assert queries.report(beaune.referent).done is None
    with pytest.raises(NotFound):
        queries.report(beaune.agent)
