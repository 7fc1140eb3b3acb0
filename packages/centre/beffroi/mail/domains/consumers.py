"""What mail domains do by themselves: keys for a new domain, the rotation, the daily check.

Group "sources": it waits for strangers anyway; in worker a silent DNS server would hold up decisions.
"""

from __future__ import annotations

import logging
from datetime import timedelta

from django.conf import settings

from beffroi.core.communes.models import Domain
from beffroi.core.communes.queries import current_domains
from beffroi.core.events import Event, consumer, periodic
from beffroi.core.identity.actor import Actor
from beffroi.lib import clock
from beffroi.lib.errors import BeffroiError, Conflict
from beffroi.mail.certificates import wanting
from beffroi.mail.domains import actions, checking, delegation, queries, update
from beffroi.mail.domains.models import DkimKey

SYSTEM = Actor.system("mail-domains")
CHECK_EVERY = timedelta(hours=20)
SLICE = 5
"""Domains that one turn checks: each asks some thirty questions, and the worker has other things to do."""
log = logging.getLogger("beffroi.mail.domains")


@consumer(name="mail.domain_keys", kinds=("communes:domain_added",), group="sources", atomic=False)
def give_keys(event: Event) -> None:
    domain = current_domains().filter(pk=event.payload["domain_id"]).first()
    if domain is not None:
        actions.ensure_keys(actor=SYSTEM, domain=domain)


@periodic("mail.dkim_rotation", every_s=3600.0, group="sources")
def rotate_due() -> None:
    """Free what was retired long enough, make the next key, and let it sign when it is due and DNS shows it."""
    for domain in current_domains().order_by("id"):
        try:
            _rotate(domain)
        except Conflict as error:
            log.info("domain %s keeps its key: %s", domain.id, error.code)
        except BeffroiError as error:  # one key that does not open: those of the others have their turn
            log.error("domain %s: %s", domain.id, error.code)


def _rotate(domain: Domain) -> None:
    actions.free_retired(actor=SYSTEM, domain=domain)
    actions.ensure_keys(actor=SYSTEM, domain=domain)
    old = DkimKey.objects.filter(
        domain_id=domain.id,
        state=DkimKey.State.ACTIVE,
        activated_at__lte=clock.now() - actions.ROTATE_AFTER,
    )
    if old.exists():
        actions.rotate_key(actor=SYSTEM, domain=domain)


@consumer(name="mail.dkim_zone", kinds=("mail:dkim_changed",), group="sources", atomic=False)
def publish_own(event: Event) -> None:
    """Our own zone follows by itself; a commune's zone only when an administrator says so."""
    config = settings.BEFFROI
    domain = current_domains().filter(pk=event.payload["domain_id"]).first()
    if domain is not None and config.dns_update_server and config.mail_dkim_zone:
        update.apply(update.server(config), queries.own_records(domain))


@consumer(
    name="mail.delegated_zone",
    kinds=("mail:dkim_changed", "mail:domain_changed"),
    group="sources",
    atomic=False,
)
def publish_delegated(event: Event) -> None:
    """Where the last check saw the delegation, what is below the domain follows. MX and SPF move mail: a person's."""
    config = settings.BEFFROI
    domain = current_domains().filter(pk=event.payload["domain_id"]).first()
    if domain is None or not config.dns_update_server or not queries.is_delegated(domain.id):
        return
    planned = delegation.delegable(domain.name, queries.plan(domain))
    update.apply(update.server(config), planned)
    actions.note_published(actor=SYSTEM, domain=domain, server=config.dns_update_server, count=len(planned))


@consumer(
    name="mail.domain_read_back",
    kinds=("mail:domain_published", "mail:domain_declared"),
    group="sources",
    atomic=False,
)
def read_back(event: Event) -> None:
    """What was just written or declared is looked at from outside, as each day."""
    domain = current_domains().filter(pk=event.payload["domain_id"]).first()
    if domain is not None:
        checking.check_and_store(SYSTEM, domain)


@periodic("mail.certificates_wanted", every_s=300.0, group="sources")
def want_certificates() -> None:
    """Names that lead to us may have a certificate; the process ``certificates`` reads which."""
    wanting.update()


@periodic("mail.domain_checks", every_s=300.0, group="sources")
def check_due() -> None:
    """Each domain once a day, a few a turn; again where a clock that was ahead dated the last one."""
    now = clock.now()
    fresh = set(
        queries.visible_checks(SYSTEM)
        .filter(checked_at__gt=now - CHECK_EVERY, checked_at__lte=now)
        .values_list("domain_id", flat=True)
    )
    for domain in current_domains().exclude(pk__in=fresh).order_by("id")[:SLICE]:
        made, _ = checking.check_and_store(SYSTEM, domain)
        if made.silent:
            return
