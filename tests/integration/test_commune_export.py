"""The export of a whole collectivité: what is in it, what is not, and what becomes of one that was cut."""

from __future__ import annotations

import errno
import json
import os
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from beffroi.core.audit.models import AuditEntry
from beffroi.core.communes import exports
from beffroi.core.communes.models import CommuneExport
from beffroi.core.identity.actor import Actor
from beffroi.drive.calendars import homes
from beffroi.drive.store import schema, tree
from beffroi.drive.store.model import Node
from beffroi.drive.whole import LISTS, NOT_LISTED
from beffroi.lib import clock
from beffroi.lib.errors import Conflict, Invalid, NotAllowed, NotFound
from beffroi.mail.quota.models import MailboxRoom
from beffroi.portal.commune_export import coffre, mails, out, rows, work
from beffroi.portal.commune_export import folder as folders
from beffroi.portal.commune_export.folder import DiskFull, ExportFolder, FilesLost, FolderUnusable
from django.apps import apps
from django.conf import settings

from tests.conftest import Commune
from tests.drive_browser import Browser, server
from tests.drive_pages import Drive
from tests.drive_server import Served
from tests.fixtures_calendars import card, event
from tests.fixtures_portal import console_client, no_door, on_listener, own_mailbox, portal_client
from tests.fixtures_seals import confirmed, sealed, text

__all__ = ["no_door", "server"]
pytestmark = pytest.mark.django_db
WISH = "Courrier du maire du 12 novembre 2026, signé A. Martin"
type Run = Callable[..., Any]


@pytest.fixture
def run(administrator: Actor, monkeypatch: pytest.MonkeyPatch) -> Run:
    """``run(commune, path)``, without mailboxes: those want a Dovecot."""
    monkeypatch.setattr(mails, "_write", lambda work, mailbox: None)

    def called(commune: Commune, path: Path, **more: Any) -> Any:
        path.mkdir(exist_ok=True)
        return work.run(
            actor=administrator,
            collectivite=commune.collectivite,
            path=path,
            account="root",
            **{"reason": WISH, **more},
        )

    return called


class Hall:
    """A town hall with files of its own, sent as a browser sends them."""

    def __init__(self, commune: Commune, server: Served, word: str) -> None:
        self.commune, self.word = commune, word
        self.drive = Drive(commune.agent_membership)
        self.browser = Browser(server, portal_client(commune.agent_membership))

    def send(self, name: str, above: Node, body: bytes = b"") -> None:
        sent = {"folder": above.id, "name": name, "mtime_s": 1_770_000_000, "taken": "replace"}
        status, answer = self.browser.send(body or f"{self.word} {name}".encode(), **sent)
        assert status in (200, 201), answer

    def fill(self) -> None:
        staff = self.drive.folder("Personnel", self.drive.common)
        mine = self.drive.folder("Perso", self.drive.own)
        self.drive.folder("Vide", self.drive.common)
        for above, name in (
            (self.drive.common, "Budget 2026.ods"),
            (staff, "Paie.pdf"),
            (self.drive.own, f"Notes de {self.word}.txt"),
            (self.drive.own, "CV perso.pdf"),
            (mine, "Vacances.jpg"),
        ):
            self.send(name, above)
        self.entry(homes.SHARED_HOME, "agenda", "VCALENDAR", "Mairie", event("a", f"Conseil {self.word}"))
        own = self.commune.agent.id
        self.entry(own, "agenda", "VCALENDAR", "Mon agenda", event("b", f"Réunion {self.word}"))
        self.entry(own, "agenda", "VCALENDAR", "", event("c", "Dentiste", more="CLASS:PRIVATE"))
        self.entry(own, "contacts", "VADDRESSBOOK", "Mes contacts", card("d", f"Notaire {self.word}"))

    def entry(self, home: str, name: str, tag: str, title: str, text: str) -> None:
        place = homes.folder(settings.BEFFROI, self.commune.id) / homes.ROOT / home / name
        place.mkdir(parents=True, exist_ok=True)
        if title:
            (place / homes.PROPS).write_text(json.dumps({"tag": tag, "D:displayname": title}))
        (place / f"{len(list(place.iterdir()))}.ics").write_text(text)


