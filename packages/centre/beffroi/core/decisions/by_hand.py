"""A person of the Département blocks an address, a range, a name, a page or a file by hand.

Purpose: what was learned by telephone or from a colleague is in force within a second, without a report or a list. What
         is wide (a range, an address that serves a member or the State, or more communes than the budget of a weak
         decision) waits for a second administrator.
Process: console and cli ask; worker carries out what two persons agreed on.
Input:   ``reach``: how many communes the caller's evidence says it would touch; free text of a person, which stays on
         the erasable side of the audit log.
Fails:   closed: what is protected is refused whoever asks, at the request and again when it is granted.
Source:  docs/internals/decisions.md, By hand.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass

from beffroi_protocol.errors import ProtocolError
from beffroi_protocol.indicators import Indicator, Kind, normalise
from beffroi_protocol.messages import Action
from beffroi_protocol.protected import too_wide
from beffroi_protocol.threats import Threat
from django.conf import settings
from django.db import transaction
from django.db.models import QuerySet

from beffroi.core.approvals import actions as approvals
from beffroi.core.approvals import queries as requests
from beffroi.core.approvals.models import Approval
from beffroi.core.audit import actions as audit
from beffroi.core.audit.models import AuditEntry
from beffroi.core.communes.models import Collectivite
from beffroi.core.decisions import actions, protected, rules, shared, stages, staging
from beffroi.core.decisions.models import Decision
from beffroi.core.events import outbox
from beffroi.core.identity.actor import Actor
from beffroi.lib.errors import Conflict, Invalid

VERB = "decision.by_hand"
OTHER = "departement_confirmed"
REASONS = (
    Threat.PHISHING.value, Threat.MALWARE.value, Threat.SCANNER.value, Threat.COMMAND_SERVER.value, OTHER,
)  # fmt: skip
"""A command server is not the first choice: nobody lets it through locally."""
MAX_TTL_S = 366 * 86400
MAX_WHY = 500


@dataclass(frozen=True)
class Blocked:
    """One of the two: it is in force, or it waits for a second administrator."""

    decision: Decision | None = None
    approval: Approval | None = None


def wide(indicator: Indicator, *, serves: Collection[str], reach: int) -> str:
    """Why a second person must agree: "range", "shared", "reach", or ""; ``serves``: as ``shared.met`` says."""
    if indicator.kind is Kind.CIDR:
        return "range"
    if serves:
        return "shared"
    enrolled = Collectivite.objects.exclude(enrolled_at=None).count()
    return "reach" if reach > staging.budget_of(settings.BEFFROI).blast(enrolled) else ""


def block(
    *, actor: Actor, indicator: Indicator, reason: str, why: str, ttl_s: int, reach: int = 0
) -> Blocked:
    """Block it everywhere now, or ask a second administrator where it is wide.

    ``reason``: one of REASONS; ``why``: 1 to 500 characters; ``ttl_s`` in seconds, up to a year.
    Errors: NotAllowed, Invalid, ProtectedIndicator, Conflict (it was asked for already).
    """
    actor.require_administrator("decide for others")
    said = why.strip()
    if not said or len(said) > MAX_WHY or "\x00" in said:
        raise Invalid("why")
    if reason not in REASONS:
        raise Invalid("reason")
    if not 0 < ttl_s <= MAX_TTL_S:
        raise Invalid("ttl_s")
    canonical = _canonical(indicator)
    # Before the transaction: who asks first in a process reads the lists, half a second.
    if refusal := protected.current().check(canonical):
        raise actions.ProtectedIndicator(refusal)
    needs_another = wide(canonical, serves=shared.met(canonical), reach=reach)
    with transaction.atomic():
        outbox.serialise()
        if not needs_another:
            decision = _activate(actor, canonical, reason, ttl_s, reach)
            _keep_words(actor, "decision:by_hand", decision.id, said)
            return Blocked(decision=decision)
        payload = {
            "kind": canonical.kind.value,
            "value": canonical.value,
            "reason": reason,
            "ttl_s": ttl_s,
            "reach": reach,
        }
        subject = f"{canonical.kind.value} {canonical.value}"[:80]
        if waiting().filter(subject_id=subject).exists():
            raise Conflict("this waits for a second administrator already")
        approval = approvals.request(actor=actor, verb=VERB, subject_id=subject, payload=payload)
        _keep_words(actor, "decision:by_hand_asked", approval.id, said)
        return Blocked(approval=approval)


@transaction.atomic
def undo(*, actor: Actor, decision: Decision, why: str = "") -> bool:
    """End it at every door, and keep the person's words; False if it had ended already.

    ``why``: up to 500 characters. Errors: NotAllowed, Invalid.
    """
    said = why.strip()
    if len(said) > MAX_WHY or "\x00" in said:
        raise Invalid("why")
    ended = actions.revoke(actor=actor, decision=decision, reason="undone")
    if ended and said:
        _keep_words(actor, "decision:by_hand_undone", decision.id, said)
    return ended


def waiting() -> QuerySet[Approval]:
    """Requests that no second administrator answered yet, the oldest first."""
    return requests.waiting(VERB).order_by("requested_at")


def why_of(object_id: str) -> str:
    """The words of who asked last, for a request or a decision; "" where there are none, or they were erased."""
    verbs = ("decision:by_hand", "decision:by_hand_asked", "decision:by_hand_undone")
    entry = AuditEntry.objects.filter(verb__in=verbs, object_id=object_id).order_by("-id").first()
    return audit.personal_of(entry).get("why", "") if entry else ""


def carry_out(payload: Mapping[str, object], *, decided_by: str) -> Decision | None:
    """What two administrators agreed on; None when it became protected meanwhile."""
    indicator = Indicator(Kind(str(payload["kind"])), str(payload["value"]))
    ttl_s, reach = payload["ttl_s"], payload["reach"]
    assert isinstance(ttl_s, int) and isinstance(reach, int)
    actor = Actor("administrator", decided_by)
    try:
        return _activate(actor, indicator, str(payload["reason"]), ttl_s, reach)
    except actions.ProtectedIndicator:
        audit.record(actor, "decision:by_hand_protected", "", collectivite_id=None)
        return None


def _canonical(indicator: Indicator) -> Indicator:
    """Errors: Invalid."""
    try:
        canonical = normalise(indicator.kind, indicator.value)
    except ProtocolError:
        raise Invalid("indicator") from None
    if canonical.kind not in rules.BY_HAND or too_wide(canonical):
        raise Invalid("indicator")
    return canonical


def _activate(actor: Actor, indicator: Indicator, reason: str, ttl_s: int, reach: int) -> Decision:
    return actions.activate(
        actor=actor,
        indicator=indicator,
        action=Action.BLOCK.value,
        reason=reason,
        evidence={"reach": reach},
        rule=stages.DEPARTEMENT,
        ttl_s=ttl_s,
    )


def _keep_words(actor: Actor, verb: str, object_id: str, why: str) -> None:
    audit.record(actor, verb, object_id, collectivite_id=None, personal={"why": why})
