"""Held mail: who may do what about it, what it leaves behind, when a digest is due."""

from __future__ import annotations

import json
import random
from datetime import datetime, timedelta
from typing import Any

import pytest
from beffroi.core.audit.models import AuditEntry
from beffroi.core.decisions import actions as decisions
from beffroi.core.decisions.models import Appeal
from beffroi.core.events.models import OutboxEvent
from beffroi.core.identity.actor import Actor
from beffroi.core.retention import actions as retention
from beffroi.lib import clock
from beffroi.lib.errors import Conflict, Invalid, NotFound
from beffroi.mail import actions as mail
from beffroi.mail import doveadm
from beffroi.mail.held import actions, due, following, links, notices, queries
from beffroi.mail.held.actions import HeldByDecision
from beffroi.mail.held.models import Digest, HeldMail, Lesson, Notice, SenderRule
from beffroi.mail.held.posting import MailNotTaken
from beffroi.mail.models import Mailbox
from beffroi.portal import consumers, held_digest
from django.core import signing
from django.test import Client

from tests.conftest import Commune
from tests.fixtures_held import SENDER, SUBJECT, decide, hold
from tests.fixtures_portal import no_door, own_mailbox, portal_client

__all__ = ["no_door"]
pytestmark = pytest.mark.django_db


@pytest.fixture
def box(beaune: Commune) -> Mailbox:
    return own_mailbox(beaune)


def told(kind: str) -> int:
    return OutboxEvent.objects.filter(kind=kind).count()


def at(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=clock.PLACE)


# -- releasing, blocking, taking back ------------------------------------------------------------------------


def test_a_release_lets_the_sender_through_and_queues_a_lesson(beaune: Commune, box: Mailbox) -> None:
    row = actions.release(actor=beaune.agent, held_id=hold(box).id)
    assert row.state == "released" and row.seen_at is not None
    rule = SenderRule.objects.get()
    assert (rule.mailbox_id, rule.address, rule.verdict, rule.ended_at) == (box.id, SENDER, "allow", None)
    assert Lesson.objects.get().state == "queued"
    assert told("mail:held_released") == 1
    entry = AuditEntry.objects.get(verb="mail:held:released")
    assert (entry.object_id, entry.actor_id, entry.collectivite_id) == (row.id, beaune.agent.id, beaune.id)
    with pytest.raises(Conflict):
        actions.release(actor=beaune.agent, held_id=row.id)


def test_a_release_taken_back_is_held_as_before_and_teaches_nothing(beaune: Commune, box: Mailbox) -> None:
    row = hold(box)
    actions.release(actor=beaune.agent, held_id=row.id)
    assert actions.undo(actor=beaune.agent, held_id=row.id).state == "held"
    assert not SenderRule.objects.filter(ended_at=None).exists()
    assert Lesson.objects.get().state == "withdrawn"
    assert told("mail:held_undone") == 1
    with pytest.raises(Conflict):
        actions.undo(actor=beaune.agent, held_id=row.id)
    actions.release(actor=beaune.agent, held_id=row.id)
    assert Lesson.objects.get().state == "queued"


def test_the_last_word_about_a_sender_counts_and_undo_brings_the_one_before_back(
    beaune: Commune, box: Mailbox
) -> None:
    first, second = hold(box), hold(box)
    actions.block_sender(actor=beaune.agent, held_id=first.id)
    actions.release(actor=beaune.agent, held_id=second.id)
    assert SenderRule.objects.get(ended_at=None).verdict == "allow"
    actions.undo(actor=beaune.agent, held_id=second.id)
    assert SenderRule.objects.get(ended_at=None).verdict == "block"
    actions.undo(actor=beaune.agent, held_id=first.id)
    assert not SenderRule.objects.filter(ended_at=None).exists()


@pytest.mark.parametrize("seed", range(12))
def test_words_about_a_sender_taken_back_in_any_order_leave_those_that_stand(
    beaune: Commune, box: Mailbox, seed: int
) -> None:
    """The rule in force is that of the last word that was not taken back."""
    chance = random.Random(seed)
    rows = [hold(box) for _ in range(5)]
    said: list[tuple[str, str]] = []
    for _ in range(14):
        row = chance.choice(rows)
        if row.id in dict(said):
            actions.undo(actor=beaune.agent, held_id=row.id)
            said = [one for one in said if one[0] != row.id]
        elif chance.random() < 0.5:
            actions.release(actor=beaune.agent, held_id=row.id)
            said.append((row.id, "allow"))
        else:
            try:
                actions.block_sender(actor=beaune.agent, held_id=row.id)
            except Conflict:
                continue
            said.append((row.id, "block"))
        rules = SenderRule.objects.filter(ended_at=None).values_list("held_id", "verdict")
        assert list(rules) == said[-1:]


