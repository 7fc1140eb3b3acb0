"""Groups in the portal: the référent makes, fills and deletes them, anyone shares with them, each change on record."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

import pytest
from beffroi.core.audit.models import AuditEntry, AuditPersonal
from beffroi.core.events.running import run_pending
from beffroi.core.identity import actions, erasure
from beffroi.core.identity.actor import Actor
from beffroi.core.identity.models import Membership, Person
from beffroi.drive.store import groups, shares
from beffroi.drive.store.groups import Group
from beffroi.drive.web.sync import push
from beffroi.lib import clock
from django.test import Client

from tests.conftest import Commune, make_member
from tests.drive_pages import Drive, client, drive
from tests.drive_share_pages import make, only_share, text
from tests.fixtures_portal import no_door, portal_client

__all__ = ["client", "drive", "no_door"]
pytestmark = pytest.mark.django_db
PAGE = "/coffre/groupes/"


@dataclass(frozen=True)
class Hall:
    """A town hall at work: the browsers of its agent, whose drive it is, of a colleague, and of the référent."""

    commune: Commune
    client: Client
    colleague: Client
    referent: Client

    @property
    def id(self) -> str:
        return self.commune.id


@pytest.fixture
def hall(beaune: Commune, client: Client) -> Hall:
    return Hall(
        beaune, client, portal_client(beaune.colleague_membership), portal_client(beaune.referent_membership)
    )


@pytest.fixture
def council(drive: Drive, hall: Hall) -> Group:
    answer = hall.referent.post(PAGE, {"name": "Conseil municipal"})
    (made,) = every(drive)
    assert answer["Location"] == f"{PAGE}{made.id}/"
    return made


def every(drive: Drive) -> list[Group]:
    with drive.database.reading() as reading:
        return groups.every(reading)


def inside(drive: Drive, group: Group) -> set[str]:
    with drive.database.reading() as reading:
        return {one.person_id for one in groups.members(reading, group.id)}


def add(client: Client, group: Group, *persons: Actor) -> Any:
    return client.post(f"{PAGE}{group.id}/", {"what": "add", "person": [one.id for one in persons]})


def remove(client: Client, group: Group, person: Actor) -> Any:
    return client.post(f"{PAGE}{group.id}/", {"what": "remove", "person": person.id})


def come_back(commune: Commune, system: Actor) -> Membership:
    """As somebody new: a departure that is undone is another thing."""
    person = commune.colleague_membership.person
    Person.objects.filter(pk=person.id).update(is_active=True)
    return actions.add_membership(
        actor=system, person=person, collectivite=commune.collectivite, role="agent"
    )


def recorded(collectivite_id: str) -> list[tuple[str, dict[str, Any]]]:
    rows = AuditEntry.objects.filter(verb__startswith="drive:group:", collectivite_id=collectivite_id)
    return [(one.verb.removeprefix("drive:group:"), json.loads(one.details)) for one in rows.order_by("id")]


def test_a_page_without_groups_says_what_they_are_for(drive: Drive, hall: Hall) -> None:
    page = text(hall.referent, PAGE)
    assert "Créez le premier ci-dessous" in page and 'maxlength="80"' in page
    page = text(hall.client, PAGE)
    assert "Votre personne référente peut en créer" in page and "Nouveau groupe" not in page


def test_who_is_added_finds_what_is_shared_at_once_and_who_is_removed_does_not(
    drive: Drive, hall: Hall, council: Group
) -> None:
    file = drive.file("budget.pdf", drive.folder("Séance"))
    folder = drive.database.write(lambda w: w.one("SELECT parent FROM node WHERE id = ?", (file.id,)))
    assert folder is not None
    share_page = text(hall.client, f"/coffre/{folder[0]}/partage/")
    assert f"group:{council.id}" in share_page and "encore personne" in share_page
    assert make(hall.client, folder[0], f"group:{council.id}").status_code == 302
    assert f'href="{PAGE}{council.id}/"' in text(hall.client, f"/coffre/{folder[0]}/partage/")
    assert "Conseil municipal" in text(hall.client, "/coffre/partages/")
    assert hall.colleague.get(f"/coffre/{file.id}/").status_code == 404
    hall.colleague.get("/coffre/partages-avec-moi/")  # looked, and nothing was there
    with clock.shifted(60):
        assert add(hall.referent, council, hall.commune.colleague).status_code == 302
    assert "nouveau partage avec vous" in text(hall.colleague, "/")
    page = text(hall.colleague, "/coffre/partages-avec-moi/")
    assert "Séance" in page and "avec le groupe «" in page and "Conseil municipal" in page
    assert hall.colleague.get(f"/coffre/{file.id}/").status_code == 200
    assert "Groupe, 1 personne" in text(hall.client, f"/coffre/{folder[0]}/partage/")
    assert remove(hall.referent, council, hall.commune.colleague).status_code == 302
    assert hall.colleague.get(f"/coffre/{file.id}/").status_code == 404
    assert "Séance" not in text(hall.colleague, "/coffre/partages-avec-moi/")
    who = {"person_id": hall.commune.colleague.id}
    assert recorded(hall.id) == [("made", {}), ("added", who), ("removed", who)]


def test_everybody_sees_who_is_in_a_group_and_the_referent_alone_changes_it(
    drive: Drive, hall: Hall, council: Group
) -> None:
    add(hall.referent, council, hall.commune.agent, hall.commune.colleague)
    page = text(hall.client, f"{PAGE}{council.id}/")
    assert hall.commune.colleague_membership.person.email in page and "Vous" in page
    assert "Ajouter au groupe" not in page and "Retirer" not in page and "Supprimer" not in page
    assert "Vous en êtes" in text(hall.client, PAGE)
    for form in (
        {"what": "add", "person": hall.commune.referent.id},
        {"what": "remove", "person": hall.commune.colleague.id},
        {"what": "rename", "name": "Pris"},
    ):
        assert hall.client.post(f"{PAGE}{council.id}/", form).status_code == 403, form
    assert hall.client.post(PAGE, {"name": "Le mien"}).status_code == 403
    assert hall.client.post(f"{PAGE}{council.id}/supprimer/").status_code == 404
    assert every(drive) == [council]
    assert inside(drive, council) == {hall.commune.agent.id, hall.commune.colleague.id}


def test_another_commune_s_referent_finds_no_group_here_and_nobody_of_there_comes_in(
    drive: Drive, hall: Hall, nuits: Commune, council: Group
) -> None:
    there = portal_client(nuits.referent_membership)
    for path in (f"{PAGE}{council.id}/", f"{PAGE}{council.id}/supprimer/"):
        assert there.get(path).status_code == 404
        for what in ("add", "remove", "rename", "delete"):
            form = {"what": what, "person": nuits.agent.id, "name": "Pris"}
            assert there.post(path, form).status_code == 404, (path, what)
    assert council.id not in text(there, PAGE)
    assert add(hall.referent, council, nuits.agent).status_code == 404
    assert add(hall.referent, council, hall.commune.colleague, nuits.agent).status_code == 404
    assert (every(drive), inside(drive, council)) == ([council], set())
    theirs = Drive(nuits.agent_membership).file("x")
    answer = make(portal_client(nuits.agent_membership), theirs.id, f"group:{council.id}")
    assert answer.status_code == 400 and "de la liste" in answer.content.decode()
    assert [what for what, _ in recorded(hall.id)] == ["made"] and recorded(nuits.id) == []


def test_a_group_deleted_says_before_what_ends_and_ends_it(drive: Drive, hall: Hall, council: Group) -> None:
    mine, ours = drive.folder("Notes privées"), drive.folder("Budget", drive.common)
    for node in (mine, ours):
        make(hall.client, node.id, f"group:{council.id}", "write")
    make(hall.client, mine.id, "role:elu")
    add(hall.referent, council, hall.commune.colleague)
    page = text(hall.referent, f"{PAGE}{council.id}/supprimer/")
    assert "2 partages s’arrêtent" in page and hall.commune.agent_membership.person.name in page
    assert "Budget" in page and "Notes privées" not in page and "Un dossier que vous ne voyez pas" in page
    answer = hall.referent.post(f"{PAGE}{council.id}/supprimer/", follow=True)
    assert "2 partages sont arrêtés" in answer.content.decode()
    assert hall.colleague.get(f"/coffre/{mine.id}/").status_code == 404
    assert hall.referent.get(f"{PAGE}{council.id}/").status_code == 404
    with drive.database.reading() as reading:
        left = shares.all_open(reading, now_s=clock.epoch_s())
    assert [one.kind for one in left] == ["role"]
    assert recorded(hall.id)[-1] == ("deleted", {"shares": 2})
    ended = AuditEntry.objects.filter(verb="drive:share:ended", actor_id=hall.commune.referent.id)
    assert {json.loads(one.details)["node_id"] for one in ended} == {mine.id, ours.id}
    assert "Aucun groupe" in text(hall.referent, PAGE)


def test_a_name_that_is_taken_or_none_is_told_beside_the_field(
    drive: Drive, hall: Hall, council: Group
) -> None:
    for typed, said in (
        ("conseil  MUNICIPAL", "porte déjà ce nom"),
        ("", "Donnez un nom"),
        ("x" * 90, "Donnez un nom"),
    ):
        answer = hall.referent.post(PAGE, {"name": typed})
        assert answer.status_code == 400 and said in answer.content.decode(), typed
    hall.referent.post(PAGE, {"name": "Bureau"})
    (bureau,) = [one for one in every(drive) if one.name == "Bureau"]
    path = f"{PAGE}{bureau.id}/"
    answer = hall.referent.post(path, {"what": "rename", "name": "Conseil municipal"})
    assert answer.status_code == 400 and "porte déjà ce nom" in answer.content.decode()
    assert hall.referent.post(path, {"what": "rename", "name": "Bureau du maire"}).status_code == 302
    assert "Bureau du maire" in text(hall.referent, path)
    assert hall.referent.post(path, {"what": "sell"}).status_code == 400
    named = AuditPersonal.objects.filter(entry__verb="drive:group:renamed").values_list("content", flat=True)
    assert [json.loads(one) for one in named] == [{"name": "Bureau du maire"}]
    assert "Bureau" not in " ".join(AuditEntry.objects.values_list("details", flat=True))


def test_people_to_add_are_found_by_name_and_nobody_twice(
    drive: Drive, hall: Hall, council: Group, system: Actor
) -> None:
    path = f"{PAGE}{council.id}/"
    new = make_member(system, hall.commune.collectivite, "zelie@beaune.test", "elu")
    assert new.person_id in text(hall.referent, path)
    page = text(hall.referent, f"{path}?q=zelie")
    assert new.person_id in page and hall.commune.colleague.id not in page
    assert "ne porte ce nom" in text(hall.referent, f"{path}?q=personne-ici")
    answer = hall.referent.post(path, {"what": "add"}, follow=True)
    assert "cochez au moins un nom" in answer.content.decode()
    add(hall.referent, council, hall.commune.colleague)
    add(hall.referent, council, hall.commune.colleague)
    assert [what for what, _ in recorded(hall.id)] == ["made", "added"]
    assert remove(hall.referent, council, hall.commune.agent).status_code == 404


@pytest.mark.parametrize("how", ["left", "erased"])
def test_who_left_is_in_no_group_and_finds_nothing_when_they_come_back(
    drive: Drive, hall: Hall, council: Group, system: Actor, how: str
) -> None:
    node = drive.folder("Séance")
    make(hall.client, node.id, f"group:{council.id}")
    add(hall.referent, council, hall.commune.colleague, hall.commune.referent)
    assert hall.colleague.get(f"/coffre/{node.id}/").status_code == 200
    if how == "erased":
        assert erasure.carry_out(hall.commune.colleague.id)
    else:
        actions.end_access(actor=system, membership=hall.commune.colleague_membership)
    assert hall.colleague.get(f"/coffre/{node.id}/").status_code == 302, "the session opens nothing any more"
    run_pending("main")
    assert inside(drive, council) == {hall.commune.referent.id}
    assert recorded(hall.id)[-1] == ("removed", {"person_id": hall.commune.colleague.id})
    assert hall.commune.colleague_membership.person.email not in text(hall.referent, f"{PAGE}{council.id}/")
    if how == "left":
        with clock.shifted(60):
            back = come_back(hall.commune, system)
            run_pending("main")
            assert portal_client(back).get(f"/coffre/{node.id}/").status_code == 404


def test_who_is_suspended_opens_nothing_and_is_added_by_nobody(
    drive: Drive, hall: Hall, council: Group
) -> None:
    node = drive.folder("Séance")
    make(hall.client, node.id, f"group:{council.id}")
    add(hall.referent, council, hall.commune.colleague)
    Person.objects.filter(pk=hall.commune.colleague.id).update(is_active=False)
    assert hall.colleague.get(f"/coffre/{node.id}/").status_code == 302
    assert remove(hall.referent, council, hall.commune.colleague).status_code == 302
    assert hall.commune.colleague.id not in text(hall.referent, f"{PAGE}{council.id}/")
    assert add(hall.referent, council, hall.commune.colleague).status_code == 404
    assert inside(drive, council) == set()


def test_who_came_back_before_it_was_noticed_has_nothing_of_before(
    drive: Drive, hall: Hall, council: Group, system: Actor
) -> None:
    add(hall.referent, council, hall.commune.colleague)
    with clock.shifted(60):
        actions.end_access(actor=system, membership=hall.commune.colleague_membership)
        come_back(hall.commune, system)
        run_pending("main")
        assert inside(drive, council) == set()
        add(hall.referent, council, hall.commune.colleague)
        run_pending("main")
    assert inside(drive, council) == {hall.commune.colleague.id}


def test_who_has_another_role_there_stays_in_the_group(
    drive: Drive, hall: Hall, council: Group, system: Actor
) -> None:
    add(hall.referent, council, hall.commune.colleague)
    with clock.shifted(60):
        person = hall.commune.colleague_membership.person
        actions.add_membership(
            actor=system, person=person, collectivite=hall.commune.collectivite, role="elu"
        )
        run_pending("main")
        actions.end_access(actor=system, membership=hall.commune.colleague_membership)
        run_pending("main")
    assert inside(drive, council) == {hall.commune.colleague.id}


@pytest.mark.parametrize("sent", ["", "x", "per_\x00", "é" * 90, "per_" + "0" * 26])
def test_what_is_no_identifier_finds_nothing(drive: Drive, hall: Hall, council: Group, sent: str) -> None:
    for what in ("add", "remove"):
        answer = hall.referent.post(f"{PAGE}{council.id}/", {"what": what, "person": sent})
        assert answer.status_code == 404, what
    assert hall.referent.get(f"{PAGE}{quote(sent) or 'x'}/").status_code == 404
    answer = make(hall.client, drive.file("x").id, f"group:{sent}")
    assert answer.status_code == 400 and "de la liste" in answer.content.decode()
    assert inside(drive, council) == set()


def test_devices_are_told_when_a_group_or_its_shares_change(
    drive: Drive, hall: Hall, council: Group, monkeypatch: pytest.MonkeyPatch
) -> None:
    node, told = drive.folder("Séance"), []
    monkeypatch.setattr(push, "tell", lambda run, collectivite_id: told.append(collectivite_id))
    steps: list[Callable[[], Any]] = [
        lambda: make(hall.client, node.id, f"group:{council.id}"),
        lambda: add(hall.referent, council, hall.commune.colleague),
        lambda: remove(hall.referent, council, hall.commune.colleague),
        lambda: hall.client.post(f"/coffre/partages/{only_share(drive).id}/arreter/"),
        lambda: hall.referent.post(f"{PAGE}{council.id}/supprimer/"),
    ]
    for number, step in enumerate(steps, 1):
        assert step().status_code == 302
        assert told == [hall.id] * number
