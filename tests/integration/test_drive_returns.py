"""A departure that is undone gives groups and shares back, those that it took and no others; a return does not."""

from __future__ import annotations

from datetime import timedelta
from functools import partial

import pytest
from beffroi.cli import drive as command
from beffroi.core.audit.models import AuditEntry
from beffroi.core.events.running import run_pending
from beffroi.core.identity import erasure
from beffroi.core.identity.actions import add_membership, end_access
from beffroi.core.identity.actor import Actor
from beffroi.core.identity.models import Membership, Person
from beffroi.drive import upkeep
from beffroi.drive.backup.work import Backups
from beffroi.drive.calendars import homes
from beffroi.drive.store import commune, departed, favourites, groups, keys, shares, tree
from beffroi.drive.store.groups import Group
from beffroi.drive.store.model import Node
from beffroi.drive.store.shares import Share
from beffroi.drive.store.writing import Writing
from beffroi.lib import clock
from beffroi.lib.errors import Conflict
from beffroi.mail.people import leaving
from beffroi.mail.people.models import Departure
from django.conf import settings
from django.test import Client

from tests.conftest import Commune
from tests.drive_pages import Drive, client, drive
from tests.drive_share_pages import make, text
from tests.fixtures_portal import no_door, portal_client
from tests.integration.test_drive_groups import Hall, add, come_back, council, every, hall, inside

__all__ = ["client", "council", "drive", "hall", "no_door"]
pytestmark = pytest.mark.django_db


@pytest.fixture
def theirs(beaune: Commune) -> Drive:
    """The Coffre of the colleague who leaves."""
    return Drive(beaune.colleague_membership)


@pytest.fixture
def plans(theirs: Drive, hall: Hall, council: Group) -> Node:
    """A folder of theirs that they share with a colleague and with a group; they are in the group."""
    made = theirs.folder("Plans")
    make(hall.colleague, made.id, f"person:{hall.commune.agent.id}", "write")
    make(hall.colleague, made.id, f"group:{council.id}")
    add(hall.referent, council, hall.commune.colleague)
    return made


def leave(hall: Hall, membership: Membership | None = None) -> Departure:
    """The colleague, or whose membership this is."""
    made = leaving.depart(
        actor=hall.commune.referent,
        collectivite=hall.commune.collectivite,
        person=(membership or hall.commune.colleague_membership).person,
        successors={},
    )
    run_pending("main")
    return made


def undo(hall: Hall, departure: Departure) -> Client:
    leaving.undo(actor=hall.commune.referent, departure=departure)
    run_pending("main")
    return portal_client(Membership.objects.get(person_id=hall.commune.colleague.id, until=None))


def open_shares(drive: Drive, node: Node) -> set[tuple[str, str]]:
    with drive.database.reading() as reading:
        found: list[Share] = shares.of_node(reading, node.id, now_s=clock.epoch_s())
    return {(one.kind, one.rights) for one in found}


def told(collectivite_id: str, after: int) -> list[str]:
    rows = AuditEntry.objects.filter(verb__startswith="drive:", collectivite_id=collectivite_id, id__gt=after)
    return sorted(rows.values_list("verb", flat=True))


def last_line() -> int:
    return AuditEntry.objects.order_by("id").values_list("id", flat=True).last() or 0


def test_an_undone_departure_gives_groups_and_shares_back_and_says_so(
    drive: Drive, theirs: Drive, hall: Hall, council: Group, plans: Node, *, beaune: Commune
) -> None:
    node = drive.folder("Séance")
    make(hall.client, node.id, f"group:{council.id}")
    departure = leave(hall)
    assert inside(drive, council) == set() and open_shares(theirs, plans) == set()
    assert hall.client.get(f"/coffre/{plans.id}/").status_code == 404
    before = last_line()
    with clock.shifted(86400):
        back = undo(hall, departure)
        assert inside(drive, council) == {beaune.colleague.id}
        assert open_shares(theirs, plans) == {("person", "write"), ("group", "read")}
        assert portal_client(beaune.agent_membership).get(f"/coffre/{plans.id}/").status_code == 200
        assert back.get(f"/coffre/{node.id}/").status_code == 200
        assert "Conseil municipal" in text(back, f"/coffre/{plans.id}/partage/")
    assert told(beaune.id, before) == ["drive:group:added", "drive:share:reopened", "drive:share:reopened"]
    with theirs.database.reading() as reading:
        assert reading.all("SELECT thing FROM departed") == []


def test_an_undone_departure_that_nobody_noticed_yet_changes_nothing(
    drive: Drive, theirs: Drive, hall: Hall, council: Group, plans: Node
) -> None:
    person = hall.commune.colleague_membership.person
    with clock.shifted(60):
        departure = leaving.depart(
            actor=hall.commune.referent,
            collectivite=hall.commune.collectivite,
            person=person,
            successors={},
        )
        leaving.undo(actor=hall.commune.referent, departure=departure)
        run_pending("main")
        run_pending("main")
        assert inside(drive, council) == {person.id}
        assert open_shares(theirs, plans) == {("person", "write"), ("group", "read")}


