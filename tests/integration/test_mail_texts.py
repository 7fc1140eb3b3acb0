"""Texts that are near: who founds a family, what a decision holds, what two reports block, what goes again."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta

from beffroi.core.decisions.models import Decision
from beffroi.core.identity.actor import Actor
from beffroi.core.planes.db import Database
from beffroi.core.retention.actions import _step_of
from beffroi.core.retention.models import RetentionRun
from beffroi.core.retention.registry import categories
from beffroi.lib import clock
from beffroi.mail import holding, retention
from beffroi.mail.gate import texts
from beffroi.mail.models import MailObservation, MailText, MailTextBand
from beffroi.portal.console.evidence import blockable, title_of
from beffroi_protocol.sketches import LANE_DIGITS, LANES
from django.test import Client
from django.urls import reverse

from tests.conftest import Commune
from tests.fixtures_portal import text as text_of
from tests.fixtures_watch import FAIL, Report, active, campaign, names, report
from tests.integration.test_mail_holding import CLIENTS, arrive, decide

__all__ = ["names", "report"]
DAY = timedelta(days=1)


def text(*runs: tuple[int, int]) -> str:
    """A sketch by runs of (lanes, value)."""
    values = [value for count, value in runs for _ in range(count)]
    assert len(values) == LANES
    return "".join(f"{one:0{LANE_DIGITS}x}" for one in values)


LURE, OTHER = text((32, 1)), text((32, 2))
MOSTLY, HALF, BARELY = text((24, 1), (8, 3)), text((16, 1), (16, 4)), text((15, 1), (17, 5))


def test_the_first_text_founds_a_family_and_what_has_half_of_it_belongs_to_it(plane: Database) -> None:
    now = clock.now()
    for one, families in (
        (LURE, [LURE]),
        (LURE, [LURE]),
        (MOSTLY, [LURE]),
        (HALF, [LURE]),
        (BARELY, [BARELY]),
        (OTHER, [OTHER]),
    ):
        with plane.transaction():
            assert texts.families(plane, one, now) == families
    assert sorted(MailText.objects.values_list("value", flat=True)) == sorted([LURE, BARELY, OTHER])
    assert MailTextBand.objects.count() == 3 * texts.BANDS


def test_a_text_between_two_is_of_both_families_the_nearest_first(plane: Database) -> None:
    between = text((17, 1), (15, 5))
    for one in (LURE, BARELY):
        texts.families(plane, one, clock.now())
    assert texts.families(plane, between, clock.now()) == [BARELY, LURE]


def test_a_text_between_many_is_of_the_four_nearest(plane: Database) -> None:
    around = [text((16 + number, 1), (16 - number, 10 + number)) for number in range(6)]
    for one in around:  # near to one another, as two doors at once may found them
        made = MailText.objects.create(value=one, seen_at=clock.now())
        MailTextBand.objects.bulk_create(
            MailTextBand(text_id=made.pk, band=band) for band in texts._bands(one)
        )
    assert texts.families(plane, LURE, clock.now()) == around[:1:-1]


def test_a_family_is_seen_with_its_last_mail_and_never_before(plane: Database) -> None:
    now = clock.now()
    for at, seen in ((now, now), (now + DAY, now + DAY), (now - DAY, now + DAY)):
        texts.families(plane, LURE, at)
        assert MailText.objects.get().seen_at == seen


def test_what_no_mail_was_near_to_goes_with_the_traces_of_mails_unless_a_decision_names_it(
    database: str,
) -> None:
    now = clock.now()
    for value, days in ((LURE, 400), (OTHER, 400), (BARELY, 10)):
        made = MailText.objects.create(value=value, seen_at=now - timedelta(days=days))
        MailTextBand.objects.create(text_id=made.pk, band=1)
    decide("sketch", LURE)
    due = retention.texts(now - timedelta(days=365))
    assert retention.erase_texts(list(due.values_list("pk", flat=True))) == 1
    assert set(MailText.objects.values_list("value", flat=True)) == {LURE, BARELY}
    assert MailTextBand.objects.count() == 2


def test_texts_are_erased_so_few_at_a_time_that_a_decision_hardly_waits(plane: Database) -> None:
    """Of 100,000, two hundred with their bands held all writers up for 50 to 200 ms."""
    with plane.transaction():
        for number in range(120):
            texts.families(plane, text((32, 10 + number)), clock.now() - 4000 * DAY)
    run, one = RetentionRun.objects.create(), next(c for c in categories() if c.name == "texts")
    before, most = MailTextBand.objects.count(), 0
    while _step_of(run, one):
        run.refresh_from_db()
        after = MailTextBand.objects.count()
        before, most = after, max(most, before - after)
    assert MailText.objects.count() == MailTextBand.objects.count() == 0 < most <= 200


def test_a_decided_text_holds_the_copies_that_are_near(beaune: Commune, database: str) -> None:
    near, other = arrive(beaune, CLIENTS[0]), arrive(beaune, CLIENTS[1])
    for one, value in ((near, LURE), (other, OTHER)):
        MailObservation.objects.create(message_id=one.id, kind="sketch", value=value, role="text")
    decision = decide("sketch", LURE)
    assert [one.message_id for one in holding.copies_under(decision)] == [near.id]
    assert holding.holding(near.id, beaune.id) == [decision] and holding.holding(other.id, beaune.id) == []
    assert holding.held_among({near.id, other.id}) == {near.id}


def test_one_commune_may_be_let_through_to_a_decided_text(
    beaune: Commune, nuits: Commune, console: Client
) -> None:
    copies = [(arrive(one, CLIENTS[0]).id, one.id) for one in (beaune, nuits)]
    for message_id, _ in copies:
        MailObservation.objects.create(message_id=message_id, kind="sketch", value=LURE, role="text")
    decision = decide("sketch", LURE)
    assert "Laisser passer pour une commune" in text_of(
        console.get(reverse("decision", args=[decision.id], urlconf="beffroi.portal.urls_console"))
    )
    values = {"q": LURE, "commune": beaune.id, "ttl": "86400", "reason": "modèle de lettre"}
    assert console.post("/decisions/laisser-passer/", values).status_code == 302
    assert [holding.holding(*copy) for copy in copies] == [[], [decision]]


def lure(number: int, family: Sequence[str] = (LURE,)) -> list[list[str]]:
    """Another sender and another page below a platform for each reader: the words alone stay."""
    page = f"https://docs.google.com/forms/d/{number}/viewform"
    return [["url", page], ["sender", f"inconnu{number}@gmail.com"], *(["sketch", one] for one in family)]


def test_the_words_of_a_lure_are_blocked_where_all_else_is_new_for_each_reader(
    report: Report, beaune: Commune, nuits: Commune, administrator: Actor
) -> None:
    report(beaune.id, beaune.agent.id, indicators=lure(1), evidence=FAIL)
    assert active() == set()
    report(nuits.id, nuits.agent.id, indicators=lure(2), evidence=FAIL)
    assert campaign().state == "decided"
    decision = Decision.objects.get(state="active", kind="sketch")
    assert (decision.value, decision.action, decision.rule) == (LURE, "quarantine", "two_communes")
    assert title_of(blockable(administrator, campaign())) == "Courriels au même texte"


def test_two_presses_of_one_commune_block_no_words(report: Report, beaune: Commune) -> None:
    for number in (1, 2):
        report(beaune.id, beaune.agent.id, indicators=lure(number), evidence=FAIL)
    assert active() == set()


def test_words_that_mail_had_long_before_are_of_whoever_is_imitated(
    report: Report, beaune: Commune, nuits: Commune
) -> None:
    for number, commune in enumerate((beaune, nuits)):
        evidence = {**FAIL, "known_before": [LURE]}
        report(commune.id, commune.agent.id, indicators=lure(number), evidence=evidence)
    assert active() == set()
