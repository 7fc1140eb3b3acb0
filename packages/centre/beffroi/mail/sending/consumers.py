"""What follows when an account sends too much, and when a person changes the queue. Group "main" (worker);
what partners demand is asked of strangers, so in "sources"."""

from __future__ import annotations

from datetime import timedelta

from django.conf import settings

from beffroi.core.events import Event, consumer, periodic
from beffroi.lib import clock
from beffroi.lib.config import Config
from beffroi.mail import app_passwords, projections, signing
from beffroi.mail.aliases import queries as aliases
from beffroi.mail.domains import checking, site
from beffroi.mail.domains import queries as domains
from beffroi.mail.domains.asking import Asker
from beffroi.mail.engines import pools
from beffroi.mail.gate.sending import KIND
from beffroi.mail.gate.store import LEAVING
from beffroi.mail.models import JournalPosition, Mailbox
from beffroi.mail.sending import (
    actions,
    exits,
    policies,
    pool_actions,
    pool_queries,
    queries,
    queue,
    reputation,
    sts,
)
from beffroi.mail.sending.models import ChosenPartner

ASK_AGAIN_S = 20 * 3600
POLICY_BUDGET_S = 20.0


@consumer(name="mail.sending_refused", kinds=(KIND,))
def note_refusal(event: Event) -> None:
    actions.note_refusal(event.payload)


@consumer(name="mail.sending_held", kinds=("mail:sending_held",), atomic=False)
def project_held(event: Event) -> None:
    """Read the present state, not the event. First the mail door, then passwords, what waits and what is open; with one
    engine away the other is asked all the same. Last, who is given back leaves by the address of doubtful senders for
    some days."""
    config = settings.BEFFROI
    projections.put_held(config, queries.held_accounts())
    mailbox = Mailbox.objects.get(pk=event.payload["mailbox_id"])
    app_passwords.put_all(mailbox)
    held = mailbox.id in queries.held_mailboxes()
    # An alias has several who write with it: what waits of theirs rests, too, until the account is given back.
    senders = {mailbox.address, *aliases.senders(mailbox)}
    try:
        of_it = queue.read(config, senders=senders).messages
        ids = [one.id for one in of_it if (one.queue != "hold") == held]
        queue.change(config, "hold" if held else "release", ids)
    finally:
        if held:
            app_passwords.end_connections([mailbox.address])
    exits.look(config)


@consumer(name="mail.queue_change", kinds=("mail:queue_change",), atomic=False)
def change_queue(event: Event) -> None:
    queue.change(settings.BEFFROI, event.payload["verb"], event.payload["ids"])


@consumer(name="mail.partner_policies", kinds=(LEAVING,), group="sources", atomic=False)
def learn_policies(event: Event) -> None:
    """What partners demand of those who send to them, asked when the first mail of a day leaves for them."""
    config, now_s = settings.BEFFROI, clock.epoch_s()
    asker = checking.own_resolver(config, budget_s=POLICY_BUDGET_S)
    for name in event.payload["domains"]:
        before = policies.known(config, name)
        if now_s - before.asked_s > ASK_AGAIN_S and not domains.is_enrolled(name):
            policies.put(config, sts.learn(before, asker, site.Way(), now_s=now_s))


@periodic("mail.partner_policies", every_s=3600.0, group="sources")
def refresh_policies() -> None:
    """What is demanded holds for weeks: asked again each day, so that it does not run out between two mails."""
    config, now_s = settings.BEFFROI, clock.epoch_s()
    if not policies.path(config).exists():
        return
    asker = checking.own_resolver(config, budget_s=POLICY_BUDGET_S)
    for before in policies.due(config, asked_before_s=now_s - ASK_AGAIN_S, limit=20):
        policies.put(config, sts.learn(before, asker, site.Way(), now_s=now_s))


