"""The export of a whole collectivité: what is in it, and what is not."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import vobject
from beffroi.core.audit.models import AuditEntry
from beffroi.drive.calendars import homes
from beffroi.drive.store import schema, tree
from beffroi.drive.whole import LISTS
from beffroi.mail.quota.models import MailboxRoom
from beffroi.portal.commune_export import coffre, rows, work
from django.apps import apps
from django.conf import settings

from tests.conftest import Commune
from tests.drive_browser import server
from tests.drive_server import Served
from tests.fixtures_calendars import event
from tests.fixtures_commune_export import WISH, Hall, Run, check, files_of, hall, run
from tests.fixtures_leaving import leave, planned
from tests.fixtures_portal import confirmed, no_door, own_mailbox
from tests.fixtures_seals import sealed

__all__ = ["hall", "no_door", "run", "server"]
pytestmark = pytest.mark.django_db


def test_it_holds_what_is_the_communes_and_leaves_out_what_is_personal(
    hall: Hall, run: Run, tmp_path: Path
) -> None:
    path = tmp_path / "disque"
    made, row = run(hall.commune, path)
    check(path)
    found = files_of(path)
    name = hall.commune.agent_membership.person.name
    assert {one: body for one, body in found.items() if one.startswith("coffre/")} == {
        "coffre/Dossier commun/Budget 2026.ods": b"Clos-Vougeot Budget 2026.ods",
        "coffre/Dossier commun/Personnel/Paie.pdf": b"Clos-Vougeot Paie.pdf",
        f"coffre/{name}/Notes de Clos-Vougeot.txt": b"Clos-Vougeot Notes de Clos-Vougeot.txt",
    }
    assert (path / "coffre/Dossier commun/Vide").is_dir()
    assert (path / "coffre/Dossier commun/Budget 2026.ods").stat().st_mtime == 1_770_000_000
    calendars = {one: body for one, body in found.items() if one.startswith("agendas-et-contacts/")}
    assert set(calendars) == {
        "agendas-et-contacts/Mairie/Mairie.ics",
        f"agendas-et-contacts/{name}/Mon agenda.ics",
        f"agendas-et-contacts/{name}/Mes contacts.vcf",
    }
    whole = b"".join(found.values())
    assert b"Dentiste" not in whole and b"Vacances" not in whole and b"CV perso" not in whole
    persons = {one["email"]: one for one in json.loads(found["donnees/person.json"])}
    assert hall.commune.agent_membership.person.email in persons
    assert "password" not in next(iter(persons.values()))
    assert f"$ORIGIN {hall.commune.domain}." in found[f"domaines/{hall.commune.domain}.zone"].decode()

    about = json.loads(found["export.json"])
    numbers = about["nombres"]
    assert (numbers["fichiers"], numbers["fichiers_personnels"]) == (3, 2)
    assert (numbers["rendez_vous"], numbers["contacts"], numbers["entrees_personnelles"]) == (2, 1, 1)
    assert about["manque"] == [] and "n'est pas complet" not in found["LISEZ-MOI.txt"].decode()
    assert WISH in found["LISEZ-MOI.txt"].decode()
    assert all(one.stat().st_mode & 0o077 == 0 for one in path.rglob("*"))

    row.refresh_from_db()
    assert (row.state, row.files, row.missing) == ("done", made.files, 0)
    entries = AuditEntry.objects.filter(object_id=row.id).order_by("id")
    assert [one.verb for one in entries] == ["communes:export:begun", "communes:export:done"]
    assert json.loads(entries[1].details)["manifest_sha256"] == made.manifest_sha256


def test_rooms_are_in_it_with_who_booked_what_also_a_retired_one(
    hall: Hall, run: Run, tmp_path: Path
) -> None:
    """Where the person is not known any more, the booking stands without a name."""
    mine = hall.commune.agent_membership.person
    place = homes.folder(settings.BEFFROI, hall.commune.id) / homes.ROOT / homes.SHARED_HOME
    for room, title in (("salle-fetes", "Salle des fêtes"), ("salle-minibus", "Minibus")):
        hall.entry(homes.SHARED_HOME, room, "VCALENDAR", title, event(f"{room}-a", "Loto"))
        hall.entry(homes.SHARED_HOME, room, "VCALENDAR", title, event(f"{room}-b", "Bal"))
        first, second = sorted(one.name for one in (place / room).glob("*.ics"))
        (place / room / homes.BOOKED).write_text(json.dumps({first: mine.id, second: "per_" + "0" * 26}))
    (place / "salle-minibus" / homes.RETIRED).touch()
    run(hall.commune, tmp_path / "disque")
    check(tmp_path / "disque")
    for title in ("Salle des fêtes", "Minibus"):
        text = (tmp_path / "disque" / "agendas-et-contacts/Mairie" / f"{title}.ics").read_text()
        told = {
            str(one.summary.value): one.contents.get("contact", [])
            for one in vobject.readOne(text).vevent_list
        }
        assert {name: [one.value for one in said] for name, said in told.items()} == {
            "Loto": [mine.name],
            "Bal": [],
        }


def test_of_one_that_left_it_holds_the_same(hall: Hall, run: Run, tmp_path: Path) -> None:
    before, after = tmp_path / "avant", tmp_path / "apres"
    run(hall.commune, before)
    leave(planned(hall.commune))
    run(hall.commune, after)
    check(after)
    kinds = ("coffre/", "agendas-et-contacts/", "domaines/")
    names = [{one for one in files_of(path) if one.startswith(kinds)} for path in (before, after)]
    assert names[0] == names[1] and len(names[0]) == 7


def test_nothing_of_another_commune_is_in_it(
    hall: Hall, nuits: Commune, server: Served, run: Run, tmp_path: Path
) -> None:
    other = Hall(nuits, server, "Romanée-Conti")
    other.fill()
    own_mailbox(nuits)
    run(hall.commune, tmp_path / "a")
    run(nuits, tmp_path / "b")
    people = [
        nuits.agent_membership.person,
        nuits.colleague_membership.person,
        nuits.referent_membership.person,
    ]
    foreign = [nuits.id, nuits.domain, nuits.collectivite.name, "Romanée-Conti"]
    foreign += [word for one in people for word in (one.id, one.email, one.name)]
    mine = [
        hall.commune.agent_membership,
        hall.commune.colleague_membership,
        hall.commune.referent_membership,
    ]
    of_all = {one.person.name for one in mine}
    for path, body in files_of(tmp_path / "a").items():
        said = path + body.decode("utf-8", "replace")
        assert not [word for word in foreign if word in said and word not in of_all], path
    of_other = files_of(tmp_path / "b")
    assert any("Romanée-Conti".encode() in one for one in of_other.values())
    assert not any(hall.commune.id.encode() in one for one in of_other.values())


def test_a_sealed_folder_comes_with_its_proofs_and_a_package_that_archives_check(
    hall: Hall, run: Run, tmp_path: Path
) -> None:
    from beffroi.cli.check_seal import main as check_seal

    referent = confirmed(hall.commune.referent_membership)
    folder = hall.drive.folder("Factures", hall.drive.common)
    hall.send("Facture 1.pdf", folder)
    seal = sealed(hall.drive, folder, referent)
    run(hall.commune, tmp_path / "x")
    place = tmp_path / "x" / "dossiers-scelles" / f"Factures ({seal.id})"
    assert {one.name for one in place.iterdir()} >= {
        *("sceau.txt", "sceau.sig", "cle.pem", "fichiers.txt"),
        "paquet BagIt.zip",
    }
    assert check_seal(place / "paquet BagIt.zip", document=None, key="") == 0
    assert (tmp_path / "x" / "coffre/Dossier commun/Factures/Facture 1.pdf").exists()


def test_what_is_thrown_away_between_two_walks_is_not_in_it(
    hall: Hall, run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, real = tmp_path / "disque", coffre._Walk.rows

    def rows(self: Any) -> Iterator[dict[str, Any]]:
        yield from real(self)
        found = [one for one in hall.drive.children(hall.drive.common.id) if one.name.startswith("Budget")]
        for one in found:
            hall.drive.database.write(lambda w, one=one: tree.delete(w, hall.drive.act, one.id))

    monkeypatch.setattr(coffre._Walk, "rows", rows)
    run(hall.commune, path)
    check(path)
    assert not any("Budget" in one for one in files_of(path))
    assert "Budget" not in (path / "coffre-listes/fichiers.json").read_text()


def test_what_it_takes_is_told_before(hall: Hall) -> None:
    before = work.about_bytes(hall.commune.id)
    hall.send("Carte.bin", hall.drive.common, os.urandom(100_000))
    box = own_mailbox(hall.commune)
    MailboxRoom.objects.create(mailbox_id=box.id, collectivite_id=hall.commune.id, used_bytes=1_000_000)
    assert work.about_bytes(hall.commune.id) == before + 1_100_000


def test_each_table_is_in_it_or_left_out_for_a_reason() -> None:
    exported = {one._meta.db_table for one in rows.tables()}
    every = {one._meta.db_table for one in apps.get_models()} - {"audit_entry"}
    assert exported & rows.LEFT_OUT.keys() == set()
    assert every == exported | (rows.LEFT_OUT.keys() & every), every - exported - rows.LEFT_OUT.keys()
    assert rows.LEFT_OUT.keys() <= every
    words = ("secret", "password", "wrapped", "sha256", "token", "sealed", "crypt")
    named = {
        f"{one._meta.db_table}.{column}"
        for one in rows.tables()
        for column in rows.columns(one)
        if any(word in column for word in words) or column == "key"
    }
    assert named <= {
        "person.password_given_at",  # a day
        "commune_export.manifest_sha256",
        "device_link.app_password_id",
        "incident_evidence.sha256",
        "incident_file.sha256",
        "mail_erasure.inventory_sha256",
        "mail_export.manifest_sha256",
        "mail_export.sha256",
        "mail_moved_place.key",  # the name of a place
    }


NOT_LISTED = {
    "meta": "of the store itself", "node": "each file, in fichiers.json", "version": "with its file",
    "chunk": "where contents lie", "doomed": "of the collection", "trash": "what was thrown away",
    "upload": "under way", "part": "under way", "part_name": "under way", "dav_lock": "a moment's",
    "lock_by": "a moment's",
    "change": "who changed what when: the past of folders, kept as long as versions",
    "received": "what others share belongs to them", "mount": "what others share belongs to them",
    "favourite_abroad": "a person's own marks", "favourite": "a person's own marks",
    "looked": "when somebody read a list",
    "quota": "of the Département's disk", "beside": "of the Département's disk", "weight": "made of the files",
    "judged": "made of the changes", "scanned": "made of the contents", "scanning": "a position",
    "scan_due": "a position", "carried": "made of the contents", "carried_due": "a position",
    "found_inside": "a position",
    "seal_text": "in the seal's own folder", "seal_reading": "a position",
    "word": "the index", "word_name": "the index", "word_file": "the index", "word_due": "the index",
    "node_kind": "the index", "sent_file": "a mail names it", "tagged": "with its file",
    "departed": "to undo a departure", "handover_folder": "to undo a departure",
    "handover_file": "to undo a departure", "handover_collection": "to undo a departure",
    "way_portion": "a position", "alarm_since": "a position",
}  # fmt: skip
"""Tables that are no list of the export, and why."""


def test_each_table_of_the_coffre_is_in_it_or_left_out_for_a_reason() -> None:
    tables = {one.split("EXISTS ")[1].split()[0] for one in schema.TABLES if one.startswith("CREATE TABLE")}
    listed = {statement.split(" FROM ")[1].split()[0] for statement, _ in LISTS.values()}
    assert listed & NOT_LISTED.keys() == set() and listed | NOT_LISTED.keys() == tables
