"""The centre's hand for `bench mail`: mailboxes by the hundred, a signed-in person, and what a withdrawal has done.

Process: the centre's Python user in the datacenter's namespace, as the laboratory's clerk; everything goes through the
         centre's own actions.
"""

from __future__ import annotations

import contextlib
from typing import Any

import django

django.setup()

from beffroi.core.communes.models import Collectivite, Domain
from beffroi.core.decisions.models import Decision
from beffroi.core.identity import sessions
from beffroi.core.identity.models import Membership
from beffroi.mail import actions
from beffroi.mail.models import Mailbox, MailDelivery, RemediationJob
from beffroi_lab import clerk, hands
from django.conf import settings
from django.db import close_old_connections
from django.test import Client

Answer = dict[str, Any]


def provision(domain: str, first: int, count: int) -> Answer:
    """Create ``count`` mailboxes boiteN@``domain`` from ``first`` on; the worker makes them ready."""
    actor = clerk.administrator()
    owner = Collectivite.objects.get(pk=Domain.objects.get(name=domain).collectivite_id)
    for number in range(first, first + count):
        actions.provision_mailbox(actor=actor, collectivite=owner, address=f"boite{number}@{domain}")
    return {"ok": True}


def ready() -> Answer:
    return {"ok": True, "count": Mailbox.objects.exclude(ready_at=None).count()}


def recorded() -> Answer:
    """How many copies are on record."""
    return {"ok": True, "count": MailDelivery.objects.count()}


def session(email: str) -> Answer:
    """The cookies of a person who has signed in, and the path of their mailbox."""
    membership = Membership.objects.select_related("person").filter(person__email=email).earliest("id")
    client = Client(headers={"X-Beffroi-Listener": "portal"})
    client.force_login(membership.person)
    kept = client.session
    kept[sessions.MEMBERSHIP_KEY] = membership.id
    kept.save()
    mailbox = Mailbox.objects.get(address=email)
    name = settings.SESSION_COOKIE_NAME
    return {"ok": True, "cookie": f"{name}={client.cookies[name].value}", "path": f"/courrier/{mailbox.id}/"}


def withdrawn(decision_id: str) -> Answer:
    """How a decision's withdrawal stands. ``took_ms``: from the decision to the end of the job, None before."""
    job = RemediationJob.objects.filter(decision_id=decision_id, direction="withdraw").first()
    if job is None:
        return {"ok": True, "moved": 0, "took_ms": None}
    began = Decision.objects.get(pk=decision_id).activated_at
    over = round(1000 * (job.done_at - began).total_seconds()) if job.done_at and began else None
    return {"ok": True, "moved": job.moved, "absent": job.absent, "failed": job.failed, "took_ms": over}


if __name__ == "__main__":
    with contextlib.suppress(KeyboardInterrupt):
        deeds = (provision, ready, recorded, session, withdrawn)
        hands.serve({deed.__name__: deed for deed in deeds}, finish=close_old_connections)
