"""What the process ``import`` does: an import that a person began or resumed is taken up at once, others when due. And
what worker does: imports end with the access of their person, or with their mailbox, and stop with who asked for them.

Process: import (its own: an old provider that is slow keeps nobody else waiting); group "main" (worker).
"""

from __future__ import annotations

from beffroi.core.events import Event, consumer, periodic
from beffroi.core.identity.queries import who_left
from beffroi.mail.importing import actions, children
from beffroi.mail.importing.models import ImportJob
from beffroi.mail.models import Mailbox

GROUP = "import"


@consumer(name="mail.import", kinds=(actions.CHANGED,), group=GROUP, atomic=False)
def follow(event: Event) -> None:
    children.step()


periodic("mail.import", every_s=1.0, group=GROUP)(children.step)


@consumer(name="mail.imports_left", kinds=("identity:access_ended", "mail:mailbox_closed"))
def end_imports(event: Event) -> None:
    """Into a mailbox that is closed, or is the own one of somebody who left; into a functional one see below."""
    if event.kind == "mail:mailbox_closed":
        gone = Mailbox.objects.filter(pk=event.payload["mailbox_id"]).exclude(closed_at=None)
    else:
        left = who_left(event.payload["membership_id"])
        if left is None:
            return
        gone = Mailbox.objects.filter(person_id=left.person_id, collectivite_id=left.collectivite_id)
    actions.end_all(ImportJob.objects.filter(mailbox_id__in=gone.values("pk")))


@consumer(name="mail.imports_unasked", kinds=("mail:members_changed",))
def stop_unasked(event: Event) -> None:
    """Whoever leaves a collectivité leaves its functional mailboxes first (mail/people)."""
    actions.stop_unasked(event.payload["mailbox_id"])


@consumer(name="mail.imports_forgotten", kinds=("identity:person_erased",))
def forget(event: Event) -> None:
    actions.forget(event.payload["person_id"])
