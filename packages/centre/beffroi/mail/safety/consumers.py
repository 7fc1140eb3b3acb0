"""What the mail door has to know of the collectivités' choices. Group "main" (worker)."""

from __future__ import annotations

from django.conf import settings

from beffroi.core.events import Event, consumer, periodic
from beffroi.mail import projections
from beffroi.mail.safety import queries
from beffroi.mail.safety.actions import POLICY_CHANGED


@consumer(name="mail.attachment_policy", kinds=(POLICY_CHANGED,), atomic=False)
def project_policies(event: Event) -> None:
    """Read the present state, not the event."""
    put_policies()


@periodic("mail.attachment_policy", every_s=3600.0)
def put_policies() -> None:
    projections.put_attachment_policies(settings.BEFFROI, queries.policies())
