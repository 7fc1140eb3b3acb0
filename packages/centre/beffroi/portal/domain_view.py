"""One mail domain as a page shows it, for the console and for the commune alike."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from django.conf import settings
from django.utils.translation import gettext as _

from beffroi.core.communes.models import Domain
from beffroi.mail.domains import delegation, queries, records, scores, zone
from beffroi.mail.domains.declared import Declared
from beffroi.portal import domain_criteria, domain_words, verbs


def context(domain: Domain) -> dict[str, Any]:
    """Records with their purpose, what the last check found, keys, scores."""
    last = queries.last_check(domain.id)
    lines = domain_words.lines(last.items.items()) if last else []
    shown = [
        {
            "line": one,
            "purpose": domain_words.PURPOSES[one.record.purpose],
            "essential": one.record.purpose in records.ESSENTIAL,
        }
        for one in zone.lines(domain.name, queries.plan(domain))
    ]
    return {
        "domain": domain,
        "lead": domain_words.lead(lines),
        "last": last,
        "todo": [one for one in lines if one.state in ("bad", "warn")],
        "well": [one for one in lines if one.state in ("ok", "unknown", "none")],
        "lost": [domain_words.label(one) for one in last.lost] if last else [],
        "records": shown,
        "keys": [
            {"key": one, "said": domain_words.KEY_STATES[one.state]}
            for one in queries.published_keys(domain.id)
        ],
        "scores": _scores(domain, last.items) if last else [],
        "choices": queries.choices(domain.id),
        "declared": queries.declared(domain.id),
        "declaration": _declaration(domain),
        "updates": bool(settings.BEFFROI.dns_update_server),
        "name_servers": delegation.name_servers(settings.BEFFROI),
    }


def written(given: Mapping[str, str]) -> dict[str, Any]:
    """What a form that was refused had in its fields, in place of what is kept."""
    if "declared_site" in given:
        return {"declared": Declared(given["declared_site"], given.get("declared_address", ""))}
    if "also_sends" in given:
        others = (given["also_sends"],)
        return {
            "choices": records.Choices(
                given.get("dmarc", ""), given.get("sts", ""), others, given.get("old_mx", "")
            )
        }
    return {}


def delegated(domain: Domain, what: str) -> dict[str, Any]:
    """What to ask the provider for. ``what``: "zone", "noms" (names below the domain), or all records where it is
    neither, or no name server is set."""
    servers = delegation.name_servers(settings.BEFFROI)
    if what not in ("zone", "noms") or not servers:
        return {"what": ""}
    if what == "zone":
        asked = delegation.whole(domain.name, servers)
    else:
        asked = delegation.parts(domain.name, queries.plan(domain), servers)
    cut = [one for one in asked if one.purpose is records.Purpose.DELEGATION]
    return {
        "what": what,
        "text": zone.zone_file(domain.name, cut),
        "records": [{"line": one} for one in zone.lines(domain.name, asked)],
    }


def _declaration(domain: Domain) -> dict[str, Any] | None:
    entry = queries.declaration(domain.id)
    if entry is None:
        return None
    # A commune reads this too: which of the Département's administrators it was is for the audit log.
    person = entry.actor_kind == "person"
    return {"at": entry.at, "by": verbs.actor("person", entry.actor_id) if person else _("le Département")}


def _scores(domain: Domain, items: Mapping[str, Sequence[str]]) -> list[dict[str, Any]]:
    found = {name: (state, text.partition("|")[0]) for name, (state, text) in items.items()}
    rpnt, nl = scores.rpnt(domain.name, found), scores.internet_nl(found)
    return [
        {
            "name": "RPNT",
            "score": rpnt,
            "total": len(rpnt.points),
            "criteria": list(domain_criteria.rpnt(rpnt)),
        },
        {
            "name": "internet.nl",
            "score": nl,
            "total": len(nl.points),
            "criteria": list(domain_criteria.internet_nl(nl)),
        },
    ]
