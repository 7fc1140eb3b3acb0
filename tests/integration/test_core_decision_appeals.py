"""What becomes of appeals when their decision moves, ends, or is decided anew."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from beffroi.core.audit.models import AuditEntry
from beffroi.core.decisions import actions, appeals, queries, retention, staging
from beffroi.core.decisions.models import Appeal, AppealAddition, Decision
from beffroi.core.events import outbox
from beffroi.core.events.running import whole
from beffroi.core.identity.actor import Actor
from beffroi.core.planes.db import Database
from beffroi.lib import clock
from beffroi.lib.errors import Conflict, NotFound
from beffroi.portal import person_file
from beffroi_protocol.indicators import normalise
from django.urls import reverse

from tests.conftest import Commune
from tests.fixtures_portal import console_client, no_door, on_listener
from tests.fixtures_stages import every_hour, town_halls
from tests.integration.test_core_decision_states import (
    TTL_S,
    agree,
    approve_it,
    at_doors,
    decide,
    hit_by,
    weak_active,
)

__all__ = ["every_hour", "no_door", "town_halls"]


def test_an_appeal_moves_with_the_decision_and_accepted_it_opens(
    system: Actor, administrator: Actor, beaune: Commune, plane: Database
) -> None:
    decision = decide(system, campaign_id="cmp_1")
    made = appeals.appeal(actor=beaune.agent, decision_id=decision.id, text="C’est notre fournisseur.")
    with clock.shifted(TTL_S + 1):
        actions.expire_due()
        again = decide(system, campaign_id="cmp_2")
        made.refresh_from_db()
        assert (made.decision_id, again.id != decision.id) == (again.id, True)
        assert appeals.appeal(actor=beaune.agent, decision_id=again.id, text="Encore.").id == made.id
        appeals.answer(actor=administrator, appeal_id=made.id, accept=True, text="Oui.")
        assert at_doors(plane) == ""


def test_what_came_while_an_appeal_or_its_answer_waited_for_its_turn_counts(
    system: Actor, administrator: Actor, beaune: Commune, plane: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    decision = decide(system, campaign_id="cmp_1")

    def waits(meanwhile: Callable[[], object]) -> None:
        whole = outbox.serialise

        def turn() -> None:
            with monkeypatch.context() as other:
                other.setattr(outbox, "serialise", whole)
                meanwhile()
            monkeypatch.setattr(outbox, "serialise", whole)

        monkeypatch.setattr(outbox, "serialise", turn)

    waits(lambda: actions.revoke(actor=administrator, decision=decision, reason="undone"))
    with pytest.raises((Conflict, NotFound)):
        appeals.appeal(actor=beaune.agent, decision_id=decision.id, text="Non.")
    assert not Appeal.objects.exists()
    again = decide(system, campaign_id="cmp_2")
    made = appeals.appeal(actor=beaune.agent, decision_id=again.id, text="Non.")

    def moves() -> None:
        with clock.shifted(TTL_S + 1):
            actions.expire_due()
            decide(system, campaign_id="cmp_3")

    waits(moves)
    appeals.answer(actor=administrator, appeal_id=made.id, accept=True, text="Oui.")
    assert Appeal.objects.get().state == "accepted" and at_doors(plane) == ""


def test_an_open_appeal_outlives_what_a_person_decided_anew(
    system: Actor, administrator: Actor, beaune: Commune, town_halls: list[str], plane: Database
) -> None:
    weak_active(system)
    made = appeals.appeal(actor=beaune.agent, decision_id=Decision.objects.get().id, text="Non.")
    hit_by(system)
    approve_it(system)
    made.refresh_from_db()
    assert (made.decision_id, at_doors(plane)) == (Decision.objects.get(state="active").id, "block")
    appeals.answer(actor=administrator, appeal_id=made.id, accept=True, text="Oui.")
    assert at_doors(plane) == "" and not Appeal.objects.filter(state="open").exists()


def test_an_accepted_appeal_ends_whatever_refuses_the_same(
    system: Actor, administrator: Actor, beaune: Commune, plane: Database
) -> None:
    narrow = decide(system, indicator=normalise("domain", "www.fournitures-bureau.com"))
    decide(system)
    decide(system, scope=beaune.id)
    other = decide(system, indicator=normalise("domain", "cdn.fournitures-bureau.com"))
    made = appeals.appeal(actor=beaune.agent, decision_id=narrow.id, text="Non.")
    appeals.answer(actor=administrator, appeal_id=made.id, accept=True, text="Oui.")
    assert set(agree(plane)) == {("all", other.id)}


def test_an_appeal_accepted_after_the_end_is_remembered(
    system: Actor, administrator: Actor, beaune: Commune, plane: Database
) -> None:
    decision = decide(system, campaign_id="cmp_1")
    made = appeals.appeal(actor=beaune.agent, decision_id=decision.id, text="Non.")
    with clock.shifted(TTL_S + 1):
        actions.expire_due()
        appeals.answer(actor=administrator, appeal_id=made.id, accept=True, text="Oui.")
    decision.refresh_from_db()
    assert (decision.state, decision.end_reason) == ("revoked", "appeal_accepted")


def test_two_old_appeals_of_one_commune_do_not_stop_a_decision(system: Actor, beaune: Commune) -> None:
    """As versions before left them: each against a decision of its own."""
    past = []
    for _ in range(2):
        past.append(decide(system))
        Decision.objects.update(state="expired")
    for one in past:
        Appeal.objects.create(collectivite_id=beaune.id, decision_id=one.id, text="x", created_by="per_1")
    now = decide(system)
    assert Appeal.objects.filter(decision_id=now.id, state="open").count() == 1


def test_a_refused_appeal_objects_no_more(
    system: Actor, administrator: Actor, make_commune: Callable[..., Commune], plane: Database
) -> None:
    decision = decide(system)
    communes = [make_commune(f"Commune {n}", f"commune-{n}.test") for n in range(5)]
    made = [appeals.appeal(actor=c.agent, decision_id=decision.id, text="Non.") for c in communes]
    for appeal in made:
        appeals.answer(actor=administrator, appeal_id=appeal.id, accept=False, text="C’est un hameçonnage.")
    assert whole(staging.tick()) == 0 and at_doors(plane) == "block"
    for one in communes:
        appeals.appeal(actor=one.agent, decision_id=decision.id, text="Si.")
    assert whole(staging.tick()) == 1 and at_doors(plane) == ""


@pytest.mark.django_db
def test_what_colleagues_write_to_an_open_appeal_is_kept_and_shown(
    system: Actor, administrator: Actor, beaune: Commune, nuits: Commune, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A second text was dropped, while its author read that the Département had it."""
    decision = decide(system, campaign_id="cmp_1")
    made = appeals.appeal(actor=beaune.agent, decision_id=decision.id, text="C’est notre fournisseur.")
    more = "Nous l’avons\nau téléphone."
    for _ in range(2):  # sent twice is said once
        assert appeals.appeal(actor=beaune.colleague, decision_id=decision.id, text=f" {more} ").id == made.id
        assert appeals.appeal(actor=beaune.agent, decision_id=decision.id, text=made.text).id == made.id
    theirs = appeals.appeal(actor=nuits.agent, decision_id=decision.id, text="Nous aussi.")
    found = list(queries.additions_to(administrator, made))
    assert [(one.text, one.created_by) for one in found] == [(more, beaune.colleague.id)]
    assert not queries.additions_to(nuits.referent, made) and theirs.id != made.id
    assert AuditEntry.objects.filter(verb="appeal:added", object_id=made.id).count() == 1
    with on_listener("console"):
        shown = console_client(administrator.id).get(
            reverse("appeal", urlconf="beffroi.portal.urls_console", args=[made.id])
        )
    assert "Nous l’avons<br>au téléphone." in shown.content.decode()
    own = person_file.compose(beaune.colleague_membership.person.email, account="test") or {}
    assert [one["text"] for one in own["appeal_additions"]] == [more]
    monkeypatch.setattr(appeals, "MAX_ADDED", 1)
    with pytest.raises(Conflict):
        appeals.appeal(actor=beaune.colleague, decision_id=decision.id, text="Et encore.")
    retention._erase_decisions([decision.id])
    assert not AppealAddition.objects.exists() and not Appeal.objects.exists()
