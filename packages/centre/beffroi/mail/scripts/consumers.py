"""What follows when a person's own script changes, or when they leave. Group "main" (worker)."""

from __future__ import annotations

from django.conf import settings

from beffroi.core.events import Event, consumer
from beffroi.core.identity.queries import who_left
from beffroi.mail import projections
from beffroi.mail.engines import layout
from beffroi.mail.models import Mailbox
from beffroi.mail.scripts import actions, queries


@consumer(
    name="mail.scripts",
    kinds=("mail:script_changed", "mail:mailbox_created", "mail:mailbox_closed"),
    atomic=False,
)
def project_script(event: Event) -> None:
    """Read the present row, not the event. What is kept was compiled when it came (``actions.put``)."""
    config = settings.BEFFROI
    if not layout.Paths(config.state).scripts.is_dir():  # no engine was ever prepared here
        return
    mailbox = Mailbox.objects.get(pk=event.payload["mailbox_id"])
    projections.put_own_script(config, mailbox_id=mailbox.id, script=queries.text_in_force(mailbox))


@consumer(name="mail.scripts_left", kinds=("identity:access_ended",))
def end_scripts(event: Event) -> None:
    if left := who_left(event.payload["membership_id"]):
        actions.end_scripts_of(left.person_id, left.collectivite_id)


@consumer(name="mail.scripts_forgotten", kinds=("identity:person_erased",))
def forget(event: Event) -> None:
    actions.forget(event.payload["person_id"])
