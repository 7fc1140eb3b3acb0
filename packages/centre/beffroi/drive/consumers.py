"""What the drive does when something happened to people. Group "main" (worker)."""

from __future__ import annotations

from collections.abc import Collection, Generator, Iterable, Iterator, Mapping, Sequence
from itertools import batched
from typing import Any

from django.conf import settings

from beffroi.core.audit import actions as audit
from beffroi.core.communes import queries as communes
from beffroi.core.events import Event, consumer, outbox, periodic
from beffroi.core.events.registry import ACCESSES, DECISIONS
from beffroi.core.identity import queries as identity
from beffroi.core.identity.actions import end_sessions, revoke_app_password
from beffroi.core.identity.actor import Actor
from beffroi.core.identity.models import AppPassword, Membership
from beffroi.drive import (
    browsers,
    departures,
    erasures,
    handover,
    leaving,
    past_worker,
    projections,
    recorded,
    sightings,
)
from beffroi.drive.calendars import homes
from beffroi.drive.crossing import Crossing
from beffroi.drive.projections import Member
from beffroi.drive.seals import actions as seals
from beffroi.drive.sharing import Line
from beffroi.drive.store import handovers
from beffroi.drive.store.keys import is_erased
from beffroi.drive.store.model import Act
from beffroi.lib import clock

PROTOCOL = "dav"
PIECE = 100
"""App passwords, in one transaction of the projection: others write it beside."""
SYSTEM = Actor.system("drive.members")
_SEAL_VERBS = {
    "drive:sealed": "drive:seal:made",
    "drive:seal_failed": "drive:seal:failed",
    "drive:seal_checked": "drive:seal:checked",
    "drive:seal_exported": "drive:seal:exported",
}


@consumer(
    name="drive.app_passwords",
    kinds=("identity:app_password_issued", "identity:app_password_revoked", "identity:role_changed"),
    lane=ACCESSES,
    atomic=False,
    together=True,
)
def project_app_passwords(events: Sequence[Event]) -> None:
    """Read the present rows, not the events: a revocation that came first must win. A role that ends revokes each app
    password of it: all are written at once, since each writing waits for the disk several times."""
    told = [one.payload for one in events]
    asked = {one["app_password_id"] for one in told if PROTOCOL in one.get("protocols", ())}
    roles = [one["membership_id"] for one in told if "app_password_id" not in one]
    in_force = AppPassword.objects.filter(membership_id__in=roles, revoked_at=None)
    projections.put(settings.BEFFROI, asked.union(in_force.values_list("id", flat=True)), _present)


@consumer(
    name="drive.members",
    kinds=("identity:membership_added", "identity:access_ended", "identity:role_changed"),
    atomic=False,
)
def project_members(event: Event) -> None:
    """Whom sync clients may choose for a share, and what they call a collectivité that shares something."""
    if event.collectivite_id:
        members = _members(identity.memberships_in(SYSTEM, event.collectivite_id))
        projections.put_members(settings.BEFFROI, members, collectivite_id=event.collectivite_id)
        project_names(event)


@consumer(name="drive.names", kinds=("communes:collectivite_renamed",), atomic=False)
def project_names(event: Event) -> None:
    projections.put_names(settings.BEFFROI, communes.names())


@consumer(name="drive.departures", kinds=("identity:access_ended", "identity:access_restored"), atomic=False)
def depart_or_return(event: Event) -> None:
    """In their order: an undoing gives back what its departure has taken by then, and it is not taken again."""
    if event.kind == "identity:access_ended":
        end_shares(event)
    else:
        give_back(event)


def end_shares(event: Event) -> None:
    """Only where it was the person's last role there; also of who is back by now, what was shared before."""
    ended = Membership.objects.filter(pk=event.payload["membership_id"]).exclude(until=None).first()
    if ended is None or identity.goes_on(ended):
        return
    leaving.end_shares(ended.person_id, ended.collectivite_id)


@consumer(name="drive.locks", kinds=("identity:app_password_revoked",), atomic=False)
def end_locks(event: Event) -> None:
    """Of a device that opens nothing any more: else they would keep colleagues out for up to a day."""
    departures.end_locks(
        settings.BEFFROI, str(event.collectivite_id), device_id=event.payload["app_password_id"]
    )


@consumer(name="drive.groups", kinds=("identity:access_ended", "identity:membership_added"), atomic=False)
def end_group_membership(event: Event) -> None:
    """Who left is in no group, nor who comes back by what was before: a référent adds them again."""
    membership = Membership.objects.filter(pk=event.payload["membership_id"]).first()
    if membership is None:
        return
    person_id, owner = membership.person_id, membership.collectivite_id
    if event.kind == "identity:access_ended" and identity.belongs(person_id, owner):
        return  # in another role: they never left
    leaving.end_groups(person_id, owner)


