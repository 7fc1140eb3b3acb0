"""Software for boxes at the centre: stored as signed offline, handed out by stages, stopped by itself when it harms.

Process: cli stores; console starts, stops and resumes; worker looks every half minute and asks boxes; stream carries
         the signed line to a box that is asked, and serves it the file.
Trust:   the centre cannot make a release: the line is verified with the pinned root's delegation for the software role,
         here as a courtesy and again in each box.
Fails:   closed: nothing is stored unless line and file fit; a release that ended or is stopped asks nobody.
"""

from __future__ import annotations

import hashlib
from datetime import UTC, datetime

from beffroi_protocol.errors import ProtocolError
from beffroi_protocol.facts import SoftwareUpdated
from beffroi_protocol.messages import Release
from beffroi_protocol.signing import ROLE_SOFTWARE, TrustStore
from django.conf import settings
from django.db import transaction
from django.db.models import Max, QuerySet

from beffroi.boxes import rollout
from beffroi.boxes.models import Box, BoxRelease, BoxUpdate
from beffroi.core.audit import actions as audit
from beffroi.core.communes.models import Collectivite
from beffroi.core.events import outbox
from beffroi.core.events.registry import periodic
from beffroi.core.identity.actor import Actor
from beffroi.core.planes import files
from beffroi.core.planes.follower import pinned_root
from beffroi.lib import clock, durable
from beffroi.lib.config import Config
from beffroi.lib.errors import BeffroiError, Conflict, NotFound

LOOK_EVERY_S = 30.0
EXPIRED = "expired"


class ReleaseRefused(BeffroiError):
    """This release is not stored: {}"""

    code = "box.release_refused"
    http_status = 400


def store(*, actor: Actor, line: bytes, delegation: bytes, content: bytes) -> BoxRelease:
    """Keep a signed release with its package; it waits for a person to start it.

    ``delegation``: the root's line for the key that signed. Errors: NotAllowed, ReleaseRefused, OSError.
    """
    actor.require_departement("change the software of boxes")
    config: Config = settings.BEFFROI
    trust = TrustStore(pinned_root(config))
    try:
        trust.add_delegation(delegation)
        release, _ = trust.verify(line.strip(), now=clock.epoch_s(), role=ROLE_SOFTWARE)
    except ProtocolError as error:
        raise ReleaseRefused(error.code) from None
    if not isinstance(release, Release):
        raise ReleaseRefused("it is no release")
    if len(content) != release.size_bytes or hashlib.sha256(content).hexdigest() != release.sha256:
        raise ReleaseRefused("the package is another than the signed one")
    if release.expires_at <= clock.epoch_s():
        raise ReleaseRefused("it has expired")
    place = files.software_file(config.state, release.sha256)
    place.parent.mkdir(mode=0o700, exist_ok=True)
    durable.write(place, files.compressed(content))
    with transaction.atomic():
        last = BoxRelease.objects.select_for_update().aggregate(last=Max("number"))["last"] or 0
        if release.number <= last:
            raise ReleaseRefused(f"its number is not above {last}")
        row: BoxRelease = BoxRelease.objects.create(
            number=release.number,
            version=release.version,
            sha256=release.sha256,
            size_bytes=release.size_bytes,
            line=delegation.strip().decode() + "\n" + line.strip().decode(),
            expires_at=datetime.fromtimestamp(release.expires_at, UTC),
        )
        _record(actor, "box:release_stored", row)
    return row


@transaction.atomic
def start(*, actor: Actor, number: int, canary: Collectivite) -> BoxRelease:
    """Begin with the boxes of ``canary``. Errors: NotAllowed, NotFound, Conflict (started, ended, or another runs; it
    has no box in service)."""
    row = _row(actor, number, BoxRelease.State.STORED)
    if not Box.objects.filter(collectivite_id=canary.id, state=Box.State.ACTIVE).exists():
        raise Conflict("no boîtier is in service there")
    if BoxRelease.objects.filter(state=BoxRelease.State.RUNNING).exists():
        raise Conflict("another release is under way")
    row.canary_id = canary.id
    return _change(actor, "box:release_started", row, BoxRelease.State.RUNNING, stage_at=clock.now())


@transaction.atomic
def stop(*, actor: Actor, number: int) -> BoxRelease:
    """Ask no further box; those that have it keep it. Errors: NotAllowed, NotFound, Conflict."""
    row = _row(actor, number, BoxRelease.State.RUNNING)
    return _change(actor, "box:release_stopped", row, BoxRelease.State.STOPPED)


@transaction.atomic
def resume(*, actor: Actor, number: int) -> BoxRelease:
    """Go on after a person looked at the failures. Errors: NotAllowed, NotFound, Conflict."""
    row = _row(actor, number, BoxRelease.State.STOPPED)
    if BoxRelease.objects.filter(number__gt=number).exclude(state=BoxRelease.State.STORED).exists():
        raise Conflict("a later release was started")
    row.stopped_because = ""
    return _change(actor, "box:release_resumed", row, BoxRelease.State.RUNNING, resumed_at=clock.now())


def keep(box_id: str, fact: SoftwareUpdated) -> None:
    """Keep what a box told of a release that it was asked to install. The first word counts; only one that refused,
    for want of room, may say later that it has it."""
    open_ = ("", "refused") if fact.outcome == "installed" else ("",)
    rows = BoxUpdate.objects.filter(box_id=box_id, number=fact.number, outcome__in=open_)
    rows.update(outcome=fact.outcome, reason=fact.reason[:200], told_at=clock.now())


