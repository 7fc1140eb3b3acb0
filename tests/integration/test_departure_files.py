"""Files of somebody who left, on the record of the departure: handed to a colleague, and given back."""

from __future__ import annotations

import json
from contextlib import suppress
from dataclasses import replace
from typing import Any

import pytest
from beffroi.core.audit.models import AuditEntry
from beffroi.core.events.outbox import publish
from beffroi.core.events.running import run_pending
from beffroi.core.identity.actor import Actor
from beffroi.drive import audited, handover
from beffroi.drive.store import handed, handovers, look, schema, shares, tree
from beffroi.drive.store.model import EMPTY, Node, StoreFull
from beffroi.drive.upkeep import Upkeep
from beffroi.lib import clock
from beffroi.lib.errors import Conflict, Invalid, NotAllowed, NotFound
from beffroi.mail.people import leaving
from beffroi.mail.people.models import Departure
from beffroi.portal import drive_access
from django.conf import settings
from django.db import transaction
from django.test import Client
from django.urls import reverse

from tests.conftest import Commune
from tests.drive_pages import Drive, client, drive
from tests.drive_share_pages import make, text
from tests.fixtures_portal import confirmed, no_door, portal_client
from tests.integration.test_drive_groups import Hall, come_back, council, hall
from tests.integration.test_drive_returns import leave, open_shares
from tests.integration.test_portal_people import seen

__all__ = ["client", "council", "drive", "hall", "no_door"]
pytestmark = pytest.mark.django_db


@pytest.fixture
def theirs(beaune: Commune) -> Drive:
    """The Coffre of the colleague who leaves: two files, one of them deep, one personal."""
    made = Drive(beaune.colleague_membership)
    made.file("budget.ods")
    plans = made.folder("Plans")
    made.file("école.pdf", plans)
    made.file("vacances.jpg", made.folder("Perso", plans))
    return made


@pytest.fixture
def referent(beaune: Commune) -> Client:
    return confirmed(beaune.referent_membership)


def paths(drive: Drive, top: Node) -> set[str]:
    with drive.database.reading() as reading:
        return {look.path_of(reading, one.id) for one in look.below(reading, top.id) if not one.is_folder}


def home(drive: Drive, person_id: str) -> Node:
    with drive.database.reading() as reading:
        found = look.root(reading, schema.HOME + person_id)
    assert found is not None
    return found


def hand_over(client: Client, departure: Departure, heir: str) -> str:
    path = reverse("departure_files", args=[departure.id])
    return client.post(path, {"heir": heir}, follow=True).content.decode()


def verbs() -> list[tuple[str, dict[str, Any]]]:
    rows = AuditEntry.objects.filter(verb__startswith="drive:handover:").order_by("id")
    return [(one.verb.rpartition(":")[2], json.loads(one.details)) for one in rows]


def test_many_files_are_said_with_their_thousands(hall: Hall, theirs: Drive, referent: Client) -> None:
    def fill(writing: Any) -> None:
        for number in range(1_100):
            tree.put(writing, theirs.act, theirs.own.id, f"{number}.txt", EMPTY)

    theirs.database.write(fill)
    page = seen(referent, "departure", leave(hall).id).replace("\u00a0", " ")
    assert "1 102 fichiers à remettre" in page


def test_a_referent_hands_the_files_over_and_the_colleague_finds_them(
    beaune: Commune, hall: Hall, theirs: Drive, referent: Client
) -> None:
    departure = leave(hall)
    page = seen(referent, "departure", departure.id)
    assert "2 fichiers à remettre" in page and "1 fichier reste fermé" in page
    choice = seen(referent, "departure_files", departure.id)
    assert beaune.agent.id in choice and beaune.colleague.id not in choice
    assert "vacances" not in page + choice and "école" not in page + choice
    page = hand_over(referent, departure, beaune.agent.id)
    assert "La remise est en cours" in page and "Remise à agent en cours" in page.replace("\u00a0", " ")
    assert "hx-get" in seen(referent, "departure", departure.id)
    assert hand_over(referent, departure, beaune.agent.id) and len(verbs()) == 1, "pressed twice"
    run_pending("main")
    page = seen(referent, "departure", departure.id)
    assert "Remis à agent" in page and "1 fichier reste fermé" in page and "à remettre" not in page
    assert "Remettre à un collègue" not in page
    part = referent.get(
        reverse("departure", args=[departure.id]) + "?part=files", headers={"HX-Request": "true"}
    )
    assert "Remis à agent" in part.content.decode() and "<html" not in part.content.decode()
    name = f"Fichiers de {beaune.colleague_membership.person.name}"
    assert paths(theirs, home(theirs, beaune.agent.id)) == {f"{name}/budget.ods", f"{name}/Plans/école.pdf"}
    assert paths(theirs, theirs.own) == {"Plans/Perso/vacances.jpg"}
    assert name in text(portal_client(beaune.agent_membership), "/coffre/")
    people = {"person_id": beaune.colleague.id, "heir": beaune.agent.id}
    assert verbs() == [
        ("begun", {**people, "files": 2, "closed": 1}),
        ("done", {**people, "files": 2, "why": ""}),
    ]