def test_a_mail_without_a_sender_is_released_but_blocks_nobody(beaune: Commune, box: Mailbox) -> None:
    row = hold(box, sender="", name="")
    with pytest.raises(Invalid):
        actions.block_sender(actor=beaune.agent, held_id=row.id)
    assert actions.release(actor=beaune.agent, held_id=row.id).state == "released"
    assert not SenderRule.objects.exists()


def test_what_a_decision_holds_is_not_released_but_looked_at_again(beaune: Commune, box: Mailbox) -> None:
    decision = decide()
    row = hold(box, reason="decision", decision_id=decision.id)
    for act in (actions.release, actions.block_sender):
        with pytest.raises(HeldByDecision):
            act(actor=beaune.agent, held_id=row.id)
    asked = actions.ask_review(actor=beaune.agent, held_id=row.id, text="Nous attendions ce colis.")
    appeal = Appeal.objects.get()
    assert (asked.appeal_id, appeal.decision_id, appeal.collectivite_id) == (
        appeal.id,
        decision.id,
        beaune.id,
    )
    assert SUBJECT not in appeal.text and SENDER not in appeal.text
    assert HeldMail.objects.get().state == "held"


def test_what_an_ended_decision_left_behind_is_released_by_its_owner(beaune: Commune, box: Mailbox) -> None:
    decision = decide()
    row = hold(box, reason="decision", decision_id=decision.id)
    decisions.revoke(actor=Actor.system("tests"), decision=decision, reason="x")
    with pytest.raises(Conflict):
        actions.ask_review(actor=beaune.agent, held_id=row.id, text="x")
    assert actions.release(actor=beaune.agent, held_id=row.id).state == "released"


def test_nobody_else_acts_on_a_held_mail_or_a_digest(beaune: Commune, nuits: Commune, box: Mailbox) -> None:
    row = hold(box)
    review = hold(box, reason="decision", decision_id=decide().id)
    before = (OutboxEvent.objects.count(), AuditEntry.objects.count())
    strangers = (nuits.agent, nuits.referent, beaune.colleague, beaune.referent)
    for stranger in strangers:
        for act in (actions.release, actions.block_sender, actions.undo):
            with pytest.raises(NotFound):
                act(actor=stranger, held_id=row.id)
        with pytest.raises(NotFound):
            actions.ask_review(actor=stranger, held_id=review.id, text="x")
        with pytest.raises(NotFound):
            actions.mark_seen(actor=stranger, mailbox=box, held_ids=[row.id])
        with pytest.raises(NotFound):
            actions.set_digest_time(actor=stranger, mailbox=box, at_minute=480)
        assert not queries.own_held(stranger).exists()
    assert (OutboxEvent.objects.count(), AuditEntry.objects.count()) == before


def test_neither_database_nor_events_show_sender_or_subject(beaune: Commune, box: Mailbox) -> None:
    row = hold(box)
    actions.release(actor=beaune.agent, held_id=row.id)
    said = [
        *OutboxEvent.objects.values_list("payload", flat=True),
        *AuditEntry.objects.values_list("details", flat=True),
    ]
    assert not any(word in text for text in said for word in (SENDER, "fournitures", "Discount"))
    assert SENDER not in row.sealed and "fournitures" not in row.sealed


# -- pages ---------------------------------------------------------------------------------------------------


def test_the_page_says_why_and_its_first_look_is_what_counts_as_seen(beaune: Commune, box: Mailbox) -> None:
    hold(box)
    decision = decide()
    hold(box, reason="decision", decision_id=decision.id, subject="Colis")
    client = portal_client(beaune.agent_membership)
    assert "2 courriels retenus attendent votre avis" in client.get("/").content.decode()
    shown = client.get("/retenus/").content.decode()
    assert "Votre offre &lt;b&gt;fournitures&lt;/b&gt; de bureau" in shown
    assert SENDER in shown and "l’expéditeur est peut-être usurpé" in shown
    assert "Le site colis-suivi-paiement.example est bloqué partout" in shown
    assert shown.count("Libérer<") == 1 and shown.count("Demander une vérification<") == 1
    assert not HeldMail.objects.filter(seen_at=None).exists()
    assert told("mail:held_seen") == 1
    client.get("/retenus/")
    assert told("mail:held_seen") == 1
    assert "attendent votre avis" not in client.get("/").content.decode()


