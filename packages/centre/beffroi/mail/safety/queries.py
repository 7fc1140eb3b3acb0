"""Read what a collectivité lets pass, and which mails want a call back; always the collectivité of the credential."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from datetime import datetime

from beffroi.core.identity.actor import Actor
from beffroi.mail.gate.attachments import LOOSENED
from beffroi.mail.gate.bank import Kind
from beffroi.mail.safety.models import AttachmentPolicy, BankDetail, BankMention
from beffroi.mail.safety.rules import Concern, concern

_STRENGTH = list(Concern)


@dataclass(frozen=True)
class BankWarning:
    """Of one mail. ``confirmed_at``, ``confirmed_by``: the last call back, where nothing is left to check."""

    concern: Concern
    confirmed_at: datetime | None = None
    confirmed_by: str = ""


def allowed(collectivite_id: str) -> frozenset[str]:
    row = AttachmentPolicy.objects.filter(pk=collectivite_id).first()
    return frozenset(row.allowed.split() if row else ()) & frozenset(LOOSENED)


def policies() -> dict[str, str]:
    """Of all collectivités, for the projection."""
    return dict(AttachmentPolicy.objects.exclude(allowed="").values_list("collectivite_id", "allowed"))


def mentions(actor: Actor, message_ids: Collection[str]) -> Iterable[BankMention]:
    """In mails to the actor's collectivité, for a person alone."""
    if actor.kind != "person" or actor.collectivite_id is None or not message_ids:
        return []
    return BankMention.objects.filter(message_id__in=message_ids, collectivite_id=actor.collectivite_id)


def bank_warnings(actor: Actor, message_ids: Collection[str]) -> dict[str, BankWarning]:
    """By message; one that names nothing, or nothing but what is known without a call, is not in it. Three queries."""
    found = list(mentions(actor, message_ids))
    details = BankDetail.objects.in_bulk([one.pair for one in found])
    earlier = _first_ibans(actor, {one.sender for one in details.values()})
    out: dict[str, BankWarning] = {}
    for one in found:
        detail = details.get(one.pair)
        if detail is None:
            continue
        others = any(
            pair != detail.pair and at < detail.first_seen_at for pair, at in earlier.get(detail.sender, ())
        )
        level = concern(
            confirmed=detail.confirmed_at is not None,
            announces=one.announces,
            proved=detail.proved,
            first_seen_at=detail.first_seen_at,
            seen_at=one.seen_at,
            others_before=others,
        )
        mine = BankWarning(level, detail.confirmed_at, detail.confirmed_by)
        if level or detail.confirmed_at is not None:
            out[one.message_id] = _stronger(out.get(one.message_id), mine)
    return out


def _stronger(before: BankWarning | None, now: BankWarning) -> BankWarning:
    if before is None or _STRENGTH.index(now.concern) > _STRENGTH.index(before.concern):
        return now
    return before


def _first_ibans(actor: Actor, senders: Collection[str]) -> dict[str, list[tuple[str, datetime]]]:
    rows = BankDetail.objects.filter(
        collectivite_id=actor.collectivite_id or "", sender__in=senders, kind=Kind.IBAN
    )
    found: dict[str, list[tuple[str, datetime]]] = {}
    for sender, pair, at in rows.values_list("sender", "pair", "first_seen_at"):
        found.setdefault(sender, []).append((pair, at))
    return found
