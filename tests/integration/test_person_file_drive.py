"""What a person's export holds of the Coffre: what they shared and by which links, what is shared with them, groups."""

from __future__ import annotations

import json
from typing import Any

import pytest
from beffroi.core.identity import actions
from beffroi.core.identity.actor import Actor
from beffroi.drive import alarms, departures, handover
from beffroi.drive.guard.scoring import Alarm
from beffroi.drive.own_rows import PARTS
from beffroi.drive.store import favourites, going_back, mounts, seen, shares
from beffroi.drive.store.ways import Plan
from beffroi.lib import clock
from beffroi.lib.errors import Unavailable
from beffroi.portal import person_file
from django.conf import settings
from django.test import Client

from tests.conftest import Commune
from tests.drive_dropping import FORM
from tests.drive_pages import Drive, client, drive
from tests.drive_share_pages import make, only_share, there
from tests.fixtures_portal import no_door, portal_client
from tests.integration.test_drive_groups import Hall, add, council, every, hall, remove
from tests.integration.test_drive_returns import leave
from tests.integration.test_person_file import exported

__all__ = ["client", "council", "drive", "hall", "no_door", "there"]
pytestmark = pytest.mark.django_db
PASSWORD = "cerise-noire-42"


def test_it_holds_what_the_person_shared_and_with_whom(
    drive: Drive, beaune: Commune, nuits: Commune, client: Client
) -> None:
    node, gone = drive.folder("Délibérations"), drive.folder("Vieux")
    make(client, node.id, f"person:{beaune.colleague.id}", "write", days="7")
    make(client, node.id, f"collectivite:{nuits.id}")
    make(client, gone.id, "role:elu")
    with drive.database.reading() as reading:
        (ended,) = shares.of_node(reading, gone.id, now_s=clock.epoch_s())
    client.post(f"/coffre/partages/{ended.id}/arreter/")
    rows = exported(beaune)["drive_shares_made"]
    found = {(one["with"], one["target"], one["rights"], one["name"]) for one in rows}
    assert found == {
        ("person", beaune.colleague.id, "write", "Délibérations"),
        ("collectivite", nuits.id, "read", "Délibérations"),
        ("role", "elu", "read", "Vieux"),
    }
    assert {one["collectivite_id"] for one in rows} == {beaune.id}
    assert [bool(one["expires_at"]) for one in rows if one["with"] == "person"] == [True]
    assert [bool(one["ended_at"]) for one in rows if one["with"] == "role"] == [True]


def test_it_holds_links_without_what_opens_them(drive: Drive, beaune: Commune, client: Client) -> None:
    node, box = drive.file("Plan.pdf"), drive.folder("Réponses")
    client.post(f"/coffre/{node.id}/liens/", {"days": "7", "password": PASSWORD, "label": "Pour le notaire"})
    client.post(f"/coffre/{box.id}/depots/", FORM)
    content = exported(beaune)
    rows = {one["rights"]: one for one in content["drive_links_made"]}
    assert rows.keys() == {"read", "drop"} and content["drive_shares_made"] == []
    assert (rows["read"]["name"], rows["read"]["has_password"]) == ("Plan.pdf", True)
    assert rows["drop"]["name"] == "Réponses" and rows["drop"]["expires_at"]
    with drive.database.reading() as reading:
        kept = shares.made_by(reading, drive.act.person_id, now_s=clock.epoch_s())
    whole = json.dumps(content)
    for one in kept:
        assert one.token_hash not in whole and (not one.password_hash or one.password_hash not in whole)