def test_one_press_releases_and_one_takes_back(beaune: Commune, box: Mailbox) -> None:
    row = hold(box)
    client = portal_client(beaune.agent_membership)
    answer = client.post(f"/retenus/{row.id}/liberer/", follow=True)
    shown = answer.content.decode()
    assert "Libéré\xa0: il arrive dans votre boîte de réception" in shown
    assert f"/retenus/{row.id}/annuler/" in shown
    shown = client.post(f"/retenus/{row.id}/annuler/", follow=True).content.decode()
    assert f"/retenus/{row.id}/liberer/" in shown
    shown = client.post(f"/retenus/{row.id}/bloquer/", follow=True).content.decode()
    assert "Expéditeur bloqué" in shown


def test_who_presses_twice_or_after_somebody_else_reads_what_became_of_the_mail(
    beaune: Commune, box: Mailbox
) -> None:
    row, other = hold(box), hold(box)
    client, window = portal_client(beaune.agent_membership), portal_client(beaune.agent_membership)

    def pressed(browser: Client, what: str, held: HeldMail = row) -> str:
        answer = browser.post(f"/retenus/{held.id}/{what}/", follow=True)
        assert answer.status_code == 200
        return answer.content.decode()

    for _ in range(2):
        shown = pressed(client, "liberer")
        assert "Libéré\xa0: il arrive dans votre boîte" in shown and "Rien n’a changé" not in shown
    assert told("mail:held_released") == 1
    assert "entre-temps, ce courriel a été libéré" in pressed(window, "bloquer")
    assert "Rien n’a changé" not in pressed(client, "annuler")
    assert "Rien n’a changé" not in pressed(window, "annuler"), "as it was wanted"
    pressed(client, "bloquer")
    assert "l’expéditeur de ce courriel a été bloqué" in pressed(window, "liberer")
    actions.let_go(row=other, state="gone")
    for what in ("liberer", "bloquer", "annuler"):
        assert "ce courriel n’est plus retenu" in pressed(client, what, other)
    held = hold(box, reason="decision", decision_id=decide().id)
    assert client.post(f"/retenus/{held.id}/liberer/").status_code == 409, "that has words of its own"


def test_a_page_of_the_neighbours_shows_nothing(beaune: Commune, nuits: Commune, box: Mailbox) -> None:
    row = hold(box)
    for stranger in (nuits.agent_membership, beaune.colleague_membership, nuits.referent_membership):
        client = portal_client(stranger)
        shown = client.get(f"/retenus/?fait={row.id}").content.decode()
        assert SENDER not in shown and "fournitures" not in shown and box.address not in shown
        for what in ("liberer", "bloquer", "annuler", "verifier"):
            assert client.post(f"/retenus/{row.id}/{what}/").status_code == 404
        assert client.post(f"/retenus/resume/{box.id}/", {"at_minute": "480"}).status_code == 404
    assert HeldMail.objects.get().state == "held" and HeldMail.objects.get().seen_at is None


def test_a_referent_sees_numbers_and_no_content(beaune: Commune, nuits: Commune, box: Mailbox) -> None:
    hold(box)
    old = hold(box)
    HeldMail.objects.filter(pk=old.pk).update(overdue_at=clock.now() - timedelta(hours=1))
    shown = portal_client(beaune.referent_membership).get("/retenus/").content.decode()
    assert "2 retenus" in shown and "1 pas regardé depuis" in shown and box.address in shown
    assert SENDER not in shown and "fournitures" not in shown and "Discount" not in shown
    assert HeldMail.objects.filter(seen_at=None).count() == 2
    assert queries.counts(beaune.referent) == [queries.Counts(box.address, 2, 1)]
    assert queries.counts(nuits.referent) == [] and queries.counts(beaune.agent) == []
    assert box.address not in portal_client(nuits.referent_membership).get("/retenus/").content.decode()


def test_a_review_is_asked_for_with_ready_words(beaune: Commune, box: Mailbox) -> None:
    row = hold(box, reason="decision", decision_id=decide().id)
    client = portal_client(beaune.agent_membership)
    assert "Un courriel que nous attendions" in client.get(f"/retenus/{row.id}/verifier/").content.decode()
    shown = client.post(f"/retenus/{row.id}/verifier/", {"text": ""}, follow=True).content.decode()
    assert "Vérification demandée" in shown
    assert Appeal.objects.get().text.startswith("Un courriel que nous attendions")