def test_a_handover_is_on_record_before_it_begins_and_where_it_does_not_begin(
    beaune: Commune, hall: Hall, theirs: Drive, referent: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    departure = leave(hall)

    def dies(*_: object, **__: object) -> None:
        raise RuntimeError

    def full(*_: object, **__: object) -> None:
        raise StoreFull

    for way in (dies, full):
        with monkeypatch.context() as at_once:
            at_once.setattr(handovers, "begin", way)
            path = reverse("departure_files", args=[departure.id])
            with suppress(RuntimeError):
                referent.post(path, {"heir": beaune.agent.id})
    with theirs.database.reading() as reading:
        assert handovers.of_person(reading, beaune.colleague.id) == []
    people = {"person_id": beaune.colleague.id, "heir": beaune.agent.id, "files": 2, "closed": 1}
    assert verbs() == [("begun", people), ("begun", people)]
    failed = AuditEntry.objects.get(verb=audited.FAILED)
    last = AuditEntry.objects.filter(verb="drive:handover:begun").order_by("id").last()
    assert last is not None and failed.object_id == last.object_id
    assert json.loads(failed.details) == {"verb": "drive:handover:begun", "code": "drive.store_full"}
    hand_over(referent, departure, beaune.agent.id)
    with theirs.database.reading() as reading:
        (made,) = handovers.of_person(reading, beaune.colleague.id)
    newest = AuditEntry.objects.filter(verb="drive:handover:begun").order_by("id").last()
    assert newest is not None and newest.object_id == made.id


def test_a_handover_that_is_refused_is_not_on_record(
    beaune: Commune, hall: Hall, theirs: Drive, referent: Client
) -> None:
    departure = leave(hall)
    heavy = replace(EMPTY, size_bytes=10)
    theirs.database.write(lambda w: tree.put(w, theirs.act, theirs.own.id, "lourd.pdf", heavy))
    theirs.database.write(
        lambda w: tree.set_limit(w, tree.make_root(w, schema.HOME + beaune.agent.id, now_s=1).id, 1)
    )
    hand_over(referent, departure, beaune.agent.id)
    assert verbs() == []
    assert not AuditEntry.objects.filter(verb=audited.FAILED).exists()


def test_the_room_of_the_setting_holds_for_the_heir_while_files_are_moved(
    beaune: Commune, hall: Hall, theirs: Drive, referent: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It was less when the worker began than when the référent did."""
    heavy = replace(EMPTY, size_bytes=2 * 10**9)
    theirs.database.write(lambda w: tree.put(w, theirs.act, theirs.own.id, "lourd.pdf", heavy))
    hand_over(referent, leave(hall), beaune.agent.id)
    monkeypatch.setattr(settings, "BEFFROI", replace(settings.BEFFROI, drive_person_gb=1))
    run_pending("main")
    assert verbs()[-1][0] == "stopped" and verbs()[-1][1]["why"] == "room"


def test_the_heir_of_the_files_is_chosen_with_the_departure(
    beaune: Commune, theirs: Drive, referent: Client
) -> None:
    page = seen(referent, "departure_prepare", beaune.colleague.id)
    assert "2 fichiers à remettre" in page and 'name="files"' in page
    path = reverse("departure_prepare", args=[beaune.colleague.id])
    assert referent.post(path, {"files": beaune.colleague.id}).status_code == 400
    assert not Departure.objects.exists()
    referent.post(path, {"files": beaune.agent.id})
    run_pending("main")
    departure = Departure.objects.get()
    assert "Remis à agent" in seen(referent, "departure", departure.id)
    assert len(paths(theirs, home(theirs, beaune.agent.id))) == 2


def test_nothing_chosen_is_done_later_also_after_the_undoing_has_no_time_left(
    beaune: Commune, hall: Hall, theirs: Drive
) -> None:
    departure = leave(hall)
    with clock.shifted(40 * 86400):
        late = confirmed(beaune.referent_membership)
        hand_over(late, departure, beaune.agent.id)
        run_pending("main")
        page = seen(late, "departure", departure.id)
        assert "Remis à agent" in page and "Annuler ce départ" not in page


def test_a_step_up_comes_before_the_form(beaune: Commune, hall: Hall, theirs: Drive) -> None:
    departure = leave(hall)
    plain = portal_client(beaune.referent_membership)
    path = reverse("departure_files", args=[departure.id])
    for answer in (plain.get(path), plain.post(path, {"heir": beaune.agent.id})):
        assert answer["Location"].startswith(reverse("account_reauthenticate"))
    assert verbs() == []


def test_agents_neighbours_strangers_and_who_is_still_there_are_refused(
    beaune: Commune, nuits: Commune, hall: Hall, theirs: Drive, referent: Client
) -> None:
    def asked(actor: Actor, person_id: str, heir: str) -> None:
        handover.hand_over(
            actor=actor,
            database=theirs.database,
            collectivite_id=beaune.id,
            person_id=person_id,
            heir=heir,
            label="x",
        )

    with pytest.raises(Conflict):
        asked(beaune.referent, beaune.colleague.id, beaune.agent.id)
    departure = leave(hall)
    with pytest.raises(NotAllowed):
        asked(beaune.agent, beaune.colleague.id, beaune.agent.id)
    with pytest.raises(NotFound):
        asked(nuits.referent, beaune.colleague.id, nuits.agent.id)
    for heir in (nuits.agent.id, beaune.colleague.id, "", "per_" + "0" * 26):
        with pytest.raises(Invalid):
            asked(beaune.referent, beaune.colleague.id, heir)
    path = reverse("departure_files", args=[departure.id])
    assert referent.post(path, {"heir": nuits.agent.id}).status_code == 400
    for membership in (beaune.agent_membership, nuits.referent_membership):
        assert confirmed(membership).post(path, {"heir": beaune.agent.id}).status_code == 404
    assert verbs() == [] and len(paths(theirs, theirs.own)) == 3


def test_a_heir_without_room_gets_nothing_and_the_page_says_what_to_do(
    beaune: Commune, hall: Hall, theirs: Drive, drive: Drive, referent: Client
) -> None:
    departure = leave(hall)
    theirs.database.write(lambda w: w.run("UPDATE node SET size_bytes = 100 WHERE id = ?", (theirs.own.id,)))
    theirs.database.write(lambda w: tree.set_limit(w, drive.own.id, 50))
    page = hand_over(referent, departure, beaune.agent.id)
    assert "pas assez de place" in page and verbs() == []
    assert paths(theirs, drive.own) == set()


def test_who_comes_back_or_leaves_meanwhile_ends_it(
    beaune: Commune, hall: Hall, theirs: Drive, referent: Client, *, system: Actor
) -> None:
    departure = leave(hall)
    with clock.shifted(60):
        hand_over(confirmed(beaune.referent_membership), departure, beaune.agent.id)
        come_back(hall.commune, system)
        run_pending("main")
        assert [one for one, _ in verbs()] == ["begun", "stopped"]
        assert len(paths(theirs, theirs.own)) == 3
        page = seen(confirmed(beaune.referent_membership), "departure", departure.id)
        assert "Arrêté" in page and "Remettre à un collègue" not in page


def test_an_undone_departure_gives_files_and_then_their_shares_back(
    beaune: Commune, hall: Hall, theirs: Drive, referent: Client
) -> None:
    with theirs.database.reading() as reading:
        plans = look.child(reading, theirs.own.id, "Plans")
        budget = look.child(reading, theirs.own.id, "budget.ods")
    assert plans is not None and budget is not None
    for node in (plans, budget):
        make(hall.colleague, node.id, f"person:{beaune.agent.id}", "write")
    departure, before = leave(hall), paths(theirs, theirs.own)
    hand_over(referent, departure, beaune.agent.id)
    run_pending("main")
    assert "Ce qui a été remis lui revient" in seen(referent, "departure", departure.id)
    referent.post(reverse("departure", args=[departure.id]))
    run_pending("main")
    assert paths(theirs, theirs.own) == before and paths(theirs, home(theirs, beaune.agent.id)) == set()
    for node in (plans, budget):
        assert open_shares(theirs, node) == {("person", "write")}
    assert [one for one, _ in verbs()] == ["begun", "done", "returned"]
    page = seen(referent, "departure", departure.id)
    assert "Revenus de chez agent" in page and "Remettre à un collègue" not in page


def test_an_event_that_comes_twice_or_too_late_changes_nothing(
    beaune: Commune, hall: Hall, theirs: Drive, referent: Client
) -> None:
    departure = leave(hall)
    hand_over(referent, departure, beaune.agent.id)
    run_pending("main")
    for _ in range(2):
        with transaction.atomic():
            told = {"person_id": beaune.colleague.id, "by": beaune.referent.id}
            publish(handovers.DUE, told, collectivite_id=beaune.id)
    run_pending("main")
    assert [one for one, _ in verbs()] == ["begun", "done"]


def test_a_lost_event_is_said_again_by_the_upkeep_of_the_hour(
    committed: str, beaune: Commune, hall: Hall, theirs: Drive
) -> None:
    leave(hall)
    with theirs.database.reading() as reading:
        there = handed.left(reading, beaune.colleague.id)
    person_id, heir = beaune.colleague.id, beaune.agent.id
    theirs.database.write(
        lambda w: handovers.begin(w, theirs.act, there, person_id=person_id, heir=heir, label="Fichiers")
    )
    run_pending("main")
    assert paths(theirs, home(theirs, beaune.agent.id)) == set()
    config = replace(settings.BEFFROI, database_url=committed)
    Upkeep(config, drive_access._communes()).look_after(beaune.id)
    run_pending("main")
    assert len(paths(theirs, home(theirs, beaune.agent.id))) == 2
    assert [one for one, _ in verbs()] == ["done"]


def test_a_departure_in_a_commune_without_any_file_has_nothing_to_hand_over(
    beaune: Commune, referent: Client
) -> None:
    departure = leaving.depart(
        actor=beaune.referent,
        collectivite=beaune.collectivite,
        person=beaune.colleague_membership.person,
        successors={},
    )
    page = seen(referent, "departure", departure.id)
    assert "Rien à remettre" in page and "Remettre à un collègue" not in page
    path = reverse("departure_files", args=[departure.id])
    assert referent.get(path).status_code == 302
    assert referent.post(path, {"heir": beaune.agent.id}).status_code == 404


def test_links_of_who_left_are_seen_and_ended_by_who_has_the_files(
    beaune: Commune, hall: Hall, theirs: Drive, referent: Client
) -> None:
    with theirs.database.reading() as reading:
        plans = look.child(reading, theirs.own.id, "Plans")
    assert plans is not None
    wish = shares.Wish("link", expires_s=clock.epoch_s() + 86400)
    link, token = theirs.database.write(lambda w: shares.make(w, theirs.act, plans.id, wish))
    departure = leave(hall)
    hand_over(referent, departure, beaune.agent.id)
    run_pending("main")
    with theirs.database.reading() as reading:
        node = shares.behind(reading, token, now_s=clock.epoch_s()).node
    heir = portal_client(beaune.agent_membership)
    assert heir.get(f"/coffre/{node}/liens/").status_code == 200 and node != plans.id
    ending = reverse("drive_link_end", args=[link.id])
    assert ending in heir.get("/coffre/liens/").content.decode()
    assert ending not in referent.get("/coffre/liens/").content.decode()
    heir.post(reverse("drive_link_end", args=[link.id]))
    with theirs.database.reading() as reading, pytest.raises(shares.LinkClosed):
        shares.behind(reading, token, now_s=clock.epoch_s())
    assert heir.get(f"/coffre/{plans.id}/").status_code == 404
