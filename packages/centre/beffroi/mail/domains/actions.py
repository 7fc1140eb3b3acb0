"""The only writes of mail domains: choices, DKIM keys and their rotation, what a check found.

Every action is one transaction: change, audit row, outbox event. RSA keys are made before it: they take a while.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from contextlib import suppress
from datetime import timedelta

from beffroi_protocol.errors import IndicatorInvalid
from beffroi_protocol.indicators import Kind, normalise
from django.conf import settings
from django.db import transaction

from beffroi.core.audit import actions as audit
from beffroi.core.communes.models import Domain
from beffroi.core.events import outbox
from beffroi.core.events.outbox import publish
from beffroi.core.identity.actor import Actor
from beffroi.lib import clock, envelopes
from beffroi.lib.errors import Conflict, Invalid, NotAllowed
from beffroi.mail import keys
from beffroi.mail.domains import dkim, queries
from beffroi.mail.domains.declared import VERB as DECLARED
from beffroi.mail.domains.models import DkimKey, DomainCheck, MailDomain

OVERLAP = timedelta(days=7)
"""How long a key that signs no more stays published: longer than any server keeps trying to deliver (5 days)."""
ROTATE_AFTER = timedelta(days=180)
_SEEN_WITHIN = timedelta(days=2)
_MECHANISM = re.compile(r"(?:include|a|mx|ip4|ip6|exists):[A-Za-z0-9_.:/-]{1,200}\Z")
MAX_MECHANISMS = 8


def ensure_keys(*, actor: Actor, domain: Domain) -> list[DkimKey]:
    """Give the domain a key that signs and one that waits, where they are missing; return the new ones.

    A selector that is still taken by a retired key is left alone. Errors: NotAllowed, KeyUnreadable.
    """
    _only_the_departement(actor)
    missing = _missing(domain.id)
    pairs = [dkim.new_pair() for _ in missing]
    return _store_keys(actor, domain, pairs) if pairs else []


def _missing(domain_id: str) -> list[str]:
    """States of the keys to make, at most as many as there are free selectors."""
    present = queries.published_keys(domain_id)
    states = {one.state for one in present}
    wanted = [one for one in (DkimKey.State.ACTIVE, DkimKey.State.NEXT) if one not in states]
    return [str(one) for one in wanted[: len(dkim.SELECTORS) - len(present)]]


@transaction.atomic
def _store_keys(actor: Actor, domain: Domain, pairs: Sequence[dkim.KeyPair]) -> list[DkimKey]:
    outbox.serialise()
    Domain.objects.select_for_update().get(pk=domain.pk)  # one writer a domain: selectors are few
    outer = keys.commune_key(settings.BEFFROI, domain.collectivite_id)
    made: list[DkimKey] = []
    # Asked again: another process may have been faster.
    for state, pair in zip(_missing(domain.id), pairs, strict=False):
        taken = {one.selector for one in queries.published_keys(domain.id)}
        key = DkimKey(
            domain_id=domain.id,
            collectivite_id=domain.collectivite_id,
            selector=next(one for one in dkim.SELECTORS if one not in taken),
            state=state,
            public_key=pair.public,
            activated_at=clock.now() if state == DkimKey.State.ACTIVE else None,
        )
        key.wrapped = envelopes.wrap(outer, pair.private, key.id)
        key.save(force_insert=True)
        audit.record_of(actor, "mail:dkim_key:made", domain, {"key_id": key.id, "selector": key.selector})
        made.append(key)
    last = queries.last_check(domain.id) if made else None
    if last is not None:  # what DNS showed under these selectors was a key before
        for one in made:
            last.items.pop(f"dkim:{one.selector}", None)
        last.save(update_fields=["items"])
    if made:
        _tell("mail:dkim_changed", domain)
    return made


@transaction.atomic
def pass_keys(*, actor: Actor, domain: Domain, to: str) -> None:
    """What signs for a domain opens with the key of ``to`` (a collectivité) from now on: the former's is destroyed with
    all of it. One that does not open stays as it is, and the next takes its place."""
    _only_the_departement(actor)
    for row in DkimKey.objects.select_for_update().filter(domain_id=domain.id).exclude(wrapped=""):
        with suppress(envelopes.KeyUnreadable):
            private = queries.private_key(settings.BEFFROI, row).encode()
            row.wrapped = envelopes.wrap(keys.commune_key(settings.BEFFROI, to), private, row.id)
            row.save(update_fields=["wrapped"])


@transaction.atomic
def rotate_key(*, actor: Actor, domain: Domain) -> DkimKey:
    """Let the waiting key sign from now on; return it. The former one stays published for ``OVERLAP``.

    Errors: NotAllowed; Conflict when no key waits, or DNS did not show it in the last check; KeyUnreadable.
    """
    _only_the_departement(actor)
    outbox.serialise()
    rows = {
        one.state: one
        for one in DkimKey.objects.select_for_update().filter(domain_id=domain.id, gone_at=None)
    }
    coming, former = rows.get(DkimKey.State.NEXT), rows.get(DkimKey.State.ACTIVE)
    if coming is None:
        raise Conflict("no key waits")
    if not _shown(domain.id, coming.selector):
        raise Conflict("DNS does not show the next key yet")
    # Else the domain would sign no more, and the former one be erased.
    queries.private_key(settings.BEFFROI, coming)
    now = clock.now()
    if former is not None:
        # What it signed needs only its public half.
        former.state, former.retired_at, former.wrapped = DkimKey.State.RETIRED, now, ""
        former.save(update_fields=["state", "retired_at", "wrapped"])
    coming.state, coming.activated_at = DkimKey.State.ACTIVE, now
    coming.save(update_fields=["state", "activated_at"])
    audit.record_of(
        actor, "mail:dkim_key:activated", domain, {"key_id": coming.id, "selector": coming.selector}
    )
    _tell("mail:dkim_changed", domain)
    return coming


def _shown(domain_id: str, selector: str) -> bool:
    last = queries.last_check(domain_id)
    if last is None or clock.now() - last.checked_at > _SEEN_WITHIN:
        return False
    return bool(last.items.get(f"dkim:{selector}", [""])[0] == "ok")


@transaction.atomic
def free_retired(*, actor: Actor, domain: Domain) -> int:
    """Let go of keys whose overlap is over; their selector is free then. Return how many."""
    _only_the_departement(actor)
    over = DkimKey.objects.filter(
        domain_id=domain.id, gone_at=None, state=DkimKey.State.RETIRED, retired_at__lte=clock.now() - OVERLAP
    )
    ids = list(over.values_list("id", flat=True))
    if ids:
        outbox.serialise()
        DkimKey.objects.filter(pk__in=ids).update(gone_at=clock.now())
        for key_id in ids:
            audit.record_of(actor, "mail:dkim_key:gone", domain, {"key_id": key_id})
        _tell("mail:dkim_changed", domain)
    return len(ids)


@transaction.atomic
def choose(
    *, actor: Actor, domain: Domain, dmarc: str, sts: str, also_sends: str = "", old_mx: str = ""
) -> MailDomain:
    """Set what differs for this domain. ``also_sends``: SPF mechanisms, by spaces; ``old_mx``: a host name or "".

    Errors: NotAllowed, Invalid (a host of ours is no old server, either).
    """
    _only_the_departement(actor)
    mechanisms = also_sends.split()
    if dmarc not in MailDomain.Dmarc.values or sts not in MailDomain.Sts.values:
        raise Invalid("policy")
    if len(mechanisms) > MAX_MECHANISMS or not all(_MECHANISM.match(one) for one in mechanisms):
        raise Invalid("SPF mechanism")
    host = old_mx.strip().rstrip(".")
    try:
        host = normalise(Kind.DOMAIN, host).value if host else ""
    except IndicatorInvalid:
        raise Invalid("host name") from None
    if host in (settings.BEFFROI.mail_name, settings.BEFFROI.portal_name):
        raise Invalid("host name")  # mail for who is not here would come back to us
    outbox.serialise()
    row, _ = MailDomain.objects.update_or_create(
        domain_id=domain.id,
        defaults={
            "collectivite_id": domain.collectivite_id,
            "dmarc": dmarc,
            "sts": sts,
            "also_sends": " ".join(mechanisms),
            "old_mx": host,
        },
    )
    audit.record_of(actor, "mail:domain:chosen", domain, {"dmarc": dmarc, "sts": sts, "old_mx": host})
    _tell("mail:domain_changed", domain)
    return row


@transaction.atomic
def declare(*, actor: Actor, domain: Domain, site: str, address: str) -> MailDomain:
    """Note what the commune's page of Service-Public says, by its référent or the Département; a check follows.

    Errors: NotAllowed, Invalid.
    """
    if not (actor.sees_all or (actor.role == "referent" and actor.may_see(domain.collectivite_id))):
        raise NotAllowed("a declaration is the référent's or the Département's")
    told = {"declared_site": site.strip(), "declared_address": address.strip()}
    if any(len(one) > 254 or not one.isprintable() or " " in one for one in told.values()):
        raise Invalid("declared")
    outbox.serialise()
    row, _ = MailDomain.objects.update_or_create(
        domain_id=domain.id, defaults={"collectivite_id": domain.collectivite_id, **told}
    )
    audit.record_of(actor, DECLARED, domain, told)
    _tell("mail:domain_declared", domain)
    return row


@transaction.atomic
def note_published(*, actor: Actor, domain: Domain, server: str, count: int) -> None:
    """Our update was accepted by the DNS server; ``count``: records."""
    _only_the_departement(actor)
    outbox.serialise()
    MailDomain.objects.update_or_create(
        domain_id=domain.id,
        defaults={"collectivite_id": domain.collectivite_id, "published_at": clock.now()},
    )
    audit.record_of(actor, "mail:domain:published", domain, {"server": server, "count": count})
    _tell("mail:domain_published", domain)


@transaction.atomic
def note_registrar(*, actor: Actor, domain: Domain, what: str, provider: str = "") -> None:
    """``what``: kept or forgotten (a provider's key), undone (the last change). Errors: NotAllowed."""
    _only_the_departement(actor)
    audit.record_of(actor, f"mail:registrar:{what}", domain, {"provider": provider})
    if what == "undone":
        _tell("mail:domain_published", domain)


@transaction.atomic
def store_check(
    *, actor: Actor, domain: Domain, items: Mapping[str, tuple[str, str]], scores: Mapping[str, int]
) -> DomainCheck:
    """Keep what DNS answered today, once a day; what was well and is not any more raises an alarm.

    ``items``: item -> (ok, warn, bad or unknown; what was seen). An item without an answer keeps its former state: an
    outage of the network is no change of the zone.
    """
    outbox.serialise()
    before = queries.last_check(domain.id)
    old: dict[str, list[str]] = before.items if before else {}
    held = set(before.lost) if before else set()
    now = clock.now()
    found: dict[str, list[str]] = {}
    for name, (state, seen) in items.items():
        kept = old.get(name) if state == "unknown" else None
        found[name] = list(kept) if kept else [state, seen]
    fallen = {
        name
        for name, (state, _seen) in found.items()
        if state in ("bad", "warn") and (name in held or old.get(name, ["", ""])[0] == "ok")
    }
    # Of a clock that was ahead: it would be the last one until that day.
    DomainCheck.objects.filter(domain_id=domain.id, day__gt=now.date()).delete()
    row, _ = DomainCheck.objects.update_or_create(
        domain_id=domain.id,
        day=now.date(),
        defaults={
            "collectivite_id": domain.collectivite_id,
            "checked_at": now,
            "items": found,
            "lost": sorted(fallen),
            "scores": dict(scores),
        },
    )
    details = {"lost": len(fallen), "bad": sum(one[0] == "bad" for one in found.values())}
    audit.record_of(actor, "mail:domain:checked", domain, details)
    publish(
        "mail:domain_lost" if fallen - held else "mail:domain_checked",
        {"domain_id": domain.id, "name": domain.name, "lost": sorted(fallen - held)},
        collectivite_id=domain.collectivite_id,
    )
    return row


def _tell(kind: str, domain: Domain) -> None:
    publish(kind, {"domain_id": domain.id, "name": domain.name}, collectivite_id=domain.collectivite_id)


def _only_the_departement(actor: Actor) -> None:
    if not actor.sees_all:
        raise NotAllowed("only the Département changes a mail domain")
