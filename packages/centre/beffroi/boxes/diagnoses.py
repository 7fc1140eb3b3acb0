"""Remote diagnosis: a signed question to one box, its bounded answer, kept for a week.

Process: console asks; stream signs and sends; worker keeps the answer.
Input:   the answer is the word of a box on hostile ground: only known names are kept, as short texts; it decides
         nothing.
Fails:   a box that is not connected does not answer; the question stays open and says so.
"""

from __future__ import annotations

from datetime import timedelta

from beffroi_protocol.facts import Diagnosis
from django.db import transaction

from beffroi.boxes.models import Box, BoxDiagnosis
from beffroi.core.audit import actions as audit
from beffroi.core.events import outbox
from beffroi.core.identity.actor import Actor
from beffroi.lib import clock
from beffroi.lib.errors import Conflict

KEPT_DAYS = 7
PAUSE_S = 10
_KNOWN = """
agent system kernel python mode uptime_s load rules policy_version rolled_back lists addresses_blocked networks_blocked
names_blocked bulk_lists bulk_lists_trouble resolver inspection list_stale disk_trouble disk_free_bytes disk_total_bytes
memory_available_kib memory_total_kib agent_memory_kib clock_offset_s facts_waiting facts_dropped last_line_refused
wan_link wan_addresses lan_link lan_addresses network_trouble settings_trouble
addresses_left_out
"""
KNOWN = frozenset(_KNOWN.split())


@transaction.atomic
def ask(*, actor: Actor, box: Box) -> BoxDiagnosis:
    """Ask a box how it is. Errors: NotAllowed, Conflict (not in service). A question of a moment ago is returned."""
    actor.require_departement("ask boxes for a diagnosis")
    if box.state != Box.State.ACTIVE:
        raise Conflict("this box is not in service")
    now = clock.now()
    last = latest(box)
    if last is not None and last.asked_at > now - timedelta(seconds=PAUSE_S):
        return last
    row: BoxDiagnosis = BoxDiagnosis.objects.create(
        box_id=box.id,
        collectivite_id=box.collectivite_id,
        asked_by=actor.id,
        asked_at=now,
        expires_at=now + timedelta(days=KEPT_DAYS),
    )
    audit.record_of(actor, "box:diagnosis_asked", box)
    outbox.publish(
        "box:question_asked",
        {"box_id": box.id, "question_id": row.id},
        collectivite_id=box.collectivite_id,
    )
    return row


def keep(box_id: str, fact: Diagnosis) -> None:
    """Keep a box's answer, the first one to a question that was asked of this box."""
    report = {name: text[:200] for name, text in fact.report.items() if name in KNOWN}
    rows = BoxDiagnosis.objects.filter(pk=fact.question_id, box_id=box_id, answered_at=None)
    if not rows.update(answered_at=clock.now(), report=report):
        return
    row = BoxDiagnosis.objects.get(pk=fact.question_id)
    outbox.publish("box:diagnosed", {"box_id": box_id}, collectivite_id=row.collectivite_id)


def latest(box: Box) -> BoxDiagnosis | None:
    """The last question with its answer, None before the first and after it expired."""
    rows = BoxDiagnosis.objects.filter(box_id=box.id, expires_at__gt=clock.now())
    return rows.order_by("-asked_at").first()