def test_the_hour_of_the_digest_is_the_readers(beaune: Commune, box: Mailbox) -> None:
    client = portal_client(beaune.agent_membership)
    assert '<option value="480" selected>' in client.get("/retenus/").content.decode()
    client.post(f"/retenus/resume/{box.id}/", {"at_minute": "750"})
    assert Digest.objects.get().at_minute == 750
    assert '<option value="750" selected>' in client.get("/retenus/").content.decode()
    for wrong in ("751", "", "-30", "x", "99999"):
        assert client.post(f"/retenus/resume/{box.id}/", {"at_minute": wrong}).status_code == 400
    assert Digest.objects.get().at_minute == 750


# -- the link of a digest ------------------------------------------------------------------------------------


def test_a_link_opens_subjects_without_a_sign_in_and_changes_nothing(beaune: Commune, box: Mailbox) -> None:
    hold(box)
    link = "/retenus/liste/?l=" + links.make(box)
    answer = Client().get(link)
    shown = answer.content.decode()
    assert answer.status_code == 200 and "fournitures" in shown
    for hidden in (SENDER, "Discount", box.address, "Libérer<", '<button class="btn'):
        assert hidden not in shown
    assert answer["Referrer-Policy"] == "no-referrer" and "no-store" in answer["Cache-Control"]
    assert HeldMail.objects.get().seen_at is None
    assert Client().post(link).status_code == 405
    assert Client().get("/retenus/").status_code == 302


def test_a_link_opens_one_mailbox_of_one_owner_for_some_days(
    beaune: Commune, nuits: Commune, box: Mailbox
) -> None:
    hold(box)
    other = own_mailbox(nuits)
    hold(other, subject="Marché public de Nuits")
    text = links.make(box)
    assert "Nuits" not in Client().get("/retenus/liste/?l=" + text).content.decode()
    forged = signing.dumps([other.id, other.person_id], key="guess", salt=links.SALT)
    elsewhere = signing.dumps([other.id, other.person_id], salt=links.SALT)
    for wrong in ("", text[:-1], text[1:], forged, elsewhere, "x:y:z"):
        assert Client().get("/retenus/liste/", {"l": wrong}).status_code == 404
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(links, "LIFE_S", -1)
        late = Client().get("/retenus/liste/?l=" + text)
        assert late.status_code == 404 and "Ce lien du résumé n’est plus valable" in late.content.decode()
    Mailbox.objects.filter(pk=box.pk).update(person_id=beaune.colleague.id)
    assert Client().get("/retenus/liste/?l=" + text).status_code == 404


# -- the digest ----------------------------------------------------------------------------------------------


def names(when: str) -> list[tuple[int, int]]:
    return [(len(one.fresh), len(one.again)) for one in due.due(at(when))]


def test_a_digest_is_due_at_its_hour_on_working_days_for_something_new(beaune: Commune, box: Mailbox) -> None:
    assert names("2026-11-24 09:00") == []
    row = hold(box)
    HeldMail.objects.update(overdue_at=at("2026-11-25 07:00"))
    assert names("2026-11-24 07:59") == []
    assert names("2026-11-24 08:00") == [(1, 0)]
    assert names("2026-11-21 08:00") == [] and names("2026-12-25 08:00") == []
    actions.set_digest_time(actor=beaune.agent, mailbox=box, at_minute=600)
    assert names("2026-11-24 08:00") == [] and names("2026-11-24 10:00") == [(1, 0)]
    actions.note_told(mailbox=box, held_ids=[row.id], on=at("2026-11-24 10:00").date())
    hold(box)
    assert names("2026-11-24 19:00") == []  # once a day
    actions.note_told(mailbox=box, held_ids=[], on=at("2027-03-24 10:00").date())
    assert names("2026-11-25 10:00") == [(1, 1)], "a clock that was ahead keeps no digest back"


def test_what_nobody_looked_at_within_a_working_day_is_brought_up_again_until_seen(
    beaune: Commune, box: Mailbox
) -> None:
    row = hold(box)
    HeldMail.objects.update(overdue_at=at("2026-11-25 09:00"))
    actions.note_told(mailbox=box, held_ids=[row.id], on=at("2026-11-24 08:00").date())
    assert names("2026-11-25 08:30") == []
    assert names("2026-11-25 09:00") == [(0, 1)]
    actions.note_told(mailbox=box, held_ids=[row.id], on=at("2026-11-25 09:00").date())
    assert names("2026-11-26 08:00") == [(0, 1)]
    actions.mark_seen(actor=beaune.agent, mailbox=box, held_ids=[row.id])
    assert names("2026-11-26 08:00") == []