def visible_releases(actor: Actor) -> QuerySet[BoxRelease]:
    """Newest first; for the Département only."""
    return actor.departement(BoxRelease.objects.order_by("-number"))


def failed_updates(actor: Actor) -> QuerySet[BoxUpdate]:
    """Boxes that put the former software back or refused, latest first; for the Département only."""
    rows = BoxUpdate.objects.filter(outcome__in=("rolled_back", "refused")).order_by("-told_at")
    return actor.departement(rows)


def mute_updates(actor: Actor, number: int) -> list[tuple[rollout.BoxView, str]]:
    """Boxes that were asked to install this release and fell silent or never answered, with which of the two."""
    if not actor.sees_all:
        return []
    now = clock.epoch_s()
    found = ((one, rollout.trouble(one, now)[0]) for one in views(number))
    return [(one, why) for one, why in found if why in ("silent", "unanswered")]


def stopped_by_itself(actor: Actor) -> int:
    """1 where the newest release that was started stopped by itself and waits for a person; else 0."""
    row = visible_releases(actor).exclude(state=BoxRelease.State.STORED).first()
    return int(row is not None and row.state == BoxRelease.State.STOPPED and bool(row.stopped_because))


def progress(number: int) -> dict[str, int]:
    """How many boxes were asked, have it, and failed or refused."""
    outcomes = list(BoxUpdate.objects.filter(number=number).values_list("outcome", flat=True))
    installed = outcomes.count("installed")
    return {
        "asked": len(outcomes),
        "installed": installed,
        "failed": len(outcomes) - installed - outcomes.count(""),
    }


def views(number: int) -> list[rollout.BoxView]:
    """All active boxes, with what they were asked and told of this release."""
    updates = {row.box_id: row for row in BoxUpdate.objects.filter(number=number)}
    found = []
    for box in Box.objects.filter(state=Box.State.ACTIVE):
        update = updates.get(box.id)
        found.append(
            rollout.BoxView(
                box.id,
                box.collectivite_id,
                _epoch(box.last_seen_at),
                _epoch(update.asked_at) if update else 0,
                update.outcome if update else "",
                _epoch(update.told_at) if update else 0,
            )
        )
    return found


@periodic("boxes.releases", every_s=LOOK_EVERY_S)
def look() -> int:
    """One look at the release that is under way; return how many boxes were asked."""
    _go_on()
    running = BoxRelease.objects.filter(state=BoxRelease.State.RUNNING)
    if not running.exists():  # the usual case: no write lock is taken
        return 0
    with transaction.atomic():
        row = running.select_for_update().first()
        if row is None:
            return 0
        system = Actor.system("boxes")
        if row.expires_at <= clock.now():
            row.stopped_because = EXPIRED
            _change(system, "box:release_stopped", row, BoxRelease.State.STOPPED)
            return 0
        found = rollout.step(plan_of(row), views(row.number), clock.epoch_s())
        if found.stop:
            row.stopped_because = found.stop[:200]
            _change(system, "box:release_stopped", row, BoxRelease.State.STOPPED)
            return 0
        for box in Box.objects.filter(pk__in=found.ask):
            BoxUpdate.objects.create(box_id=box.id, collectivite_id=box.collectivite_id, number=row.number)
            outbox.publish("box:release_offered", {"box_id": box.id}, collectivite_id=box.collectivite_id)
        if found.done:
            _change(system, "box:release_done", row, BoxRelease.State.DONE)
        elif found.stage != row.stage:
            row.stage = found.stage
            _change(system, "box:release_stage", row, BoxRelease.State.RUNNING, stage_at=clock.now())
        return len(found.ask)


def _go_on() -> None:
    """The last release that was started stopped as expired, and is not: the clock was ahead, and nobody decided."""
    started = BoxRelease.objects.exclude(state=BoxRelease.State.STORED).order_by("-number")
    taken = BoxRelease.objects.filter(stopped_because=EXPIRED, expires_at__gt=clock.now())
    if not taken.exists():  # the usual case: no write lock is taken
        return
    with transaction.atomic():
        row = started.select_for_update().first()
        other = started.filter(state=BoxRelease.State.RUNNING)
        if row is not None and taken.filter(pk=row.pk).exists() and not other.exists():
            row.stopped_because = ""
            _change(Actor.system("boxes"), "box:release_resumed", row, BoxRelease.State.RUNNING)


def plan_of(row: BoxRelease) -> rollout.Rollout:
    return rollout.Rollout(row.number, row.canary_id, row.stage, _epoch(row.stage_at), _epoch(row.resumed_at))


def _row(actor: Actor, number: int, state: str) -> BoxRelease:
    actor.require_departement("change the software of boxes")
    row = BoxRelease.objects.select_for_update().filter(pk=number).first()
    if row is None:
        raise NotFound("release")
    if row.state != state or row.expires_at <= clock.now():
        raise Conflict("the release is in another state, or has expired")
    return row


def _change(actor: Actor, verb: str, row: BoxRelease, state: str, **values: datetime) -> BoxRelease:
    row.state = state
    row.changed_by = actor.id
    for name, value in values.items():
        setattr(row, name, value)
    row.save()
    _record(actor, verb, row)
    return row


def _record(actor: Actor, verb: str, row: BoxRelease) -> None:
    details: dict[str, str | int] = {"version": row.version, "stage": row.stage}
    if row.stopped_because:
        details["reason"] = row.stopped_because
    audit.record(actor, verb, f"release_{row.number}", collectivite_id=None, details=details)
    outbox.publish(verb, {"id": str(row.number)}, collectivite_id=None)


def _epoch(moment: datetime | None) -> int:
    return int(moment.timestamp()) if moment else 0
