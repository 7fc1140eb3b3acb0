"""Coffre: lists and pages say who changed a file last: never who only had it handed over, of others their commune."""

from __future__ import annotations

import pytest
from beffroi.core.events.running import run_pending
from beffroi.core.identity.actor import Actor
from beffroi.core.identity.models import Membership
from beffroi.drive.store import look, tree
from beffroi.drive.store.model import EMPTY, Act, Node
from beffroi.lib import clock
from django.test import Client

from tests.conftest import Commune, make_member
from tests.drive_pages import Drive, client, drive
from tests.drive_share_pages import make
from tests.fixtures_portal import no_door, portal_client
from tests.integration.test_departure_files import hand_over, home, referent, theirs
from tests.integration.test_drive_groups import Hall, council, hall
from tests.integration.test_drive_returns import leave, undo
from tests.markup import text_of

__all__ = ["client", "council", "drive", "hall", "no_door", "referent", "theirs"]
pytestmark = pytest.mark.django_db
HANDED = "une remise après un départ"


def text(client: Client, path: str) -> str:
    """Without the navigation, which names who is signed in."""
    return text_of(client.get(path)).partition("<main")[2]


def write(drive: Drive, node: Node, person_id: str) -> None:
    act = Act(person_id, "", clock.epoch_s())
    drive.database.write(lambda w: tree.put(w, act, node.parent, node.name, EMPTY))


def test_what_was_handed_over_says_so_and_names_no_referent(
    beaune: Commune, hall: Hall, theirs: Drive, referent: Client
) -> None:
    mine = Drive(beaune.agent_membership)
    other = mine.file("autre.ods")
    departure = leave(hall)
    hand_over(referent, departure, beaune.agent.id)
    run_pending("main")
    agent, name = portal_client(beaune.agent_membership), beaune.referent_membership.person.name
    with theirs.database.reading() as reading:
        below = list(look.below(reading, home(theirs, beaune.agent.id).id))
        (budget,) = (one for one in below if one.name == "budget.ods")
    for path in (f"/coffre/{budget.parent}/", f"/coffre/{budget.id}/", "/coffre/recents/"):
        page = text(agent, path)
        assert HANDED in page and f">{name}<" not in page and f"par {name}" not in page, path
    assert HANDED not in text(agent, f"/coffre/{other.id}/")
    write(theirs, budget, beaune.agent.id)
    assert HANDED not in text(agent, f"/coffre/{budget.id}/"), "until somebody changes it"
    undo(hall, departure)
    run_pending("main")
    back = portal_client(Membership.objects.get(person_id=beaune.colleague.id, until=None))
    page = text(back, f"/coffre/{budget.id}/")
    assert HANDED in page and f"par {name}" not in page


def test_what_somebody_of_another_commune_changed_names_their_commune(
    drive: Drive, client: Client, nuits: Commune
) -> None:
    folder = drive.folder("Piste")
    node = drive.file("plan.odt", folder)
    make(client, folder.id, f"collectivite:{nuits.id}", "write")
    write(drive, node, nuits.agent.id)
    person = nuits.agent_membership.person.name
    for path in (f"/coffre/{folder.id}/", f"/coffre/{node.id}/"):
        page = text(client, path)
        assert nuits.collectivite.name in page and f"par {person}" not in page and f">{person}<" not in page
    assert f"par {nuits.collectivite.name}" in text(client, f"/coffre/{node.id}/")


def test_who_left_for_another_commune_was_not_there_when_they_wrote(
    drive: Drive, client: Client, beaune: Commune, nuits: Commune, system: Actor
) -> None:
    node = drive.file("plan.odt")
    gone = make_member(system, beaune.collectivite, "partie@beaune.test", "agent")
    write(drive, node, gone.person_id)
    Membership.objects.filter(pk=gone.pk).update(until=clock.now())
    Membership.objects.create(person_id=gone.person_id, collectivite_id=nuits.id, role="agent")
    with clock.shifted(60):
        page = text(client, f"/coffre/{node.id}/")
    assert nuits.collectivite.name not in page and ", par" not in page
