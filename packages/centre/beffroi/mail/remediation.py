"""Withdraw copies already delivered when a decision begins, and give them back when it ends.

Purpose: jobs with a report, idempotent and resumable: which copies, by whose word, until when (``moving`` moves them).
Process: remediation (group "remediation"), through doveadm.
Hostile: the reach of a decision: more than max(100 messages, 0.5 %) waits for two administrators, unless two
         communes or the Département stand behind the decision.
Fails:   Dovecot away: the job stays "running" and the event is tried again (DoveadmUnavailable is retryable).
Source:  docs/internals/remediation.md; header identifier, never Message-ID: an attacker can copy a legitimate one.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from types import MappingProxyType

from beffroi_protocol.indicators import Indicator
from django.db import transaction
from django.db.models import Count, Min, Q, QuerySet

from beffroi.core.audit import actions as audit
from beffroi.core.decisions import queries as decisions
from beffroi.core.decisions import rules
from beffroi.core.decisions.models import SCOPE_ALL, Decision
from beffroi.core.events.outbox import publish
from beffroi.core.identity.actor import Actor
from beffroi.lib import clock
from beffroi.mail import holding, moving, queries, unclaimed, unfinished
from beffroi.mail.models import Mailbox, MailDelivery, RemediationItem, RemediationJob

_ACTOR = Actor.system("remediation")
_Item, _Job = RemediationItem.State, RemediationJob.State
FREE_MESSAGES = 100
FREE_SHARE = 0.005
SHARE_DAYS = 30
FIRST_PAUSE, LONGEST_PAUSE = timedelta(minutes=1), timedelta(hours=1)
HOURLY_FOR, DAILY = timedelta(days=7), timedelta(days=1)
LATE_AFTER = timedelta(minutes=10)
"""What is under way for so long does not go on as it should."""


def needs_second_person(decision: Decision, copies: int) -> bool:
    """Whether a withdrawal of this size waits. Corroboration or an administrator counts as the second word; about a
    range nobody spoke first, because no rule decides one: there, its author's word is the first."""
    recent = MailDelivery.objects.filter(delivered_at__gte=clock.now() - timedelta(days=SHARE_DAYS)).count()
    if copies <= max(FREE_MESSAGES, int(recent * FREE_SHARE)):
        return False
    communes = decision.evidence.get("communes", 0) if isinstance(decision.evidence, dict) else 0
    corroborated = isinstance(communes, int) and communes >= 2
    return not corroborated and (decision.kind == "cidr" or not decision.decided_by.startswith("adm_"))


def withdraw(decision_id: str) -> RemediationJob | None:
    """Move every copy that an active decision speaks about to quarantine. None when there is nothing to do."""
    decision = Decision.objects.filter(pk=decision_id).first()
    if decision is None or not holding.applies(decision.kind, decision.action):
        return None
    if decision.state != Decision.State.ACTIVE:
        return None  # ended meanwhile: its end is the next event
    copies = holding.copies_under(decision)
    if not copies:
        return None
    job = _open(decision, copies)
    _go_on(job)
    return job


def _withdrawals(decision_id: str) -> QuerySet[RemediationJob]:
    """One at most, of each decision."""
    return RemediationJob.objects.filter(decision_id=decision_id, direction=RemediationJob.Direction.WITHDRAW)


@transaction.atomic
def _open(decision: Decision, copies: Sequence[MailDelivery]) -> RemediationJob:
    """The decision's job, with these copies in it. Its reach is judged once, when it is made: on all copies that are on
    record then."""
    rows = [(one.message_id, one.mailbox_id, one.collectivite_id) for one in copies]
    job = _withdrawals(decision.id).select_for_update().first()
    if job is not None:
        _add_items(job, rows)
        return job
    waits = needs_second_person(decision, len(copies))
    job = RemediationJob.objects.create(
        decision_id=decision.id,
        direction=RemediationJob.Direction.WITHDRAW,
        campaign_id=decision.campaign_id,
        state=_Job.WAITING if waits else _Job.RUNNING,
    )
    _add_items(job, rows)
    _record(job, "requested" if waits else "started", copies=len(copies))
    if waits:
        publish("remediation:waiting", {"job_id": job.id, "decision_id": decision.id, "copies": len(copies)})
    return job


