"""What follows from an update: judge it, hold it or put it in force, let entries leave when nobody renews them.

Process: sources, alone. Fails: closed towards blocking. A list in force ends by its own TTL even if this process
         never runs again, since each bulk list is published with the end of its last entry.
Source:  docs/internals/sources.md.
"""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime, timedelta

from beffroi_protocol import lists as content
from beffroi_protocol.indicators import Indicator, Kind
from beffroi_protocol.messages import Action
from django.conf import settings
from django.db import transaction
from django.db.models import Min, Q

from beffroi.core.audit import actions as audit
from beffroi.core.decisions import listed, lists, protected, sparing
from beffroi.core.decisions.models import IndicatorList
from beffroi.core.events import outbox
from beffroi.core.identity.actor import Actor
from beffroi.core.identity.secret_fields import decrypt_text
from beffroi.lib import clock
from beffroi.lib.errors import BeffroiError, NotFound
from beffroi.lib.ids import new_id
from beffroi.watch.sources import actions, handover, rules, store, trials
from beffroi.watch.sources.errors import Crashed, NothingInIt, SourceError, TooSlow
from beffroi.watch.sources.formats.values import KINDS
from beffroi.watch.sources.judging import Judged, judge
from beffroi.watch.sources.models import FeedSource, SourceTrial, SourceUpdate
from beffroi.watch.sources.trials import list_name, trial_name

ACTOR = Actor.system("watch.sources")
HELD, FAILING = "source:held", "source:failing"
ANSWER_S = 600
"""fetch ends every child before this; a question without an answer after it is asked again."""
_State = SourceUpdate.State
log = logging.getLogger("beffroi.sources")


# -- asking and taking in ----------------------------------------------------------------------------------


def ask_due() -> int:
    """Ask for every active source whose time has come, or was set by a clock that was ahead; return for how many."""
    now = clock.now()
    overdue = FeedSource.objects.filter(active=True).exclude(asked="")
    wait = timedelta(seconds=ANSWER_S)
    for source in overdue.filter(Q(asked_at__lt=now - wait) | Q(asked_at__gt=now + wait)):
        failed(source, TooSlow.code, str(ANSWER_S))
    planned = FeedSource.objects.filter(active=True, asked="").exclude(address="")
    due = [
        one
        for one in planned
        if one.next_at is not None and not 0 < (one.next_at - now).total_seconds() <= one.every_s
    ]
    for source in due:
        number = new_id("ask")
        FeedSource.objects.filter(pk=source.pk).update(asked=number, asked_at=now, last_tried_at=now)
        try:
            secret = decrypt_text(source.secret) if source.secret else ""
            actions.ask(source, number, secret=secret)
        except (OSError, BeffroiError) as error:
            failed(source, SourceError.code, type(error).__name__)
    return len(due)


def take_all() -> int:
    """Take in every answer that is there; return how many."""
    taken = 0
    for source in FeedSource.objects.filter(active=True).exclude(asked=""):
        try:
            brought = handover.read_brought(settings.BEFFROI.state, source.id)
            if brought is not None and brought.number == source.asked:
                take(source, brought)
                taken += 1
        except handover.BroughtInvalid:
            failed(source, Crashed.code, "")
        except (OSError, BeffroiError) as error:  # of this source: the others go on
            failed(source, SourceError.code, type(error).__name__)
    return taken