def test_who_is_hired_anew_before_anybody_noticed_has_nothing_of_before(
    drive: Drive, theirs: Drive, hall: Hall, plans: Node, *, system: Actor
) -> None:
    node, other = drive.folder("Paie"), theirs.folder("Congés")
    make(hall.client, node.id, f"person:{hall.commune.colleague.id}", "write")
    with clock.shifted(60):
        leaving.depart(
            actor=hall.commune.referent,
            collectivite=hall.commune.collectivite,
            person=hall.commune.colleague_membership.person,
            successors={},
        )
    with clock.shifted(120):
        again = come_back(hall.commune, system)
        make(portal_client(again), other.id, f"person:{hall.commune.agent.id}")
        run_pending("main")
        assert open_shares(theirs, plans) == open_shares(drive, node) == set()
        assert open_shares(theirs, other) == {("person", "read")}


def test_who_gives_up_one_of_two_roles_keeps_what_is_shared(
    theirs: Drive, hall: Hall, plans: Node, *, system: Actor
) -> None:
    membership = hall.commune.colleague_membership
    add_membership(actor=system, person=membership.person, collectivite=hall.commune.collectivite, role="dpo")
    end_access(actor=system, membership=membership)
    run_pending("main")
    assert open_shares(theirs, plans) == {("person", "write"), ("group", "read")}


def test_who_comes_back_without_an_undoing_has_nothing_and_the_undoing_is_over_with_its_term(
    drive: Drive, theirs: Drive, hall: Hall, council: Group, plans: Node, *, system: Actor
) -> None:
    departure = leave(hall)
    with clock.shifted(60):
        come_back(hall.commune, system)
        run_pending("main")
        assert inside(drive, council) == set() and open_shares(theirs, plans) == set()
    Departure.objects.filter(pk=departure.pk).update(created_at=clock.now() - timedelta(days=31))
    departure.refresh_from_db()
    with pytest.raises(Conflict):
        leaving.undo(actor=hall.commune.referent, departure=departure)
    run_pending("main")
    assert inside(drive, council) == set() and open_shares(theirs, plans) == set()


def test_what_was_shared_with_who_left_is_not_shared_with_who_comes_back(
    drive: Drive, hall: Hall, council: Group, *, system: Actor
) -> None:
    node, other = drive.folder("Paie"), drive.folder("Conseil")
    make(hall.client, node.id, f"person:{hall.commune.colleague.id}", "write")
    make(hall.client, other.id, f"group:{council.id}")
    assert hall.colleague.get(f"/coffre/{node.id}/").status_code == 200
    departure = leave(hall)
    assert open_shares(drive, node) == set() and open_shares(drive, other) == {("group", "read")}
    with clock.shifted(60):
        back = undo(hall, departure)
        assert open_shares(drive, node) == {("person", "write")}, "undone: nobody left"
        assert back.get(f"/coffre/{node.id}/").status_code == 200
    with clock.shifted(120):
        leave(hall)
    with clock.shifted(180):
        come_back(hall.commune, system)
        run_pending("main")
        again = portal_client(Membership.objects.get(person_id=hall.commune.colleague.id, until=None))
        assert again.get("/coffre/").status_code == 200
        assert again.get(f"/coffre/{node.id}/").status_code == 404


def test_an_undone_departure_opens_no_file_of_who_left_since(
    drive: Drive, theirs: Drive, hall: Hall, plans: Node
) -> None:
    first, second = leave(hall, hall.commune.agent_membership), leave(hall)
    leaving.undo(actor=hall.commune.referent, departure=first)
    run_pending("main")
    assert open_shares(theirs, plans) == set()
    leaving.undo(actor=hall.commune.referent, departure=second)
    run_pending("main")
    assert ("group", "read") in open_shares(theirs, plans)


def test_an_undone_departure_shares_nothing_with_who_left_since(
    theirs: Drive, hall: Hall, plans: Node, *, system: Actor
) -> None:
    """Not even when they are hired anew by then."""
    agent = hall.commune.agent_membership
    first, _ = leave(hall), leave(hall, agent)
    with clock.shifted(60):
        add_membership(
            actor=system, person=agent.person, collectivite=hall.commune.collectivite, role=agent.role
        )
        undo(hall, first)
        assert open_shares(theirs, plans) == {("group", "read")}


def test_undoing_gives_back_what_this_departure_took_and_not_what_an_earlier_one_did(
    drive: Drive, theirs: Drive, hall: Hall, council: Group, plans: Node, *, system: Actor
) -> None:
    leave(hall)
    with clock.shifted(60):
        come_back(hall.commune, system)
        run_pending("main")
        hall.referent.post("/coffre/groupes/", {"name": "Fêtes"})
        party = next(one for one in every(drive) if one.name == "Fêtes")
        add(hall.referent, party, hall.commune.colleague)
    with clock.shifted(120):
        departure = leave(hall)
        undo(hall, departure)
        assert inside(drive, party) == {hall.commune.colleague.id}
        assert inside(drive, council) == set() and open_shares(theirs, plans) == set()