def _go_on(job: RemediationJob) -> None:
    """Run it where something is left to do, unless two people have to agree first, or did not."""
    reopened = job.state == _Job.DONE and job.items.filter(state__in=moving.OPEN).exists()
    if reopened:
        RemediationJob.objects.filter(pk=job.pk).update(state=_Job.RUNNING)
    if reopened or job.state == _Job.RUNNING:
        run(job)


def add_late(copies: Sequence[tuple[str, str]]) -> list[RemediationJob]:
    """Copies (message, mailbox) saved after their decision: withdraw them too. Closes the race between delivery and
    decision."""
    held = holding.held_among({message_id for message_id, _ in copies})
    asked = {copy for copy in map(tuple, copies) if copy[0] in held}
    holders: dict[str, Decision] = {}
    late: dict[str, list[MailDelivery]] = {}
    for delivery in MailDelivery.objects.filter(message_id__in={message_id for message_id, _ in asked}):
        if (delivery.message_id, delivery.mailbox_id) in asked:
            for decision in holding.holding(delivery.message_id, delivery.collectivite_id):
                holders[decision.id] = decision
                late.setdefault(decision.id, []).append(delivery)
    found = [_add_late(holders[decision_id], deliveries) for decision_id, deliveries in late.items()]
    return [job for job in found if job is not None]


def withdraw_passed(indicator: Indicator, collectivite_id: str) -> list[RemediationJob]:
    """A collectivité had let this through, and what it let through is an attack: what came meanwhile, and what its
    owners released, is withdrawn there as everywhere."""
    rows = Decision.objects.filter(state=Decision.State.ACTIVE, scope__in=(SCOPE_ALL, collectivite_id))
    found = []
    for decision in decisions.near(rows, indicator).order_by("activated_at", "id"):
        if rules.touches(decision.indicator, indicator) and holding.applies(decision.kind, decision.action):
            copies = [one for one in holding.copies_under(decision) if one.collectivite_id == collectivite_id]
            found.append(_add_late(decision, copies, again={_Item.MOVED: _Item.FOUND}) if copies else None)
    return [job for job in found if job is not None]


def _add_late(
    decision: Decision, late: list[MailDelivery], *, again: Mapping[str, str] = MappingProxyType({})
) -> RemediationJob | None:
    if not _withdrawals(decision.id).exists():
        return withdraw(decision.id)  # its own event comes behind these deliveries
    job = _open(decision, late)
    wanted = {(one.message_id, one.mailbox_id) for one in late}
    items = job.items.filter(message_id__in={message_id for message_id, _ in wanted})
    # Its owner had deleted it when the decision came, and took it back since; or the mailbox was closed then.
    for before, after in {_Item.ABSENT: _Item.PENDING, _Item.FAILED: _Item.PENDING, **again}.items():
        there = items.filter(state=before)
        back = [one.pk for one in there if (one.message_id, one.mailbox_id) in wanted]
        job.items.filter(pk__in=back).update(state=after, attempts=0)
    _go_on(job)
    return job


def missed(mailbox_id: str) -> list[tuple[str, str]]:
    """Copies (message, mailbox) that no decision could withdraw: the mailbox was closed, or Dovecot did not answer."""
    rows = RemediationItem.objects.filter(
        mailbox_id=mailbox_id, state=_Item.FAILED, job__direction=RemediationJob.Direction.WITHDRAW
    )
    return sorted((one, mailbox_id) for one in set(rows.values_list("message_id", flat=True)))


@transaction.atomic
def open_again(mailbox_id: str) -> None:
    """What could not be given back while a mailbox was closed goes back now, with the next ``resume``."""
    items = RemediationItem.objects.filter(
        mailbox_id=mailbox_id, state=_Item.FAILED, job__direction=RemediationJob.Direction.RESTORE
    )
    jobs = list(items.values_list("job_id", flat=True))
    items.update(state=_Item.PENDING, attempts=0)
    RemediationJob.objects.filter(pk__in=jobs, state=_Job.DONE).update(state=_Job.RUNNING)