@pytest.fixture
def hall(beaune: Commune, server: Served, no_door: None) -> Hall:
    one = Hall(beaune, server, "Clos-Vougeot")
    one.fill()
    return one


def files_of(path: Path) -> dict[str, bytes]:
    return {
        one.relative_to(path).as_posix(): one.read_bytes() for one in sorted(path.rglob("*")) if one.is_file()
    }


def check(path: Path) -> None:
    """What a commune does with it, by a program that is not ours."""
    done = ["sha256sum", "-c", "--quiet", "--strict", "manifest-sha256.txt"]
    subprocess.run(done, cwd=path, check=True)
    named = {line.split("  ", 1)[1] for line in (path / "manifest-sha256.txt").read_text().splitlines()}
    assert named == files_of(path).keys() - {"manifest-sha256.txt"}


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


@contextmanager
def cut_after(monkeypatch: pytest.MonkeyPatch, files: int) -> Iterator[None]:
    """As a kill: what was not noted by then is as if it had not been."""
    made = [0]
    real = out.Out.write

    def write(self: Any, data: Any) -> int:
        made[0] += 1
        if made[0] > files:
            raise KeyboardInterrupt
        return real(self, data)

    monkeypatch.setattr(folders, "CHECK_FILES", 2)
    monkeypatch.setattr(out.Out, "write", write)
    with pytest.raises(KeyboardInterrupt):
        yield
    monkeypatch.setattr(out.Out, "write", real)