def test_it_holds_what_is_shared_with_the_person_by_each_way_and_names_no_file_of_others(
    drive: Drive, hall: Hall, council: Any, client: Client
) -> None:
    beaune = hall.commune
    first, second, third = (drive.folder(name) for name in ("Secret un", "Secret deux", "Secret trois"))
    make(client, first.id, f"person:{beaune.colleague.id}")
    make(client, second.id, f"group:{council.id}")
    make(client, third.id, "role:agent")
    make(client, drive.folder("Ailleurs").id, "role:elu")
    before = exported(beaune, "colleague")
    assert {one["with"] for one in before["drive_shares_received"]} == {"person", "role"}
    add(hall.referent, council, beaune.colleague)
    share_id = next(one["id"] for one in before["drive_shares_received"] if one["with"] == "person")
    hall.colleague.post("/coffre/partages-avec-moi/", {"partage": share_id, "what": "leave"})
    content = exported(beaune, "colleague")
    rows = {one["with"]: one for one in content["drive_shares_received"]}
    assert {kind: one["node_id"] for kind, one in rows.items()} == {
        "person": first.id,
        "group": second.id,
        "role": third.id,
    }
    assert rows["person"]["left_at"] and rows["role"]["left_at"] is None
    assert {one["by"] for one in rows.values()} == {beaune.agent.id}
    assert "Secret" not in json.dumps(content, ensure_ascii=False) and content["drive_shares_made"] == []


def test_it_holds_groups_of_now_and_those_that_are_on_record(drive: Drive, hall: Hall, council: Any) -> None:
    beaune = hall.commune
    hall.referent.post("/coffre/groupes/", {"name": "Fêtes"})
    party = next(one for one in every(drive) if one.name == "Fêtes")
    add(hall.referent, council, beaune.colleague, beaune.agent)
    add(hall.referent, party, beaune.colleague)
    remove(hall.referent, party, beaune.colleague)
    content = exported(beaune, "colleague")
    assert [(one["name"], one["group_id"]) for one in content["drive_groups"]] == [
        ("Conseil municipal", council.id)
    ]
    assert [(one["what"], one["group_id"]) for one in content["drive_group_history"]] == [
        ("added", council.id),
        ("added", party.id),
        ("removed", party.id),
    ]
    assert beaune.agent.id not in json.dumps([content["drive_groups"], content["drive_group_history"]])


def test_it_holds_what_a_departure_took_and_who_left_still_has_their_file(hall: Hall, council: Any) -> None:
    beaune = hall.commune
    theirs = Drive(beaune.colleague_membership)
    make(hall.colleague, theirs.folder("Plans").id, f"person:{beaune.agent.id}")
    add(hall.referent, council, beaune.colleague)
    leave(hall)
    content = exported(beaune, "colleague")
    assert {one["kind"] for one in content["drive_departures"]} == {"group", "share"}
    assert content["drive_groups"] == [] and content["drive_shares_made"][0]["ended_at"]


def test_it_holds_files_that_were_handed_over_of_to_and_by_the_person(hall: Hall) -> None:
    beaune = hall.commune
    theirs = Drive(beaune.colleague_membership)
    theirs.file("budget.ods")
    leave(hall)
    made = handover.hand_over(
        actor=beaune.referent,
        database=theirs.database,
        collectivite_id=beaune.id,
        person_id=beaune.colleague.id,
        heir=beaune.agent.id,
        label="x",
    )
    for whose in ("colleague", "agent", "referent"):
        (row,) = exported(beaune, whose)["drive_handovers"]
        assert (row["id"], row["of"], row["to"]) == (made.id, beaune.colleague.id, beaune.agent.id)
        assert row["by"] == beaune.referent.id


def test_it_holds_the_ways_back_that_the_person_asked_for(drive: Drive, beaune: Commune) -> None:
    folder, act = drive.folder("Budget", drive.common), drive.act
    way = Plan(folder.id, act.now_s, (), 0, 0, 0, 0, 0, 0, 0)
    going_back.begin(drive.database, act, way)
    (row,) = exported(beaune)["drive_ways_back"]
    assert (row["folder_id"], row["state"], row["steps"]) == (folder.id, "going", 0)
    assert row["begun_at"] and row["as_at"] and row["ended_at"] is None
    drive.database.write(lambda w: going_back.go_on(w, folder.id, now_s=act.now_s))
    (row,) = exported(beaune)["drive_ways_back"]
    assert row["state"] == "done" and row["ended_at"]
    assert exported(beaune, "colleague")["drive_ways_back"] == []


