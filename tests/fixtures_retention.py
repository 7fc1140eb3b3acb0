"""What the purge is tried on, and a run of it."""

from __future__ import annotations

from beffroi.core.retention import actions
from beffroi.incidents import actions as incidents
from beffroi.incidents.models import Encounter, Incident
from beffroi.incidents.recorded import Captured
from beffroi.incidents.rules import Kind
from beffroi.lib import clock
from beffroi.lib.ids import new_id
from beffroi.mail.models import (
    MailDelivery,
    MailMessage,
    MailObservation,
    MailRecipient,
)

from tests.conftest import Commune

DAY_S = 86400


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