@transaction.atomic
def try_again() -> None:
    """What was not confirmed, as on a full disk, is asked for again by the next ``resume``: after a minute, then each
    time after as long as it has lasted, at most an hour; after a week each day."""
    now = clock.now()
    rows = _wanted().filter(state=_Item.FAILED, job__state=_Job.DONE)
    due = [one for one in rows.select_related("job") if _is_due(one, now)]
    RemediationItem.objects.filter(pk__in=[one.pk for one in due]).update(state=_Item.PENDING, attempts=0)
    RemediationJob.objects.filter(pk__in={one.job_id for one in due}).update(state=_Job.RUNNING)


def _wanted() -> QuerySet[RemediationItem]:
    """Copies in open mailboxes that what stands now wants to be moved: withdrawn, or given back."""
    return RemediationItem.objects.filter(
        Q(job__direction=RemediationJob.Direction.RESTORE)
        | Q(job__decision_id__in=Decision.objects.filter(state=Decision.State.ACTIVE).values("id")),
        mailbox_id__in=Mailbox.objects.filter(closed_at=None).values("id"),
    )


def unfinished_ones() -> unfinished.Told:
    """What could not be carried out, or waits for people; the oldest decision first."""
    late = Q(job__state=_Job.RUNNING, state__in=moving.OPEN, job__created_at__lt=clock.now() - LATE_AFTER)
    failed = _wanted().filter(Q(state=_Item.FAILED) | late)

    def counted(items: QuerySet[RemediationItem]) -> tuple[unfinished.Unfinished, ...]:
        rows = items.values("job__decision_id").annotate(
            since=Min("job__created_at"), copies=Count("id"), mailboxes=Count("mailbox_id", distinct=True)
        )
        return tuple(
            unfinished.Unfinished(one["job__decision_id"], one["copies"], one["mailboxes"])
            for one in rows.order_by("since", "job__decision_id")
        )

    return unfinished.Told(
        waiting=counted(_wanted().filter(job__state=_Job.WAITING)),
        left=counted(failed.filter(job__direction=RemediationJob.Direction.WITHDRAW)),
        kept=counted(failed.filter(job__direction=RemediationJob.Direction.RESTORE)),
    )


def _is_due(item: RemediationItem, now: datetime) -> bool:
    lasted = item.changed_at - item.job.created_at
    pause = min(max(lasted, FIRST_PAUSE), LONGEST_PAUSE) if lasted < HOURLY_FOR else DAILY
    return not timedelta(0) <= now - item.changed_at < pause  # in the future: of a clock that was ahead


def restore(decision_id: str) -> RemediationJob | None:
    """Give back what a decision held, unless another active one holds it. None when there is nothing.

    One whose time is over gives back what it took along (``unclaimed``): the rest was an attack, and stays on its
    owner's list of held mail.
    Of what was not confirmed (FAILED) nobody knows where it lies: it is given back as well."""
    decision = Decision.objects.filter(pk=decision_id).first()
    if decision is None or not holding.applies(decision.kind, decision.action):
        return None
    withdrawn = _withdrawals(decision_id)
    if over := decision.state == Decision.State.EXPIRED:
        for cut in withdrawn.filter(state=_Job.RUNNING):
            # What it had taken by then is put on the lists: also a copy of which the move was not confirmed.
            moving.work(cut, (_Item.FOUND,), moving.into_quarantine)
            _finish(cut)
    with transaction.atomic():
        withdrawn.filter(state__in=(_Job.WAITING, _Job.RUNNING)).update(
            state=_Job.REFUSED, done_at=clock.now()
        )
        held = RemediationItem.objects.filter(
            job__in=withdrawn, state__in=(_Item.MOVED, _Item.KEPT, _Item.FOUND, _Item.FAILED)
        )
        rows = sorted(
            {*held.values_list("message_id", "mailbox_id", "collectivite_id"), *_left_for(decision)}
        )
        rows = unclaimed.among(rows, decision) if over else rows
        if not rows:
            return None
        job, made = RemediationJob.objects.get_or_create(
            decision_id=decision_id,
            direction=RemediationJob.Direction.RESTORE,
            defaults={"campaign_id": decision.campaign_id, "state": _Job.RUNNING},
        )
        _add_items(job, rows)
        if made:
            _record(job, "started", copies=len(rows))
        elif job.items.filter(state__in=moving.OPEN).exists():
            # For what was not given back before.
            RemediationJob.objects.filter(pk=job.pk).update(state=_Job.RUNNING)
    run(job)
    return job