def take(source: FeedSource, brought: handover.Brought) -> None:
    """Errors: BroughtInvalid."""
    if brought.code:
        failed(source, brought.code, brought.detail)
        return
    if brought.not_modified:
        _renew(source)
        return
    listable, known = protected.listable(), _accepted(source)
    judged = judge(
        handover.read_values(settings.BEFFROI.state, source.id),
        kinds=source.kinds or [kind.value for kind in KINDS],
        protected=listable.check,
        grave=lambda one: listable.grave(one) and (one.kind, one.value) not in known,
        never_again=protected.NEVER_AGAIN,
        now_s=clock.paced_s(),
    )
    if source.format == FeedSource.Format.RSS:
        notes = [
            {"title": n.title, "link": n.link, "at": n.at}
            for n in brought.notes
            if n.link.startswith("https://")
        ]
        FeedSource.objects.filter(pk=source.pk).update(notes=notes)
    elif not judged.named and not judged.withdrawn and not source.named and not judged.protected:
        failed(source, NothingInIt.code, "")
        return
    update = _update(source, brought, judged)
    doubts = rules.doubts(
        before=source.named,
        kept=len(judged.named),
        protected=judged.protected,
        grave=judged.grave,
        week=_week(source),
        first_size=settings.BEFFROI.sources_first_size,
    )
    if doubts:
        _hold(source, update, judged, doubts)
    else:
        _apply(source, update, judged.named, judged.withdrawn, state=_State.APPLIED)
    _answered(source)


def _accepted(source: FeedSource) -> set[tuple[str, str]]:
    """Protected (kind, value) that a person saw when accepting an update of this source: they hold no other one."""
    accepted = source.updates.filter(state=_State.ACCEPTED).values_list("examples", flat=True)
    return {(kind, value) for examples in accepted for kind, value, *_ in examples}


def _week(source: FeedSource) -> int:
    """The fewest that an update in force of the last days named, since a person accepted one."""
    now = clock.now()
    updates = source.updates.filter(at__gte=now - timedelta(days=rules.BASELINE_DAYS), at__lte=now)
    accepted = updates.filter(state=_State.ACCEPTED).order_by("-at").first()
    if accepted is not None:
        updates = updates.filter(at__gte=accepted.at)
    in_force = updates.filter(state__in=(_State.APPLIED, _State.ACCEPTED))
    return int(in_force.aggregate(fewest=Min("kept"))["fewest"] or 0)


def failed(source: FeedSource, code: str, detail: str) -> None:
    """Note why nothing came; what is in force stays until its TTL."""
    handover.forget(settings.BEFFROI.state, source.id)
    failures = source.failures + 1
    with transaction.atomic():
        FeedSource.objects.filter(pk=source.pk).update(
            asked="",
            last_error=code,
            last_error_detail=detail,
            failures=failures,
            next_at=actions.next_at(rules.pause_s(source.every_s, failures)),
        )
        if failures == 1:
            outbox.publish(FAILING, {"source_id": source.id, "code": code})
    log.warning("source %s: %s", source.id, code)


def _answered(source: FeedSource) -> None:
    """A round ended well."""
    handover.forget(settings.BEFFROI.state, source.id)
    FeedSource.objects.filter(pk=source.pk).update(
        asked="",
        last_error="",
        last_error_detail="",
        failures=0,
        last_success_at=clock.now(),
        next_at=actions.next_at(source.every_s),
    )


# -- held or in force --------------------------------------------------------------------------------------


def _update(source: FeedSource, brought: handover.Brought, judged: Judged) -> SourceUpdate:
    return SourceUpdate(
        source=source,
        kept=len(judged.named),
        invalid=judged.invalid + brought.invalid,
        unsupported=brought.unsupported,
        protected=judged.protected,
        never=judged.never,
        examples=judged.examples,
        before=source.named,
        size_bytes=brought.size_bytes,
        etag=brought.etag,
        last_modified=brought.last_modified,
    )


