"""What mail does when something happened elsewhere. Group "main" (worker): the engines' projections. Group
"remediation" (a process of its own): copies follow decisions, the journal, the sweep. Group "webmail" (another): what
people wrote in the portal leaves."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import batched

from beffroi_protocol.indicators import Indicator, Kind
from django.conf import settings
from django.db import transaction

from beffroi.core.communes import queries as communes
from beffroi.core.decisions import exceptions
from beffroi.core.events import Event, consumer, periodic
from beffroi.core.events.outbox import publish
from beffroi.core.events.registry import ACCESSES, CONNECTIONS
from beffroi.core.identity.models import Membership
from beffroi.lib import clock, envelopes
from beffroi.lib.errors import Unavailable
from beffroi.mail import (
    app_passwords,
    awaited,
    deleted,
    journal,
    key_pairs,
    keys,
    listed,
    once,
    outgoing,
    projections,
    remediation,
    sweep,
    unfinished,
)
from beffroi.mail.doveadm import Doveadm
from beffroi.mail.held import consumers as held_consumers  # noqa: F401 - registers its own
from beffroi.mail.models import Mailbox
from beffroi.mail.quota import consumers as quota_consumers  # noqa: F401 - registers its own
from beffroi.mail.quota import queries as quota
from beffroi.mail.quota.models import MailboxRoom
from beffroi.mail.sending import queue

RECOVERED_AT_ONCE = 500
REMEDIATION_VERB = "mail:remediation"
SEARCHES = "searches"
"""Lane of what looks through mailboxes, seconds a round: no withdrawal waits for it."""


class MailboxNotReady(Unavailable):
    """{} does not open the mailbox yet; try again shortly."""

    code = "mail.not_ready"


@consumer(name="mail.mailboxes", kinds=("mail:mailbox_created", "mail:mailbox_closed"), atomic=False)
def project_mailbox(event: Event) -> None:
    """Dovecot learns of the mailbox and its key pair, and opens it; only then Postfix accepts mail. Until then it says
    "later", also of those that come after this one."""
    mailbox = Mailbox.objects.get(pk=event.payload["mailbox_id"])
    config = settings.BEFFROI
    new = Mailbox.objects.filter(closed_at=None, ready_at=None)
    projections.put_opening(config, list(new.values_list("address", flat=True)))
    if mailbox.closed_at is not None:
        projections.remove_mailbox(config, mailbox_id=mailbox.id, address=mailbox.address)
        # Opened again it has the limit that it had, and is counted first.
        MailboxRoom.objects.filter(pk=mailbox.pk).update(counted_at=None)
        return
    outer = keys.commune_key(config, mailbox.collectivite_id)
    pair = key_pairs.of_secret(envelopes.unwrap(outer, mailbox.crypt_key, mailbox.id))
    projections.put_mailbox_auth(config, mailbox_id=mailbox.id, address=mailbox.address, pair=pair)
    projections.put_quota(config, address=mailbox.address, mib=quota.limit_mib(mailbox.id))
    engine = Doveadm(config)
    if not engine.opens(mailbox.address):
        raise MailboxNotReady("Dovecot")
    app_passwords.put_all(mailbox)
    projections.put_route(config, address=mailbox.address)
    Mailbox.objects.filter(pk=mailbox.pk, ready_at=None).update(ready_at=clock.now())
    remediation.open_again(mailbox.id)
    for copies in batched(remediation.missed(mailbox.id), RECOVERED_AT_ONCE, strict=False):
        with transaction.atomic():
            publish(deleted.RECOVERED, {"copies": copies}, collectivite_id=mailbox.collectivite_id)


@consumer(name="mail.listed", kinds=("list:published",), atomic=False)
def look_back_on_list(event: Event) -> None:
    listed.look_back(event.payload)


@consumer(
    name="mail.owners",
    kinds=("communes:domain_added", communes.DOMAIN_PASSED, communes.LEFT, communes.BACK),
    atomic=False,
)
def project_owners(event: Event) -> None:
    put_owners()


@periodic("mail.owners", every_s=3600.0)
def put_owners() -> None:
    """Whose each domain is: the mail door asks at each message whose exceptions count. Those of who left are strangers'
    domains: mail for them goes where their MX leads, and is not taken from outside."""
    owners = communes.current_domains().values_list("name", "collectivite_id")
    projections.put_owners(settings.BEFFROI, dict(owners))
    projections.remove_domains(settings.BEFFROI, communes.left_domain_names())


@periodic("mail.looked_up_anew", every_s=5.0)
def look_up_anew() -> None:
    """A domain came or went. Each smtpd keeps for its life where the addresses that it met lead: it would refuse those
    of who left as unknown, and those of who came as not ours."""
    projections.tell_of_domains(settings.BEFFROI, lambda: queue.look_up_anew(settings.BEFFROI))


@periodic("mail.awaited", every_s=5.0)
def end_awaited() -> None:
    awaited.end(look_up_anew)


@consumer(
    name="mail.app_passwords",
    kinds=("identity:app_password_issued", "identity:app_password_revoked"),
    lane=ACCESSES,
    atomic=False,
    together=True,
)
def project_app_passwords(events: Sequence[Event]) -> None:
    """Read the present rows, not the events: a revocation that came first must win. A role that ends revokes each app
    password of it: all are written at once, since each writing waits for the disk several times. No engine is asked
    here: one that hangs would keep everybody else's open."""
    asked = {
        one.payload["app_password_id"]: one.payload["membership_id"]
        for one in events
        if app_passwords.PROTOCOLS.intersection(one.payload["protocols"])
    }
    ended = Membership.objects.filter(pk__in=[asked[one] for one in app_passwords.put(asked)])
    if mailbox_ids := [each.id for one in ended for each in app_passwords.mailboxes(one)]:
        with transaction.atomic():
            publish(app_passwords.ENDED, {"mailbox_ids": mailbox_ids})


