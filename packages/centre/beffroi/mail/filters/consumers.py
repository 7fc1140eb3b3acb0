"""What follows when a person sets something for their mailbox, or leaves. Group "main" (worker)."""

from __future__ import annotations

from django.conf import settings

from beffroi.core.events import Event, consumer, periodic
from beffroi.core.identity.queries import who_left
from beffroi.mail import projections
from beffroi.mail.engines import layout, sievec
from beffroi.mail.filters import actions, queries
from beffroi.mail.filters.errors import ScriptRefused
from beffroi.mail.models import Mailbox


@consumer(
    name="mail.filters",
    kinds=("mail:filters_changed", "mail:sending_held", "mail:mailbox_created", "mail:mailbox_closed"),
    atomic=False,
)
def project_script(event: Event) -> None:
    """Read the present rows, not the event; what does not compile never replaces what does."""
    config = settings.BEFFROI
    paths = layout.Paths(config.state)
    if not paths.scripts.is_dir():  # no engine was ever prepared here
        return
    mailbox = Mailbox.objects.get(pk=event.payload["mailbox_id"])
    script = "" if mailbox.closed_at is not None else queries.script(mailbox)
    try:
        does_compile = not script or sievec.fault(paths.sievec_conf, script) is None
    except sievec.FAILURES:
        does_compile = False
    if not does_compile:
        raise ScriptRefused(mailbox.id)  # with no word of the script
    projections.put_script(config, mailbox_id=mailbox.id, script=script)


@consumer(name="mail.forwards_left", kinds=("identity:access_ended",))
def end_forwards(event: Event) -> None:
    if left := who_left(event.payload["membership_id"]):
        actions.end_forwards_of(left.person_id, left.collectivite_id)


@consumer(name="mail.filters_forgotten", kinds=("identity:person_erased",))
def forget(event: Event) -> None:
    actions.forget(event.payload["person_id"])


periodic("mail.forwards_over", every_s=3600.0)(actions.end_over)