def _hold(source: FeedSource, update: SourceUpdate, judged: Judged, doubts: tuple[str, ...]) -> None:
    entries = {key: (0, until) for key, until in judged.named.items()}
    entries |= {f"-{key}": (0, 0) for key in judged.withdrawn}
    # Named after the update: what a person accepts is what that person was shown, whatever comes meanwhile.
    store.write(store.held_file(settings.BEFFROI.state, update.id), entries)
    update.state, update.doubts = _State.HELD, list(doubts)
    with transaction.atomic():
        outbox.serialise()
        known = set(source.updates.filter(state=_State.HELD).values_list("id", flat=True))
        SourceUpdate.objects.filter(pk__in=known).update(state=_State.SUPERSEDED)
        update.save(force_insert=True)
        # Not "unchanged" until this is in force: the next round must bring all of it again.
        FeedSource.objects.filter(pk=source.pk).update(etag="", last_modified="")
        audit.record(
            ACTOR,
            "source:update_held",
            update.id,
            collectivite_id=None,
            details={"source_id": source.id, "kept": update.kept, "doubts": ",".join(doubts)},
        )
        outbox.publish(HELD, {"source_id": source.id, "update_id": update.id, "doubts": list(doubts)})
    for update_id in known:
        store.held_file(settings.BEFFROI.state, update_id).unlink(missing_ok=True)


def answer(source: FeedSource, update: SourceUpdate) -> None:
    """Do what a person answered about a held update. Runs twice after a crash, to the same end."""
    path = store.held_file(settings.BEFFROI.state, update.id)
    if update.state == _State.ACCEPTED and source.active and path.exists():
        held = store.read(path)
        named = {key: until for key, (_, until) in held.items() if not key.startswith("-")}
        withdrawn = {key[1:] for key in held if key.startswith("-")}
        # What became protected meanwhile is left out by ``publish_list`` again.
        _apply(source, update, named, withdrawn, state=_State.ACCEPTED)
    path.unlink(missing_ok=True)


def _apply(
    source: FeedSource, update: SourceUpdate, named: Mapping[str, int], withdrawn: set[str], *, state: str
) -> None:
    state_dir, now_s = settings.BEFFROI.state, clock.paced_s()
    path = store.entries_file(state_dir, source.id)
    merged = rules.merge(store.read(path), named, withdrawn, now_s=now_s, ttl_s=source.ttl_s)
    store.write(path, merged.entries)
    effect(source, merged.entries)
    update.state, update.new, update.gone = state, merged.new, merged.gone
    update.save()
    superseded = source.updates.filter(state=_State.HELD)
    for update_id in superseded.values_list("id", flat=True):
        store.held_file(state_dir, update_id).unlink(missing_ok=True)
    superseded.update(state=_State.SUPERSEDED)
    FeedSource.objects.filter(pk=source.pk).update(
        named=update.kept, etag=update.etag, last_modified=update.last_modified
    )
    SourceUpdate.objects.filter(source=source, at__lt=clock.now() - timedelta(days=400)).delete()


def _renew(source: FeedSource) -> None:
    """The source says that it did not change since the last time."""
    path = store.entries_file(settings.BEFFROI.state, source.id)
    now_s = clock.paced_s()
    entries = rules.alive(rules.renewed(store.read(path), now_s=now_s), now_s=now_s, ttl_s=source.ttl_s)
    store.write(path, entries)
    effect(source, entries)
    _answered(source)


def sweep() -> int:
    """Let entries leave that nobody renewed within their TTL; return of how many sources. As with all that doors
    refuse, a clock that jumps forward ends none for an hour (``clock.paced``)."""
    return _refresh_each(FeedSource.objects.filter(active=True, next_gone_at__lte=clock.paced_now()))


def refresh(source: FeedSource) -> None:
    """Put the effect of a source in step with its entries and its present weight."""
    path = store.entries_file(settings.BEFFROI.state, source.id)
    before = store.read(path)
    entries = rules.alive(before, now_s=clock.paced_s(), ttl_s=source.ttl_s)
    if len(entries) != len(before):
        store.write(path, entries)
    effect(source, entries)


def move_trials() -> int:
    """Put in force what passed its trial; return of how many sources."""
    return _refresh_each(trials.tick())