@consumer(
    name="mail.connections", kinds=(app_passwords.ENDED,), lane=CONNECTIONS, atomic=False, together=True
)
def end_connections(events: Sequence[Event]) -> None:
    ids = {each for one in events for each in one.payload["mailbox_ids"]}
    app_passwords.end_connections(Mailbox.objects.filter(pk__in=ids).values_list("address", flat=True))


@consumer(
    name="mail.remediation",
    kinds=("decision:activated", "decision:ended", "decision:review", "decision:taken_back"),
    group="remediation",
    atomic=False,
)
def follow_decision(event: Event) -> None:
    """One consumer for both, so that an end never overtakes its beginning."""
    if event.kind == "decision:activated":
        journal.follow()  # copies of the last moment are withdrawn with the others, not one by one
        remediation.withdraw(event.payload["decision_id"])
    else:
        remediation.restore(event.payload["decision_id"])


@consumer(
    name="mail.late_deliveries",
    kinds=("mail:delivered", deleted.RECOVERED),
    group="remediation",
    atomic=False,
)
def withdraw_late(event: Event) -> None:
    """Copies saved after their decision; and those that were late because they had been delivered before."""
    once.look_at(event.payload["copies"])
    remediation.add_late(event.payload["copies"])


@consumer(name="mail.exceptions_closed", kinds=("exception:ended",), group="remediation", atomic=False)
def withdraw_what_passed(event: Event) -> None:
    """What a person opened for an hour and an hour ended is that person's; what turned out an attack is not."""
    told = event.payload
    if told.get("reason") == exceptions.ATTACK:
        journal.follow()
        remediation.withdraw_passed(Indicator(Kind(told["kind"]), told["value"]), told["scope"])


@consumer(
    name="mail.remediation_approved",
    kinds=("approval:granted", "approval:refused"),
    group="remediation",
    atomic=False,
)
def follow_approval(event: Event) -> None:
    if event.payload["verb"] != REMEDIATION_VERB:
        return
    if event.kind == "approval:granted":
        remediation.approved(event.payload["subject_id"])
    else:
        remediation.refused(event.payload["subject_id"])


periodic("mail.journal", every_s=1.0, group="remediation")(journal.follow)
periodic("mail.sweep", every_s=1.0, group="remediation")(sweep.sweep)
periodic("mail.search", every_s=60.0, group="remediation", lane=SEARCHES)(sweep.search)
periodic("mail.unrecorded", every_s=60.0, group="remediation", lane=SEARCHES)(sweep.look_for_unrecorded)
periodic("mail.resume", every_s=5.0, group="remediation")(remediation.resume)
periodic("mail.remediation_again", every_s=30.0, group="remediation")(remediation.try_again)


@periodic("mail.remediation_told", every_s=30.0, group="remediation")
def tell_unfinished() -> None:
    unfinished.write(settings.BEFFROI, remediation.unfinished_ones())


periodic("mail.webmail", every_s=1.0, group="webmail")(outgoing.send_due)