@consumer(name="mail.partners_chosen", kinds=("mail:partners_chosen",), group="sources", atomic=False)
def project_chosen(event: Event) -> None:
    """At once as encrypted; what DNSSEC proves of each is asked with the next round."""
    _put_chosen(asker=None)


@periodic("mail.partners_chosen", every_s=3600.0, group="sources")
def refresh_chosen() -> None:
    """Where DNSSEC names a certificate, no other will do; where DNS does not answer, the former row stays."""
    if policies.path(settings.BEFFROI).exists():
        _put_chosen(asker=checking.own_resolver(settings.BEFFROI, budget_s=POLICY_BUDGET_S))


def _put_chosen(*, asker: Asker | None) -> None:
    before = policies.chosen(settings.BEFFROI)
    rows = {}
    for domain in ChosenPartner.objects.values_list("domain", flat=True):
        dane = sts.proved_by_dane(domain, asker) if asker else None
        encrypted, proved = policies.CHOSEN_ROWS
        rows[domain] = before.get(domain, encrypted) if dane is None else proved if dane else encrypted
    policies.put_chosen(settings.BEFFROI, rows)


@periodic("mail.left", every_s=60.0)
def count_left() -> None:
    """How well what left was protected, and what other servers answered; with the keeper away it is counted later."""
    if not settings.BEFFROI.outgoing_mail:
        return
    more = True
    while more:
        before = JournalPosition.objects.get_or_create(pk=actions.LEFT)[0].offset_bytes
        try:
            found = queue.left(settings.BEFFROI, before)
        except queue.QueueUnavailable:
            return
        counted = actions.count_left(
            before=before, after=found.offset_bytes, rows=found.rows, lanes=found.lanes, senders=found.senders
        )
        more = counted and found.more


@periodic("mail.exits", every_s=300.0)
def look_at_exits() -> None:
    """Warm-ups go on or pause, doubtful senders come and go."""
    exits.look(settings.BEFFROI)


@consumer(name="mail.exits", kinds=(pool_actions.POOLS,))
def project_exits(event: Event) -> None:
    exits.project(settings.BEFFROI)


@periodic("mail.reputation", every_s=3600.0, group="sources")
def ask_lists() -> None:
    """Each list about each address once a day, and whether the address's name leads to it."""
    config = settings.BEFFROI
    asker = checking.own_resolver(config, budget_s=POLICY_BUDGET_S)
    _ask_names(config, asker)
    asked = reputation.zones(config)
    addresses = reputation.addresses(config, asker) if asked else []
    wanted = {(address, zone) for address in addresses for zone in asked}
    fresh = queries.fresh_listings(since=clock.now() - timedelta(seconds=ASK_AGAIN_S))
    for address, zone in sorted(wanted - fresh):
        state = reputation.state(address, zone, asker)
        actions.note_listing(address=address, zone=zone, state=state)
    if wanted or not asked:
        actions.forget_listings(wanted=wanted)


def _ask_names(config: Config, asker: Asker) -> None:
    if not config.outgoing_mail:
        return
    named = [
        (address, one.helo or config.mail_name) for one in pools.exits(config) for address in one.addresses
    ]
    mechanisms = domains.servers(config).spf
    fresh = pool_queries.fresh_names(since=clock.now() - timedelta(seconds=ASK_AGAIN_S))
    for address, helo in named:
        if (address, helo) not in fresh:
            state = reputation.name_state(config, address, helo, asker, mechanisms=mechanisms)
            pool_actions.note_name(address=address, helo=helo, state=state)
    pool_actions.forget_names(wanted=[address for address, _ in named])


@periodic("mail.signing_keys", every_s=60.0)
def put_signing_keys() -> None:
    """What signs now, for rspamd; it reads its map again within seconds."""
    config = settings.BEFFROI
    signing.put(config, domains.signing_keys(config))


@periodic("mail.sending_held", every_s=3600.0)
def put_held() -> None:
    projections.put_held(settings.BEFFROI, queries.held_accounts())
