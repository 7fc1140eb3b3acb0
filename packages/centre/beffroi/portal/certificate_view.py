"""The certificate of a domain's names as the console shows it, in plain words."""

from __future__ import annotations

from typing import Any

from django.conf import settings
from django.utils.translation import gettext_lazy

from beffroi.core.communes.models import Domain
from beffroi.lib import clock
from beffroi.mail.certificates import health, own, rules, wanting

REASONS = {
    "challenge": gettext_lazy(
        "L’autorité n’a pas trouvé notre porte sous ces noms. Vérifiez que le port 80 du centre est ouvert sur Internet"
        " et que la zone ne les mène nulle part ailleurs, en IPv6 non plus."
    ),
    "caa": gettext_lazy(
        "La zone interdit à cette autorité d’émettre (CAA). Faites publier la ligne CAA de cette page."
    ),
    "rate": gettext_lazy("L’autorité a reçu trop de demandes pour ce domaine. Rien à faire : attendez."),
    "silent": gettext_lazy("L’autorité ne répond pas. Rien à faire si cela ne dure pas."),
    "refused": gettext_lazy(
        "L’autorité a refusé la demande. Son motif est dans le journal technique acme.log."
    ),
    "odd": gettext_lazy(
        "Ce qui est revenu n’est pas ce qui avait été demandé. Prévenez l’exploitant : acme.log."
    ),
}


def context(domain: Domain) -> dict[str, Any]:
    """{} where certificates are put in place by hand."""
    if not settings.BEFFROI.acme_directory:
        return {}
    told, names = wanting.told(domain), wanting.wanted(domain)
    again = told.tried_at + rules.wait_s(told.failures, told.code) if told and told.code else 0
    return {
        "certificate": {
            "names": names,
            "held": told.names if told else (),
            "until": clock.moment(told.not_after) if told else None,
            "by_hand": bool(told and told.state == "by_hand"),
            "reason": REASONS.get(told.code, REASONS["odd"]) if told and told.state == "failed" else "",
            "again": clock.moment(again),
            "soon": wanting.ends_soon(domain),
        }
    }


def overview() -> dict[str, Any]:
    """How all certificates are; {} where they are put in place by hand."""
    if not settings.BEFFROI.acme_directory:
        return {}
    found = health.of(settings.BEFFROI, now=clock.epoch_s())
    return {
        "certificates": {
            "count": found.certificates,
            "issued_at": clock.moment(found.issued_at),
            "due_at": clock.moment(found.due_at),
            "failed": found.failed,
            "reason": REASONS.get(found.code, REASONS["odd"]) if found.failed else "",
        }
    }


def own_ending() -> list[dict[str, Any]]:
    """The certificates of the centre's own names that end soon, most urgent first."""
    config, now = settings.BEFFROI, clock.epoch_s()
    return [
        {
            "of_pages": one.file == own.FILES[0],
            "until": clock.moment(one.ends_at),
            "ended": one.ends_at <= now,
            "ours": one.ours,
            "path": str(own.folder(config) / one.file),
        }
        for one in sorted(own.soon(config, now=now), key=lambda one: one.ends_at)
    ]
