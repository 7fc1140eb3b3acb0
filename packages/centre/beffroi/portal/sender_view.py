"""Who sends in a domain's name, as a page shows it: for the console and for the commune alike."""

from __future__ import annotations

from typing import Any

from django.http import HttpRequest

from beffroi.core.communes.models import Domain
from beffroi.core.identity.actor import Actor
from beffroi.mail.domains import queries as domains
from beffroi.mail.reports import actions, queries
from beffroi.mail.reports.queries import Shown, TlsPartner
from beffroi.portal import sender_words

WORDS = {"ours": "ours", "not_ours": "not_ours", "unsay": ""}
WEEKS = 4
ADDRESSES = 20


def context(domain: Domain) -> dict[str, Any]:
    """Advice, sources (what wants a word first), encrypted delivery, and who told us."""
    rows = [_row(one) for one in queries.shown(domain)]
    found = queries.advice(domain)
    reporters = queries.reporters(domain)
    tls = [_partner(one) for one in queries.tls_partners(domain)]
    return {
        "domain": domain,
        "policy": sender_words.policy(domains.choices(domain.id).dmarc),
        "advice": found,
        "advice_said": sender_words.advice(found),
        "stricter": sender_words.policy(found.to) if found.code == "ready" else "",
        "open": [one for one in rows if one["open"]],
        "settled": [one for one in rows if not one["open"]],
        "tls": tls,
        "reporters": [one for one in reporters if one.authentic],
        "unproved": sum(one.n for one in reporters if not one.authentic),
        "silent": not reporters and not tls,
    }


def said(request: HttpRequest, actor: Actor, domain: Domain) -> bool:
    """Take what the form says of a source: whose it is, or nothing any more. False where it says none of it."""
    if (act := request.POST.get("act", "")) not in WORDS:
        return False
    operator = request.POST.get("operator", "")[:253]
    actions.say(actor=actor, domain=domain, operator=operator, word=WORDS[act])
    return True


def _row(one: Shown) -> dict[str, Any]:
    said = sender_words.source(one.source)
    return {
        "source": one.source,
        "name": sender_words.operator(one.source.operator),
        "said": said,
        "open": one.source.open,
        "alarm_at": one.alarm_at,
        "weeks": one.weeks[:WEEKS],
        "addresses": one.addresses[:ADDRESSES],
        "more_addresses": max(0, len(one.addresses) - ADDRESSES),
        "last_at": one.last_at,
    }


def _partner(one: TlsPartner) -> dict[str, Any]:
    told = sorted(one.failures.items(), key=lambda pair: (-pair[1], pair[0]))
    return {
        "partner": one,
        "failures": [(str(sender_words.TLS_KINDS.get(kind, kind)), n) for kind, n in told],
    }
