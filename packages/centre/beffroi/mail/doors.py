"""What the door of mail tells the decisions: who has one, and which hosts hand in mail."""

from __future__ import annotations

from beffroi.core.decisions.reach import MAIL, reaches
from beffroi.mail import prevalence  # noqa: F401 - tells what hands in mail
from beffroi.mail.models import Mailbox


@reaches(MAIL)
def communes_with_mail() -> set[str]:
    boxes = Mailbox.objects.filter(closed_at=None).exclude(ready_at=None)
    return set(boxes.values_list("collectivite_id", flat=True))
