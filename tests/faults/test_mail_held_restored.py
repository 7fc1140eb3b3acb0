"""Held mail after a database of before it was put back: all that lies in quarantine is on its owner's list again."""

from __future__ import annotations

from datetime import datetime, timedelta

import pytest
from beffroi.core.decisions import actions as decisions
from beffroi.core.decisions.models import Decision
from beffroi.core.events.models import OutboxEvent
from beffroi.core.events.outbox import RESTORED, publish
from beffroi.core.events.running import run_pending
from beffroi.core.identity.actor import Actor
from beffroi.lib import clock
from beffroi.mail import sweep
from beffroi.mail.held import actions, due
from beffroi.mail.held.models import HeldMail
from beffroi.mail.models import Mailbox, MailDelivery, MailMessage, RemediationItem, RemediationJob
from django.db import transaction
from django.db.models import Model

from tests import mail_files
from tests.conftest import Commune
from tests.fixtures_portal import no_door, portal_client
from tests.mail_post import Post, lure, needs_engines, until

__all__ = ["no_door"]
pytest_plugins = ["tests.fixtures_mail"]
pytestmark = needs_engines


HELD = (HeldMail, RemediationItem, RemediationJob)


def restore(*, known_until: datetime, without: tuple[type[Model], ...]) -> None:
    """What a restore leaves: nothing that came since, and its own event."""
    since = {"received_at__gte": known_until}
    younger = list(MailMessage.objects.filter(**since).values_list("id", flat=True))
    MailDelivery.objects.filter(message_id__in=younger).delete()
    MailMessage.objects.filter(pk__in=younger).delete()
    for model in without:
        model._default_manager.all().delete()
    OutboxEvent.objects.update(created_at=known_until)
    with transaction.atomic():
        publish(
            RESTORED, {"as_of_s": int(known_until.timestamp()), "snapshot": "0a1b2c3d", "is_undone": False}
        )


def look(post: Post, held: int) -> None:
    def listed() -> bool:
        sweep.search()
        run_pending("remediation")
        return HeldMail.objects.count() >= held

    until(listed, f"{held} on the list", 30)


def test_what_was_withdrawn_or_held_since_the_backup_is_listed_and_released_after_a_restore(
    post: Post, beaune: Commune, box: Mailbox
) -> None:
    assert sweep.search() == 0
    assert post.send(lure(box.address, "avant"), box.address)[0] == 250
    post.settle(1)
    MailMessage.objects.update(received_at=clock.now() - timedelta(minutes=10))
    assert post.send(lure(box.address, "depuis"), box.address)[0] == 250
    assert post.send(mail_files.letter("outil.exe", mail_files.EXE, to=box.address), box.address)[0] == 250
    post.settle(3)
    post.block("domain", "pay.evil.example.com")
    run_pending("remediation")
    assert post.count(box) == 0 and HeldMail.objects.count() == 3

    restore(known_until=clock.now() - timedelta(minutes=5), without=(*HELD, Decision))
    look(post, 3)
    rows = {(one.reason, one.findings != "", one.state) for one in HeldMail.objects.all()}
    assert rows == {("decision", False, "held"), ("content", True, "held")}
    assert sum(len(one.rows) for one in due.due(datetime(2030, 1, 8, 18, tzinfo=clock.PLACE))) == 3
    shown = portal_client(beaune.agent_membership).get("/retenus/").content.decode()
    assert "Facture avant" in shown and "Facture depuis" in shown and shown.count("/liberer/") == 2
    for row in HeldMail.objects.filter(reason="decision"):
        actions.release(actor=beaune.agent, held_id=row.id)
    run_pending("remediation")
    post.wait_count(box, 2)


def test_a_decision_that_the_backup_knows_holds_what_came_since_and_gives_it_back(
    post: Post, beaune: Commune, box: Mailbox
) -> None:
    assert sweep.search() == 0
    decision = post.block("domain", "pay.evil.example.com", action="quarantine")
    post.wait_gate(1)
    assert post.send(lure(box.address, "depuis"), box.address)[0] == 250
    post.settle(1)
    assert post.count(box) == 0 and HeldMail.objects.count() == 1

    restore(known_until=clock.now() - timedelta(minutes=5), without=HELD)
    look(post, 1)
    row = HeldMail.objects.get()
    assert (row.reason, row.decision_id, row.state) == ("decision", decision.id, "held")
    with pytest.raises(actions.HeldByDecision):
        actions.release(actor=beaune.agent, held_id=row.id)
    decisions.revoke(actor=Actor.system("tests"), decision=decision, reason="x")
    run_pending("remediation")
    assert HeldMail.objects.get().state == "returned"
    post.wait_count(box, 1)