def test_what_was_cut_goes_on_and_takes_what_changed_meanwhile(
    hall: Hall, run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "disque"
    path.mkdir()
    for number in range(6):
        hall.send(f"Plan {number}.dwg", hall.drive.common)
    for after in (3, 40, 150, 250):
        with cut_after(monkeypatch, after):
            run(hall.commune, path)
        assert not (path / "manifest-sha256.txt").exists()
        assert "n'est pas terminé" in (path / "INCOMPLET.txt").read_text()
    hall.send("Plan 1.dwg", hall.drive.common, b"changed")
    _, row = run(hall.commune, path)
    check(path)
    assert (path / "coffre/Dossier commun/Plan 1.dwg").read_bytes() == b"changed"
    assert (
        CommuneExport.objects.count() == 1
        and AuditEntry.objects.filter(object_id=row.id, verb="communes:export:resumed").exists()
    )
    assert not (path / "INCOMPLET.txt").exists() and not (path / ".etat.sqlite").exists()
    with pytest.raises(FolderUnusable):
        run(hall.commune, path)


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


def test_a_file_that_is_damaged_is_named_and_the_export_never_calls_itself_whole(
    hall: Hall, run: Run, tmp_path: Path
) -> None:
    body = os.urandom(300_000)
    hall.send("Grand plan.tif", hall.drive.common, body)
    objects = settings.BEFFROI.state / "drive" / "objects" / hall.commune.id
    (stored,) = [one for one in objects.rglob("*") if one.is_file()]
    stored.write_bytes(b"\0" * stored.stat().st_size)
    path = tmp_path / "disque"
    with pytest.raises(work.NotAllRead):
        run(hall.commune, path)
    assert "Grand plan.tif" in (path / "INCOMPLET.txt").read_text()
    _, row = run(hall.commune, path, leave_out=True)
    check(path)
    readme = (path / "LISEZ-MOI.txt").read_text()
    assert "Cet export n'est pas complet" in readme and "Grand plan.tif" in readme
    row.refresh_from_db()
    assert row.missing == 1 and not (path / "coffre/Dossier commun/Grand plan.tif").exists()


def test_a_full_disk_is_said_and_the_same_call_goes_on(
    hall: Hall, run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "disque"
    room = os.statvfs(tmp_path)
    free = room.f_bavail * room.f_frsize
    monkeypatch.setattr(out, "KEPT_FREE_BYTES", free + (1 << 30))
    with pytest.raises(DiskFull):
        run(hall.commune, path)
    assert not (path / "manifest-sha256.txt").exists()
    monkeypatch.setattr(out, "KEPT_FREE_BYTES", 0)
    run(hall.commune, path)
    check(path)


def test_its_referent_sees_it_and_stops_it(
    hall: Hall, nuits: Commune, run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "disque"
    path.mkdir()
    with cut_after(monkeypatch, 5):
        run(hall.commune, path)
    row = CommuneExport.objects.get()
    assert list(exports.visible_exports(hall.commune.referent)) == [row]
    for stranger in (hall.commune.agent, nuits.referent):
        assert not exports.visible_exports(stranger).exists()
        with pytest.raises(NotFound):
            exports.access_export(stranger, row.id)
        with pytest.raises(NotAllowed):
            exports.stop(actor=stranger, export=row)
    exports.stop(actor=hall.commune.referent, export=row)
    with pytest.raises(exports.ExportStopped):
        run(hall.commune, path)
    assert not (path / "manifest-sha256.txt").exists()
    with pytest.raises(Conflict):
        exports.stop(actor=hall.commune.referent, export=row)


def test_the_home_of_a_referent_says_it_and_one_button_stops_it(hall: Hall, run: Run, tmp_path: Path) -> None:
    with_rights = portal_client(hall.commune.referent_membership)
    assert "exporte" not in text(with_rights.get("/"))
    run(hall.commune, tmp_path / "a")
    row = CommuneExport.objects.get()
    assert "L’export de toute la collectivité est terminé" in text(with_rights.get("/"))
    page = text(with_rights.get(f"/export/{row.id}/"))
    assert WISH in page and row.manifest_sha256 in page and "Arrêter l’export" not in page
    assert "L’export" not in text(portal_client(hall.commune.agent_membership).get("/"))

    row.state = "running"
    row.save()
    assert "Le Département exporte tout" in text(with_rights.get("/"))
    assert "Arrêter l’export" in text(with_rights.get(f"/export/{row.id}/"))
    assert "rien de plus n’est lu" in text(
        with_rights.post(f"/export/{row.id}/", {"word": "stop"}, follow=True)
    )
    row.refresh_from_db()
    assert (row.state, row.stopped_by) == ("stopped", hall.commune.referent.id)
    again = text(with_rights.post(f"/export/{row.id}/", {"word": "stop"}, follow=True))
    assert "rien n’a changé" in again
    with pytest.raises(exports.ExportStopped):
        exports.progress(row.id, files=1, size_bytes=1)


def test_what_it_takes_is_told_before(hall: Hall) -> None:
    before = work.about_bytes(hall.commune.id)
    hall.send("Carte.bin", hall.drive.common, os.urandom(100_000))
    box = own_mailbox(hall.commune)
    MailboxRoom.objects.create(mailbox_id=box.id, collectivite_id=hall.commune.id, used_bytes=1_000_000)
    assert work.about_bytes(hall.commune.id) == before + 1_100_000


def test_only_an_administrator_exports_and_says_why(hall: Hall, run: Run, tmp_path: Path) -> None:
    for actor in (hall.commune.referent, hall.commune.agent, Actor.system("x")):
        with pytest.raises(NotAllowed):
            exports.begin(actor=actor, collectivite=hall.commune.collectivite, reason=WISH, account="root")
    with pytest.raises(Invalid):
        run(hall.commune, tmp_path / "a", reason=" ")
    assert not CommuneExport.objects.exists()


def test_a_folder_of_something_else_is_left_alone(
    hall: Hall, nuits: Commune, run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "photos"
    path.mkdir()
    (path / "chat.jpg").write_bytes(b"chat")
    with pytest.raises(FolderUnusable):
        run(hall.commune, path)
    assert [one.name for one in path.iterdir()] == ["chat.jpg"]
    begun = tmp_path / "autre"
    begun.mkdir()
    with cut_after(monkeypatch, 5):
        run(hall.commune, begun)
    with pytest.raises(FolderUnusable):
        run(nuits, begun)


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
        "mail_erasure.inventory_sha256",
        "mail_export.manifest_sha256",
        "mail_export.sha256",
        "mail_moved_place.key",  # the name of a place
    }


def test_each_table_of_the_coffre_is_in_it_or_left_out_for_a_reason() -> None:
    tables = {one.split("EXISTS ")[1].split()[0] for one in schema.TABLES if one.startswith("CREATE TABLE")}
    listed = {statement.split(" FROM ")[1].split()[0] for statement, _ in LISTS.values()}
    assert listed & NOT_LISTED.keys() == set() and listed | NOT_LISTED.keys() == tables


def test_what_the_disk_lost_is_made_again(tmp_path: Path) -> None:
    path = tmp_path / "disque"
    path.mkdir()
    with _folder(path) as folder, folder.file("a", "", "a.txt") as file:
        file.write(b"whole")
    os.truncate(path / "a.txt", 2)
    with _folder(path) as folder:
        assert folder.done("a", "", "", "a.txt") is not None
        with pytest.raises(FilesLost):
            folder.finish(lambda made: None)
    with _folder(path) as folder:
        assert folder.done("a", "", "", "a.txt") is None
        with folder.file("a", "", "a.txt") as file:
            file.write(b"whole")
        folder.finish(lambda made: None)
    assert (path / "a.txt").read_bytes() == b"whole"


@contextmanager
def _folder(path: Path) -> Iterator[ExportFolder]:
    folder = ExportFolder(path, owner="col_x", beside=Path("/dev/shm"), tick=lambda: None)
    try:
        yield folder
        if (path / folders.STATE).exists():
            folder.keep()
    finally:
        folder.close()


def test_a_stop_is_heard_in_the_middle_of_a_long_file(
    hall: Hall, run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(folders, "CHECK_S", 0.0)
    hall.send("Film.mp4", hall.drive.common, os.urandom(5_000_000))
    real, written = out.Out.write, [0]

    def write(self: Any, data: Any) -> int:
        if len(data) > 500_000:
            written[0] += 1
            exports_of = CommuneExport.objects.filter(state="running")
            for one in exports_of:
                exports.stop(actor=hall.commune.referent, export=one)
        return real(self, data)

    monkeypatch.setattr(out.Out, "write", write)
    with pytest.raises(exports.ExportStopped):
        run(hall.commune, tmp_path / "a")
    assert written == [1] and not any("Film" in one for one in files_of(tmp_path / "a"))


def test_a_disk_that_goes_away_is_said_without_a_name_of_a_file(
    hall: Hall, run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "disque"
    real = Path.replace

    def replace(self: Path, target: Path) -> Path:
        if "Budget" in str(target):
            raise OSError(errno.EIO, "Input/output error", str(self), None, str(target))
        return real(self, target)

    with monkeypatch.context() as patch, pytest.raises(FolderUnusable) as said:
        patch.setattr(Path, "replace", replace)
        run(hall.commune, path)
    assert "Input/output error" in str(said.value) and "Budget" not in str(said.value)
    run(hall.commune, path)
    check(path)


def test_names_that_one_system_takes_for_the_same_lie_apart_and_none_leads_out(tmp_path: Path) -> None:
    path = tmp_path / "disque"
    path.mkdir()
    names = ["a.txt", "A.TXT", "é", "e\u0301", "..", "CON", "x" * 300, "../../etc/passwd", "y" * 300]
    with _folder(path) as folder:
        above = "dossier"
        for number in range(6):  # deeper than any system opens
            above = folder.directory(f"d{number}", above, "z" * 240)
        for number, name in enumerate(names):
            for where in ("coffre", above):
                with folder.file(f"n{where[:2]}{number}", where, name) as file:
                    file.write(name.encode())
        made = folder.finish(lambda made: None)
    assert made.files == 2 * len(names)
    found = {one: body for one, body in files_of(path).items() if one != "manifest-sha256.txt"}
    assert sorted(found.values()) == sorted(2 * [one.encode() for one in names])
    assert len({one.casefold() for one in found}) == len(found) and max(map(len, found)) <= 1000
    assert not (tmp_path / "etc").exists() and [one.name for one in tmp_path.iterdir()] == ["disque"]


def test_the_console_shows_exports_and_the_command(
    hall: Hall, run: Run, tmp_path: Path, administrator: Actor, monkeypatch: pytest.MonkeyPatch
) -> None:
    def shown() -> str:
        with on_listener("console"):
            return text(console_client(administrator.id).get("/communes/"))

    empty = shown()
    assert "Aucun export depuis un an" in empty and "./beffroi commune export" in empty
    path = tmp_path / "a"
    path.mkdir()
    with cut_after(monkeypatch, 5):
        run(hall.commune, path)
    assert "En cours" in shown()
    CommuneExport.objects.update(changed_at=clock.now() - timedelta(hours=1))
    assert "Interrompu" in shown()
    run(hall.commune, path)
    page = shown()
    assert "Terminé" in page and WISH in page and "Interrompu" not in page
