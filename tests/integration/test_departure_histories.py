"""Random histories of departures, their undoing, functional mailboxes and roles, against a model of who reads what."""

from __future__ import annotations

import json
import random
from dataclasses import dataclass, field

import pytest
from beffroi.core.events import Event
from beffroi.core.events.models import OutboxEvent
from beffroi.core.identity import actions as identity
from beffroi.core.identity import queries as people_of
from beffroi.core.identity.actor import Actor
from beffroi.core.identity.models import Membership, Person
from beffroi.lib.errors import Conflict, NotFound
from beffroi.mail import actions as mailboxes
from beffroi.mail.models import Mailbox
from beffroi.mail.people import actions, consumers, leaving
from beffroi.mail.people.models import Departure, Member

from tests.conftest import Commune
from tests.fixtures_portal import own_mailbox, shared_box

pytestmark = pytest.mark.django_db
SYSTEM = Actor.system("tests")


@dataclass
class World:
    """``members``: by functional mailbox; ``own``: whether each one's own mailbox is open."""

    roles: dict[str, set[str]]
    own: dict[str, bool]
    members: dict[str, set[str]]
    open: dict[str, bool]
    departures: list[tuple[str, set[str], bool, list[str], list[bool]]] = field(default_factory=list)

    def worked(self) -> None:
        for inside in self.members.values():
            inside -= {one for one in inside if not self.roles.get(one, True)}


def seen(world: World, commune: Commune) -> World:
    found = World({}, {}, {}, {})
    for one in world.roles:
        rows = Membership.objects.filter(person_id=one, collectivite_id=commune.id, until=None)
        found.roles[one] = set(rows.values_list("role", flat=True))
        found.own[one] = Mailbox.objects.filter(person_id=one, closed_at=None).exists()
    for box in world.members:
        rows = Member.objects.filter(mailbox_id=box, ended_at=None)
        found.members[box] = set(rows.values_list("person_id", flat=True))
        found.open[box] = Mailbox.objects.filter(pk=box, closed_at=None).exists()
    return found


@pytest.mark.parametrize("seed", range(12))
def test_who_reads_what_after_any_history(beaune: Commune, seed: int) -> None:
    chance = random.Random(seed)
    actors = {one.id: one for one in (beaune.agent, beaune.colleague)}
    boxes = {one.id: one for one in (shared_box(beaune, local=name) for name in ("mairie", "ecole"))}
    world = World(
        {one: {"agent"} for one in actors},
        {beaune.agent.id: True, beaune.colleague.id: False},
        {one: set() for one in boxes},
        dict.fromkeys(boxes, True),
    )
    own_mailbox(beaune)

    def depart(one: str) -> None:
        left = [box for box, inside in world.members.items() if one in inside and world.open[box]]
        others = [*(other for other in actors if other != one and world.roles[other]), beaune.referent.id]
        heirs = {box: chance.choice(others) for box in left if chance.random() < 0.5}
        if not world.roles[one]:
            with pytest.raises(NotFound):
                leaving.depart(
                    actor=beaune.referent, collectivite=beaune.collectivite, person=person(one), successors={}
                )
            return
        leaving.depart(
            actor=beaune.referent, collectivite=beaune.collectivite, person=person(one), successors=heirs
        )
        world.departures.append((one, set(world.roles[one]), world.own[one], left, []))
        world.roles[one], world.own[one] = set(), False
        for box in left:
            world.members[box] = (world.members[box] - {one}) | ({heirs[box]} if box in heirs else set())

    def undo(number: int) -> None:
        row = Departure.objects.order_by("created_at", "id")[number]
        one, roles, had_box, left, undone = world.departures[number]
        if undone or roles & world.roles[one]:
            with pytest.raises(Conflict):
                leaving.undo(actor=beaune.referent, departure=row)
            return
        leaving.undo(actor=beaune.referent, departure=row)
        undone.append(True)
        world.roles[one] |= roles
        world.own[one] |= had_box
        for box in left:
            if world.open[box]:
                world.members[box].add(one)

    def role(one: str) -> None:
        name = chance.choice(("agent", "elu"))
        if name in world.roles[one]:
            rows = Membership.objects.filter(person_id=one, collectivite_id=beaune.id, until=None, role=name)
            identity.end_access(actor=SYSTEM, membership=rows.get())
            world.roles[one].discard(name)
        elif world.roles[one]:  # who has none comes back by the undoing
            identity.add_membership(
                actor=SYSTEM, person=person(one), collectivite=beaune.collectivite, role=name
            )
            world.roles[one].add(name)

    def change(box: str) -> None:
        mailbox = Mailbox.objects.get(pk=box)
        if chance.random() < 0.4:
            act = mailboxes.close_mailbox if world.open[box] else mailboxes.reopen_mailbox
            act(actor=beaune.referent, mailbox=mailbox)
            world.open[box] = not world.open[box]
            return
        one = chance.choice(list(actors))
        if one in world.members[box]:
            actions.remove_member(actor=beaune.referent, mailbox=mailbox, person_id=one)
            world.members[box].discard(one)
        elif world.open[box] and world.roles[one]:
            actions.add_member(actor=beaune.referent, mailbox=mailbox, person=person(one))
            world.members[box].add(one)

    done: list[int] = []

    def work() -> None:
        """Worker is through with what happened."""
        rows = OutboxEvent.objects.filter(kind="identity:access_ended").exclude(pk__in=done).order_by("id")
        for row in rows:
            done.append(row.id)
            consumers.end_members(
                Event(row.id, row.kind, row.collectivite_id, json.loads(row.payload), row.created_at)
            )
        world.worked()

    for step in range(20):
        draw = chance.random()
        if draw < 0.25:
            depart(chance.choice(list(actors)))
        elif draw < 0.5 and world.departures:
            undo(chance.randrange(len(world.departures)))
        elif draw < 0.65:
            role(chance.choice(list(actors)))
        elif draw < 0.9:
            change(chance.choice(list(boxes)))
        else:
            work()
        found = seen(world, beaune)
        assert (found.roles, found.own, found.members, found.open) == (
            world.roles,
            world.own,
            world.members,
            world.open,
        ), (seed, step)
        for one in actors:
            assert bool(people_of.current_memberships(one)) == bool(world.roles[one])
    work()
    assert seen(world, beaune).members == world.members


def person(one: str) -> Person:
    return Person.objects.get(pk=one)