def give_back(event: Event) -> None:
    """A departure was undone: what it took is the person's again. They leave their groups of before in any case, so
    that the order in which the worker comes to what happened changes nothing."""
    told, owner = event.payload, str(event.collectivite_id)
    person_id = told["person_id"]
    if not identity.belongs(person_id, owner):
        return  # they left again
    if handover.begin_return(told, owner):
        return  # first the files, of which some were shared: ``hand_over`` gives the rest back after them
    _give_back(told, owner)


def _give_back(told: Mapping[str, Any], owner: str) -> None:
    person_id, actor = told["person_id"], Actor.system("drive.departures")
    leaving.end_groups(person_id, owner)
    departures.give_back(
        settings.BEFFROI,
        Act(told["by"], "", clock.epoch_s()),
        collectivite_id=owner,
        person_id=person_id,
        left_s=told["left_s"],
        record_group=lambda line: recorded.group(line, actor=actor),
        record_share=lambda line: recorded.record(line, actor=actor),
    )


@consumer(name="drive.handovers", kinds=(handovers.DUE,), atomic=False)
def hand_over(event: Event) -> None:
    """A portion of the files of somebody who left; what else happened has its turn before the next one."""
    told, owner = event.payload, str(event.collectivite_id)
    if handover.go_on(told, owner):
        return
    if restored := told.get("restored"):
        _give_back(restored, owner)


@consumer(name="drive.person_erased", kinds=("identity:person_erased",), atomic=False)
def forget(event: Event) -> None:
    """Who is erased signs in no more, and what was theirs alone goes with the name."""
    person_id = event.payload["person_id"]
    projections.remove_person(settings.BEFFROI, person_id=person_id)
    homes.remove_everywhere(settings.BEFFROI, person_id)
    departures.forget_own_marks(settings.BEFFROI, person_id)


@consumer(name="drive.links", kinds=("drive:link_used",))
def record_download(event: Event) -> None:
    """What left by a link, or was looked at, for whoever asks later; from where, on the side that can be erased."""
    verb = "drive:link:seen" if event.payload["what"] == "preview" else "drive:link:used"
    _record(event, verb, "share_id", ("what", "node_id", "bytes"))


@periodic("drive.erasures", every_s=600.0)
def finish_erasures() -> Generator[None, None, int]:
    return erasures.finish()


@consumer(name="drive.keys", kinds=("drive:key_added", "drive:key_destroyed"))
def record_key(event: Event) -> None:
    """A key of files that was replaced because of its age, or that nothing needs any more."""
    verb = {"drive:key_added": "drive:key:added", "drive:key_destroyed": "drive:key:destroyed"}[event.kind]
    _record(event, verb, "", ("generation",))


@consumer(
    name="drive.seals",
    kinds=tuple(_SEAL_VERBS),
)
def record_seal(event: Event) -> None:
    """What the process of contents did for a person who asked for it, or by itself, because it was due."""
    told = dict(event.payload)
    by = told.pop("person_id")
    audit.record(
        Actor("person", by, event.collectivite_id) if by else Actor("door", "drive"),
        _SEAL_VERBS[event.kind],
        told.pop("seal_id"),
        collectivite_id=event.collectivite_id,
        details=told,
    )


@consumer(name="drive.ways_back", kinds=(past_worker.STOPPED,))
def record_stopped_way(event: Event) -> None:
    """A folder that was being put back as it was, for somebody who may not write there any more."""
    _record(event, "drive:folder:put_back_stopped", "folder", ("person_id", "done", "total"))


@consumer(name="drive.eliminations", kinds=("approval:granted",), atomic=False)
def eliminate(event: Event) -> None:
    """A second person agreed that a sealed folder is destroyed: what stands in the request, and nothing else."""
    told = event.payload
    if told["verb"] == seals.VERB and event.collectivite_id is not None:
        seals.carry_out(
            event.collectivite_id,
            told["payload"],
            approval_id=told["approval_id"],
            asked_by=told["requested_by"],
            granted_by=told["decided_by"],
        )


@consumer(name="drive.crossed", kinds=("drive:crossed",))
def record_crossing(event: Event) -> None:
    """Who of another collectivité came to what is shared with it."""
    told = Crossing(**event.payload)
    actor = Actor("person", told.person_id, told.receiver)
    recorded.write_crossing(told, actor=actor)


@consumer(name="drive.shares", kinds=("drive:share_told",))
def record_share(event: Event) -> None:
    """What a sync client did with shares: told before it was done."""
    told = Line(**event.payload)
    recorded.write(told, actor=Actor("person", told.person_id, event.collectivite_id))


@consumer(name="drive.handed_in", kinds=("drive:handed_in",))
def record_handed(event: Event) -> None:
    """What came by a link, for whoever asks later; from where, on the side that can be erased."""
    _record(event, "drive:link:handed_in", "share_id", ("reference", "sha256", "bytes"))