def _left_for(decision: Decision) -> Iterator[tuple[str, str, str]]:
    """Copies that an earlier end left in quarantine because this decision, perhaps among others, held them: its own
    withdrawal may never have come to them, since it waited for a second person or for Dovecot."""
    returned = RemediationItem.objects.filter(job__direction=RemediationJob.Direction.RESTORE)
    for seen in holding.observations(decision):
        last: dict[tuple[str, str, str], str] = {}
        for *copy, state in (
            returned.filter(message_id__in=seen.values("message_id"))
            .order_by("id")
            .values_list("message_id", "mailbox_id", "collectivite_id", "state")
        ):
            last[copy[0], copy[1], copy[2]] = state
        yield from (copy for copy, state in last.items() if state == _Item.KEPT)


def approved(job_id: str) -> RemediationJob | None:
    """Two administrators agreed: run a waiting withdrawal, if its decision still stands."""
    job = RemediationJob.objects.filter(pk=job_id, state=_Job.WAITING).first()
    if job is None:
        return None
    if not Decision.objects.filter(pk=job.decision_id, state=Decision.State.ACTIVE).exists():
        RemediationJob.objects.filter(pk=job.pk).update(state=_Job.REFUSED, done_at=clock.now())
        return None
    RemediationJob.objects.filter(pk=job.pk).update(state=_Job.RUNNING)
    run(job)
    return job


def refused(job_id: str) -> None:
    RemediationJob.objects.filter(pk=job_id, state=_Job.WAITING).update(
        state=_Job.REFUSED, done_at=clock.now()
    )


def resume() -> int:
    """Run what a kill left unfinished; return how many jobs."""
    jobs = list(RemediationJob.objects.filter(state=_Job.RUNNING).order_by("created_at"))
    for job in jobs:
        run(job)
    return len(jobs)


def run(job: RemediationJob) -> None:
    """Work through the open items. Errors: DoveadmUnavailable; what was done is kept.

    A withdrawal whose decision ended meanwhile takes nothing more: what it took goes back by that end, the next event.
    """
    if job.direction == RemediationJob.Direction.RESTORE:
        done = moving.work(job, moving.OPEN, moving.out_of_quarantine)
    else:
        standing = Decision.objects.filter(pk=job.decision_id, state=Decision.State.ACTIVE)
        done = moving.work(job, moving.OPEN, moving.into_quarantine, while_true=standing.exists)
    if done:
        _finish(job)


def _add_items(job: RemediationJob, rows: Iterable[tuple[str, str, str]]) -> None:
    RemediationItem.objects.bulk_create(
        [
            RemediationItem(job=job, message_id=message, mailbox_id=mailbox, collectivite_id=owner)
            for message, mailbox, owner in rows
        ],
        ignore_conflicts=True,
    )


@transaction.atomic
def _finish(job: RemediationJob) -> None:
    report = queries.report(job)
    changed = RemediationJob.objects.filter(pk=job.pk, state=_Job.RUNNING).update(
        state=_Job.DONE,
        done_at=clock.now(),
        messages=job.items.values("message_id").distinct().count(),
        moved=report.moved,
        absent=report.absent,
        failed=report.failed,
    )
    job.refresh_from_db()
    if not changed:
        return
    _record(job, "done", moved=report.moved, failed=report.failed, mailboxes=report.mailboxes)
    publish(
        "remediation:done",
        {
            "job_id": job.id,
            "direction": job.direction,
            "decision_id": job.decision_id,
            "campaign_id": job.campaign_id,
            "moved": report.moved,
            "absent": report.absent,
            "failed": report.failed,
            "mailboxes": report.mailboxes,
            "collectivites": report.collectivites,
        },
    )


def _record(job: RemediationJob, outcome: str, **counts: int) -> None:
    audit.record(
        _ACTOR,
        f"mail:{job.direction}:{outcome}",
        job.id,
        collectivite_id=None,
        details={"decision_id": job.decision_id, "campaign_id": job.campaign_id, **counts},
    )