def test_what_cannot_be_given_back_any_more_is_left_out(
    drive: Drive, theirs: Drive, hall: Hall, council: Group, plans: Node, *, beaune: Commune
) -> None:
    gone, ended = theirs.folder("Jeté"), theirs.folder("À durée")
    make(hall.colleague, gone.id, "role:elu")
    make(hall.colleague, ended.id, "role:elu", days="7")
    departure = leave(hall)
    hall.referent.post(f"/coffre/groupes/{council.id}/supprimer/")
    theirs.database.write(lambda writing: tree.delete(writing, theirs.act, gone.id))
    with clock.shifted(8 * 86400):
        undo(hall, departure)
        assert every(drive) == []
        assert open_shares(theirs, plans) == {("person", "write")}
        assert open_shares(theirs, gone) == open_shares(theirs, ended) == set()


def test_another_commune_s_share_is_open_again_as_it_was_accepted(
    theirs: Drive, hall: Hall, nuits: Commune
) -> None:
    node = theirs.folder("Piste cyclable")
    make(hall.colleague, node.id, f"collectivite:{nuits.id}")
    with theirs.database.reading() as reading:
        (share,) = shares.of_node(reading, node.id, now_s=clock.epoch_s())
    there = portal_client(nuits.referent_membership)
    there.post("/coffre/partages-avec-moi/", {"partage": share.id, "what": "accept"})
    departure, before = leave(hall), last_line()
    assert there.get(f"/coffre/chez/{share.id}/").status_code == 404
    undo(hall, departure)
    assert there.get(f"/coffre/chez/{share.id}/").status_code == 200
    assert "drive:share:reopened" in told(nuits.id, before)


def test_what_a_departure_took_is_kept_as_long_as_it_may_be_undone_and_no_longer(
    theirs: Drive, hall: Hall, council: Group, plans: Node
) -> None:
    leave(hall)
    now_s, day_s = clock.epoch_s(), 86400
    for days, left in ((leaving.UNDO_DAYS, 3), (upkeep.DEPARTED_DAYS + 1, 0)):
        before_s = now_s + (days - upkeep.DEPARTED_DAYS) * day_s
        theirs.database.write(partial(departed.forget, before_s=before_s))
        with theirs.database.reading() as reading:
            assert len(reading.all("SELECT thing FROM departed")) == left


def test_a_full_group_takes_nobody_back(
    drive: Drive, hall: Hall, council: Group, plans: Node, monkeypatch: pytest.MonkeyPatch
) -> None:
    departure = leave(hall)
    add(hall.referent, council, hall.commune.agent)
    monkeypatch.setattr(groups, "MOST_MEMBERS", 1)
    undo(hall, departure)
    assert inside(drive, council) == {hall.commune.agent.id}


TAKEN = {"share": ["drive:share:ended"] * 2, "group": ["drive:group:removed"]}


@pytest.mark.parametrize("kind", TAKEN)
def test_what_a_departure_takes_is_on_record_before(
    kind: str, theirs: Drive, plans: Node, hall: Hall, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The worker dies before it is taken; the event comes again."""
    before, take, (council,) = last_line(), departed.take, every(theirs)

    def dies(
        writing: Writing, person_id: str, taken: departed.Kind, things: list[str], *, left_s: int
    ) -> None:
        if taken == kind and things:
            raise RuntimeError
        take(writing, person_id, taken, things, left_s=left_s)

    def of_kind() -> list[str]:
        return [one for one in told(hall.commune.id, before) if one in TAKEN[kind]]

    with monkeypatch.context() as at_once:
        at_once.setattr(departed, "take", dies)
        with pytest.raises(RuntimeError):
            leave(hall)
    assert of_kind() == TAKEN[kind]
    if kind == "share":
        assert len(open_shares(theirs, plans)) == 2
    else:
        assert hall.commune.colleague.id in inside(theirs, council)
    run_pending("main")
    assert open_shares(theirs, plans) == set() and inside(theirs, council) == set()
    assert of_kind() == TAKEN[kind] * 2


def test_a_restore_gives_who_left_or_is_erased_nothing_back(
    hall: Hall, council: Group, plans: Node, theirs: Drive
) -> None:
    owner, person_id = hall.commune.id, hall.commune.colleague.id
    home = homes.folder(settings.BEFFROI, owner) / homes.ROOT / person_id
    (home / "agenda").mkdir(parents=True)
    star = (owner, plans.id)
    theirs.database.write(lambda w: favourites.set_star(w, theirs.who, star, starred=True))
    keys.make(settings.BEFFROI, owner)
    with commune.opened(settings.BEFFROI) as communes:
        Backups(settings.BEFFROI, communes).back_up(owner)
        leave(hall)
        erasure.erase(Person.objects.get(pk=person_id))
        run_pending("main")
        assert open_shares(theirs, plans) == set() and person_id not in inside(theirs, council)
        options = command._parser().parse_args(["restore", owner, "--calendars", "--yes"])
        assert command.run(settings.BEFFROI, communes, options) == 0
    with theirs.database.reading() as reading:
        assert not favourites.has_some(reading, person_id)
    assert open_shares(theirs, plans) == set() and person_id not in inside(theirs, council)
    assert not home.exists()