def _refresh_each(sources: Iterable[FeedSource]) -> int:
    """Return of how many. One whose file is damaged, or finds no room, has its turn again; the others have theirs."""
    done = 0
    for source in sources:
        try:
            refresh(source)
            done += 1
        except (OSError, BeffroiError) as error:
            log.error("source %s: %s", source.id, getattr(error, "code", type(error).__name__))
    return done


def stop(source_id: str, slug: str) -> None:
    """Take everything back that a source brought, at every door."""
    for kind in KINDS:
        _withdraw(list_name(slug, kind.value))
        _withdraw(trial_name(slug, kind.value))
    SourceTrial.objects.filter(source_id=source_id).delete()
    SourceUpdate.objects.filter(source_id=source_id, state=_State.HELD).update(state=_State.SUPERSEDED)
    held = SourceUpdate.objects.filter(state__in=(_State.HELD, _State.ACCEPTED)).values_list("id", flat=True)
    store.forget_held(settings.BEFFROI.state, but=held)
    store.forget(settings.BEFFROI.state, source_id)
    FeedSource.objects.filter(pk=source_id, active=False).update(
        asked="", named=0, in_force=0, etag="", last_modified="", next_gone_at=None, next_at=None
    )


# -- effect ------------------------------------------------------------------------------------------------


def effect(source: FeedSource, entries: rules.Entries) -> None:
    """Make doors and ``watch`` see these entries as the source's weight says."""
    values = store.by_kind(entries)
    published = values if source.weight == FeedSource.Weight.LIST else {}
    tried = 0
    for kind in KINDS:
        blocked, observed = trials.split(source, kind, published.get(kind.value, ()))
        # What passed its trial is in force before it is observed no longer: its file is on every boîtier already.
        for name, some, action in (
            (list_name(source.slug, kind.value), blocked, Action.BLOCK),
            (trial_name(source.slug, kind.value), observed, Action.WARN),
        ):
            if some:
                _publish(source, name, kind.value, some, entries, action)
            else:
                _withdraw(name)
        tried += len(observed)
    trials.forget_passed(source)
    evidence = values if source.weight == FeedSource.Weight.EVIDENCE else {}
    store.write_evidence(settings.BEFFROI.state, source.id, evidence)
    ends = [rules.end_s(seen, source.ttl_s) for seen in entries.values()]
    FeedSource.objects.filter(pk=source.pk).update(
        in_force=len(entries) - tried, next_gone_at=datetime.fromtimestamp(min(ends), UTC) if ends else None
    )


def _publish(  # noqa: PLR0917 - made in one place
    source: FeedSource, name: str, kind: str, values: list[str], entries: rules.Entries, action: Action
) -> None:
    last_s = max(rules.end_s(entries[f"{kind}\t{value}"], source.ttl_s) for value in values)
    present = IndicatorList.objects.filter(name=name).first()
    if present is not None and present.expires_at is not None:
        same = present.sha256 == hashlib.sha256(content.content(values)).hexdigest()
        gained_s = last_s - present.expires_at.timestamp()
        same = same and present.threat == source.threat
        if same and abs(gained_s) < source.ttl_s / 8:
            return  # a batch and an audit entry for every round would say nothing
    used = sparing.used_values(Kind(kind)) & set(values)
    if used and action is Action.BLOCK:
        known = listed.touched(present, [Indicator(Kind(kind), one) for one in used]) if present else ()
        sparing.hold_out(Kind(kind), used, threat=source.threat, known={one.value for one in known})
    try:
        lists.publish_list(
            actor=ACTOR,
            name=name,
            kind=kind,
            values=values,
            source=f"{source.name} {source.address}".strip()[:200],
            licence=source.licence,
            action=action,
            threat=source.threat,
            ttl_s=max(1, last_s - clock.paced_s()),
        )
    except lists.ListEmpty:
        _withdraw(name)


def _withdraw(name: str) -> None:
    try:
        lists.withdraw_list(actor=ACTOR, name=name)
    except NotFound:
        return