def test_a_digest_names_subjects_and_senders_and_how_to_get_at_them(beaune: Commune, box: Mailbox) -> None:
    hold(box)
    HeldMail.objects.update(overdue_at=at("2026-11-25 09:00"))
    [one] = due.due(at("2026-11-24 08:00"))
    subject, text, html, _ = held_digest.words_of(one)
    assert subject == "1 courriel retenu à regarder"
    assert SUBJECT in text and SENDER in text and "usurpé" in text
    assert "Votre offre &lt;b&gt;fournitures" in html and "<b>" not in html
    link = text.split("pendant 7 jours\xa0:")[1].split()[0]
    assert link.startswith("https://localhost:8443/retenus/liste/?l=") and link.replace("&", "&amp;") in html
    assert "fournitures" in Client().get(link.removeprefix("https://localhost:8443")).content.decode()


def test_a_digest_that_postfix_does_not_take_is_due_again(beaune: Commune, box: Mailbox) -> None:
    hold(box)
    for later in (timedelta(), 2 * notices.SOON, 4 * notices.SOON):
        with clock.shifted((at("2026-11-24 08:00") + later - clock.now()).total_seconds()):
            held_digest.ask_due()
            with pytest.raises(MailNotTaken):  # nothing listens here
                consumers.send_notices()
    assert HeldMail.objects.get().told_at is None and not Digest.objects.exists()


def test_a_digest_is_not_told_where_its_mails_were_seen_meanwhile(beaune: Commune, box: Mailbox) -> None:
    row = hold(box)
    with clock.shifted((at("2026-11-24 08:00") - clock.now()).total_seconds()):
        held_digest.ask_due()
        actions.mark_seen(actor=beaune.agent, mailbox=box, held_ids=[row.id])
        consumers.send_notices()
    assert not Notice.objects.exists()


# -- retention -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("other", ["closed", "silent"])
def test_mailboxes_that_nobody_opens_keep_no_other_from_being_looked_at(
    beaune: Commune, box: Mailbox, monkeypatch: pytest.MonkeyPatch, other: str
) -> None:
    monkeypatch.setattr(following, "LOOK_MAILBOXES", 2)
    for number in range(3):
        made = Mailbox.objects.create(
            collectivite_id=beaune.id,
            address=f"{other}{number}@beaune.test",
            crypt_key="-",
            closed_at=clock.now() if other == "closed" else None,
        )
        for _ in range(4):
            hold(made)
    row = hold(box)

    class Engine:
        def __init__(self, _config: object) -> None:
            pass

        def run(self, commands: list[doveadm.Command]) -> list[Any]:
            return [[] if one["user"] == box.address else None for _, one in commands]

    monkeypatch.setattr(following, "Doveadm", Engine)
    HeldMail.objects.update(changed_at=clock.now() - timedelta(hours=1))
    HeldMail.objects.filter(pk=row.pk).update(changed_at=clock.now() - timedelta(minutes=59))
    assert sum(following.look() for _ in range(3)) == 1
    row.refresh_from_db()
    assert row.state == "gone"


def test_what_is_held_is_on_the_list_of_a_mailbox_that_is_opened_again(
    beaune: Commune, system: Actor, box: Mailbox
) -> None:
    kept = hold(box, reason="content", findings="program")
    with clock.shifted(40 * 86400):
        mail.close_mailbox(actor=system, mailbox=box)
    with clock.shifted(60 * 86400):
        retention.go_on(retention.begin(clock_confirmed_by="root"))
        mail.reopen_mailbox(actor=system, mailbox=box)
        assert [one.id for one in queries.waiting(beaune.agent)] == [kept.id]
        mail.close_mailbox(actor=system, mailbox=box)
    with clock.shifted(91 * 86400):
        retention.go_on(retention.begin(clock_confirmed_by="root"))
    assert not HeldMail.objects.exists()


def test_the_purge_forgets_what_is_over_and_never_what_is_held(beaune: Commune, box: Mailbox) -> None:
    kept, gone = hold(box), hold(box)
    actions.release(actor=beaune.agent, held_id=gone.id)
    with clock.shifted(29 * 86400):
        retention.go_on(retention.begin(clock_confirmed_by="root"))
        assert HeldMail.objects.count() == 2
    with clock.shifted(31 * 86400):
        retention.go_on(retention.begin(clock_confirmed_by="root"))
    assert [one.id for one in HeldMail.objects.all()] == [kept.id]
    assert not Lesson.objects.exists()
    assert json.loads(AuditEntry.objects.filter(verb="retention:purged").latest("id").details)