@consumer(name="drive.alarm", kinds=("drive:alarm",), lane=ACCESSES)
def stop_device(event: Event) -> None:
    """A device that wrote as ransomware does opens nothing any more, not even calendars, wherever it wrote; where it
    was a browser, its person signs in again, and who stole their session cannot. Where that was in a share of another
    collectivité, its own hears of it: ``drive:alarm_elsewhere``."""
    if not event.collectivite_id:
        return
    device_id, person_id = (str(event.payload.get(name, "")) for name in ("app_password_id", "person_id"))
    actor, there = Actor.system("drive.alarm"), event.collectivite_id
    rows = AppPassword.objects.filter(pk=device_id, membership__person_id=person_id)
    own = []
    for one in rows.select_related("membership"):
        revoke_app_password(actor=actor, app_password=one)
        own.append(one.membership)
    if browsers.kind_of(device_id):
        current = identity.current_memberships(person_id)
        own = ([one for one in current if one.collectivite_id == there] or current)[:1]
        for member in own:
            end_sessions(actor=actor, person=member.person, collectivite_id=member.collectivite_id)
    for home in {one.collectivite_id for one in own} - {there}:
        outbox.publish("drive:alarm_elsewhere", event.payload, collectivite_id=home)


@consumer(name="drive.given_up", kinds=("drive:app_password_given_up",))
def revoke_given_up(event: Event) -> None:
    """Somebody signed out on a device: its app password opens nothing any more, nowhere."""
    told = event.payload
    rows = AppPassword.objects.filter(
        pk=told["app_password_id"],
        membership__person_id=told["person_id"],
        membership__collectivite_id=event.collectivite_id,
    )
    for one in rows.select_related("membership"):
        revoke_app_password(actor=Actor("person", told["person_id"], event.collectivite_id), app_password=one)


@consumer(
    name="drive.sightings",
    kinds=("drive:found", "drive:frozen", "drive:alarm", "drive:alarm_elsewhere"),
    lane=DECISIONS,
)
def report_sighting(event: Event) -> None:
    """What the drive met is told to watch, whose rules decide for all communes."""
    if event.collectivite_id:
        sightings.report(
            event.kind, collectivite_id=event.collectivite_id, at=event.created_at, payload=event.payload
        )


@periodic("drive.app_passwords", every_s=3600.0)
def project_all() -> Iterator[None]:
    """A file that was lost or restored is true again; a membership whose end was set ahead opens nothing any more."""
    rows = AppPassword.objects.filter(revoked_at=None, protocol_set__contains=PROTOCOL)
    found = {_row(one) for one in rows.select_related("membership__person")} - {None}
    # What differs is read once more: a revocation waits for no look at all of them, and none is undone by it.
    differing = found ^ projections.known(settings.BEFFROI)
    for some in batched({one.app_password_id for one in differing if one is not None}, PIECE, strict=False):
        projections.put(settings.BEFFROI, some, _present)
        yield
    projections.put_members(settings.BEFFROI, _members(identity.all_memberships()))
    projections.put_names(settings.BEFFROI, communes.names())


def _record(event: Event, verb: str, about: str, details: Iterable[str]) -> None:
    """Of the process drive. ``about``: the field that names the object, "" for the collectivité; ``details``: more."""
    told = event.payload
    audit.record(
        Actor("door", "drive"),
        verb,
        str(told[about] if about else event.collectivite_id),
        collectivite_id=event.collectivite_id,
        details={name: told[name] for name in details},
        personal={"address": told["address"]} if told.get("address") else None,
    )


def _members(memberships: Iterable[Membership]) -> list[Member]:
    found = {
        (one.collectivite_id, one.person_id): Member(
            one.person_id, one.collectivite_id, one.person.email.lower(), one.person.name
        )
        for one in memberships
        if one.person.is_active
    }
    return list(found.values())


def _present(app_password_ids: Collection[str]) -> list[projections.Row]:
    rows = AppPassword.objects.filter(pk__in=app_password_ids).select_related("membership__person")
    return [row for row in map(_row, rows) if row is not None]


def _row(one: AppPassword) -> projections.Row | None:
    """None for what does not open the drive, or no more."""
    membership = one.membership
    if is_erased(settings.BEFFROI.state / "drive" / membership.collectivite_id):
        return None
    if one.revoked_at is not None or PROTOCOL not in one.protocol_set.split(","):
        return None
    if all(each.id != membership.id for each in identity.current_memberships(membership.person_id)):
        return None
    return projections.Row(
        sha256=one.sha256,
        app_password_id=one.id,
        person_id=membership.person_id,
        membership_id=membership.id,
        collectivite_id=membership.collectivite_id,
        role=membership.role,
        login=membership.person.email.lower(),
        display_name=membership.person.name,
    )