def test_it_holds_stars_and_the_alarms_of_the_persons_devices(drive: Drive, beaune: Commune) -> None:
    node = drive.file("Plan.pdf")
    drive.database.write(lambda w: favourites.set_star(w, drive.who, (beaune.id, node.id), starred=True))
    found = Alarm("apw_1", float(clock.epoch_s()), 7, {})
    drive.database.write(lambda w: alarms.raise_(w, found, now_s=clock.epoch_s()))
    drive.database.write(lambda w: w.run("UPDATE alarm SET person_id = ?", (beaune.agent.id,)))
    content = exported(beaune)
    assert content["drive_stars"] == [{"collectivite_id": beaune.id, "owner": beaune.id, "node_id": node.id}]
    (row,) = content["drive_alarms"]
    assert (row["device_id"], row["files"], row["state"]) == ("apw_1", 7, "open")
    other = exported(beaune, "colleague")
    assert other["drive_stars"] == other["drive_alarms"] == []


def test_it_holds_answers_to_other_communes_and_reaches_each_collectivite_of_the_person(
    drive: Drive, beaune: Commune, nuits: Commune, client: Client, there: Client, *, system: Actor
) -> None:
    make(client, drive.folder("Piste cyclable").id, f"collectivite:{nuits.id}")
    share = only_share(drive)
    there.post("/coffre/partages-avec-moi/", {"partage": share.id, "what": "refuse"})
    rows = exported(nuits, "referent")["drive_shares_answered"]
    assert [(one["share_id"], one["owner"], one["state"]) for one in rows] == [
        (share.id, beaune.id, "refused")
    ]
    both = actions.add_membership(
        actor=system, person=beaune.agent_membership.person, collectivite=nuits.collectivite, role="agent"
    )
    second = Drive(both)
    make(portal_client(both), second.folder("À Nuits").id, f"person:{nuits.referent.id}")
    rows = exported(beaune)["drive_shares_made"]
    assert {one["collectivite_id"] for one in rows} == {beaune.id, nuits.id}


def test_a_neighbours_rows_are_in_no_other_file(
    drive: Drive, beaune: Commune, nuits: Commune, client: Client
) -> None:
    make(client, drive.folder("À nous").id, "role:elu")
    content = exported(nuits)
    assert all(content[name] == [] for name in PARTS) and beaune.id not in json.dumps(content)


def test_where_the_metadata_do_not_answer_there_is_no_file(
    drive: Drive, beaune: Commune, monkeypatch: pytest.MonkeyPatch
) -> None:
    database = drive.database.__class__

    def away(*_: object) -> None:
        raise Unavailable("The drive's database")

    monkeypatch.setattr(database, "reading", away)
    with pytest.raises(Unavailable):
        person_file.compose(beaune.agent_membership.person.email, account="test")


def test_who_is_erased_leaves_no_mark_of_their_own_and_others_keep_theirs(beaune: Commune) -> None:
    mine, theirs = Drive(beaune.agent_membership), Drive(beaune.colleague_membership)
    for one in (mine, theirs):
        person_id = one.act.person_id
        one.database.write(lambda w, p=person_id: mounts.rename(w, "shr_1", p, "Plans"))
        one.database.write(lambda w, p=person_id: seen.look(w, p, now_s=5))
        star = (beaune.id, one.common.id)
        one.database.write(lambda w, who=one.who, star=star: favourites.set_star(w, who, star, starred=True))
    departures.forget_own_marks(settings.BEFFROI, beaune.agent.id)
    with mine.database.reading() as reading:
        for table in ("mount", "looked", "favourite"):
            found = reading.all(f"SELECT person_id FROM {table}")
            assert found == [(beaune.colleague.id,)], table
