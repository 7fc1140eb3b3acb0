"""Calendars and contacts for programs: vdirsyncer both ways, curl, hostile requests, a kill, through the real front."""

from __future__ import annotations

import subprocess
import sys
import threading
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest
from beffroi.drive import projections
from beffroi.drive.calendars import app, homes, store
from beffroi.supervise import front_listeners

from tests.exports_of_calendars import CARDS, ENTRIES
from tests.fixtures_calendars import Account, Wall, card, event, needs_front, wall
from tests.fixtures_drive import erase
from tests.integration.test_calendar_exports import said
from tests.waiting import PATIENCE_S

pytestmark = needs_front


BEAUNE, NUITS = "col_" + "1" * 26, "col_" + "2" * 26


CALENDARS, BOOKS = ("agenda", "mairie-agenda"), ("contacts", "mairie-contacts")


_ALL_PROPS = '<?xml version="1.0"?><propfind xmlns="DAV:"><allprop/></propfind>'


_MULTIGET = (
    '<?xml version="1.0"?><C:calendar-multiget xmlns:D="DAV:" xmlns:C="urn:ietf:params:xml:ns:caldav">'
    "<D:prop><D:getetag/><C:calendar-data/></D:prop><D:href>{}</D:href></C:calendar-multiget>"
)


@pytest.fixture(scope="module")
def centre() -> Iterator[Wall]:
    with wall("bfk-", 23180) as running:
        yield running


@pytest.fixture(scope="module")
def agent(centre: Wall) -> Account:
    return centre.signs_in("agent@beaune.test", collectivite_id=BEAUNE)


@pytest.fixture(scope="module")
def colleague(centre: Wall) -> Account:
    return centre.signs_in("referente@beaune.test", collectivite_id=BEAUNE, role="referent")


@pytest.fixture(scope="module")
def elu(centre: Wall) -> Account:
    return centre.signs_in("adjoint@beaune.test", collectivite_id=BEAUNE, role="elu")


@pytest.fixture(scope="module")
def stranger(centre: Wall) -> Account:
    return centre.signs_in("agent@nuits.test", collectivite_id=NUITS)


class Device:
    """A vdirsyncer of one person, with files on this side."""

    def __init__(
        self,
        place: Path,
        centre: Wall,
        account: Account,
        calendars: Sequence[str] = CALENDARS,
        books: Sequence[str] = BOOKS,
    ) -> None:
        self.place = place
        place.mkdir()
        sections = ["[general]", f'status_path = "{place}/status/"']
        for kind, end, names in (("caldav", ".ics", calendars), ("carddav", ".vcf", books)):
            listed = ", ".join(f'"{name}"' for name in names)
            sections += [
                f"[pair {kind}]", f'a = "{kind}_here"', f'b = "{kind}_there"', f"collections = [{listed}]",
                f"[storage {kind}_here]", 'type = "filesystem"', f'path = "{place}/files/"', f'fileext = "{end}"',
                f"[storage {kind}_there]", f'type = "{kind}"', f'url = "{centre.url}/"',
                f'username = "{account.login}"', f'password = "{account.password}"',
                f'verify = "{centre.authorities}"',
            ]  # fmt: skip
        (place / "config").write_text("\n".join(sections) + "\n")
        self.run("discover", answers="y\n" * 20)

    def run(self, *arguments: str, answers: str = "") -> str:
        done = self.attempt(*arguments, answers=answers)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout + done.stderr

    def attempt(self, *arguments: str, answers: str = "") -> subprocess.CompletedProcess[str]:
        program = Path(sys.executable).with_name("vdirsyncer")
        argv = (str(program), "-c", str(self.place / "config"), *arguments)
        return subprocess.run(argv, input=answers, capture_output=True, text=True, timeout=240, check=False)

    def put(self, collection: str, name: str, text: str) -> None:
        (self.place / "files" / collection / name).write_bytes(text.encode())

    def texts(self, collection: str) -> list[str]:
        return sorted(one.read_text() for one in (self.place / "files" / collection).iterdir())


def test_two_people_of_one_commune_share_calendar_and_contacts_and_keep_their_own(
    centre: Wall, agent: Account, colleague: Account, tmp_path: Path
) -> None:
    first, second = Device(tmp_path / "a", centre, agent), Device(tmp_path / "b", centre, colleague)
    first.put("mairie-agenda", "conseil.ics", event("conseil@tests", "Conseil municipal\\, salle des fêtes"))
    first.put("agenda", "dentiste.ics", event("dentiste@tests", "Dentiste"))
    first.put("mairie-contacts", "notaire.vcf", card("notaire@tests", "Maître Élise Noël"))
    first.put("contacts", "tante.vcf", card("tante@tests", "Tante Jeanne"))
    first.run("sync")
    second.run("sync")
    assert "Conseil municipal\\, salle des fêtes" in "".join(second.texts("mairie-agenda"))
    assert "Maître Élise Noël" in "".join(second.texts("mairie-contacts"))
    assert second.texts("agenda") == second.texts("contacts") == []
    # The other way: what the colleague changes and deletes reaches the first one.
    for one in (second.place / "files" / "mairie-agenda").iterdir():
        one.write_text(one.read_text().replace("Conseil municipal", "Conseil reporté"))
    for one in (second.place / "files" / "mairie-contacts").iterdir():
        one.unlink()
    second.run("sync", "--force-delete")
    first.run("sync", "--force-delete")
    assert "Conseil reporté" in "".join(first.texts("mairie-agenda"))
    assert first.texts("mairie-contacts") == []
    assert "Dentiste" in "".join(first.texts("agenda"))


def test_what_exchange_and_apple_exported_goes_through_a_program_and_back_with_all_it_says(
    centre: Wall, tmp_path: Path
) -> None:
    collectivite_id = "col_" + "3" * 26
    sender = centre.signs_in("exports@meursault.test", collectivite_id=collectivite_id)
    first, second = Device(tmp_path / "a", centre, sender), Device(tmp_path / "b", centre, sender)
    sent = ("exchange", "apple", "apple3", "apple4", "group4")
    for program in sent[:2]:
        first.put("agenda", f"{program}.ics", ENTRIES[program])
    for program in sent[2:]:
        first.put("contacts", f"{program}.vcf", CARDS[program])
    first.run("sync")
    second.run("sync")
    for collection, came in (("agenda", ENTRIES), ("contacts", CARDS)):
        there = [said(one) for one in second.texts(collection)]
        wanted = [said(text) for name, text in came.items() if name in sent]
        assert all(one in there for one in wanted) and len(there) == len(wanted)
    before = second.texts("agenda"), second.texts("contacts")
    first.run("sync")
    second.run("sync")
    assert (second.texts("agenda"), second.texts("contacts")) == before


def test_an_elu_reads_what_is_shared_and_writes_only_what_is_theirs(
    centre: Wall, agent: Account, elu: Account
) -> None:
    put = centre.ask("PUT", f"{agent.home}mairie-agenda/lu.ics", event("lu", "Lu de tous"), account=agent)
    assert put.status == 201
    assert centre.ask("GET", f"{elu.home}mairie-agenda/lu.ics", account=elu).status == 200
    for method, name in (("PUT", "lu.ics"), ("DELETE", "lu.ics"), ("PUT", "neuf.ics")):
        answer = centre.ask(method, f"{elu.home}mairie-agenda/{name}", event("lu", "Réécrit"), account=elu)
        assert answer.status == 403
    assert b"Lu de tous" in centre.ask("GET", f"{agent.home}mairie-agenda/lu.ics", account=agent).body
    own = centre.ask("PUT", f"{elu.home}agenda/mien.ics", event("mien", "À moi"), account=elu)
    assert own.status == 201


def test_a_dpo_has_no_part_in_what_is_shared(centre: Wall) -> None:
    dpo = centre.signs_in("dpo@beaune.test", collectivite_id=BEAUNE, role="dpo")
    listed = centre.ask("PROPFIND", dpo.home, _ALL_PROPS, account=dpo, headers={"Depth": "1"})
    assert listed.status == 207 and b"/agenda/" in listed.body and b"mairie" not in listed.body
    assert centre.ask("GET", f"{dpo.home}mairie-agenda/lu.ics", account=dpo).status == 403


def test_whose_calendar_it_is_nobody_else_learns(
    centre: Wall, agent: Account, colleague: Account, stranger: Account
) -> None:
    path = f"{agent.home}agenda/prive.ics"
    assert centre.ask("PUT", path, event("prive", "Privé"), account=agent).status == 201
    absent = f"/caldav/per_{'9' * 26}/agenda/prive.ics"
    for other in (colleague, stranger):
        for method in (
            "GET",
            "HEAD",
            "PUT",
            "DELETE",
            "PROPFIND",
            "PROPPATCH",
            "REPORT",
            "MKCALENDAR",
            "MKCOL",
        ):
            theirs = centre.ask(method, path, event("prive", "Volé"), account=other)
            nobodys = centre.ask(method, absent, event("prive", "Volé"), account=other)
            assert (theirs.status, theirs.body) == (nobodys.status, nobodys.body), method
            assert theirs.status == 404, method
        for place in ("/caldav/mairie/agenda/", f"/caldav/../{agent.person_id}/", f"{other.home}../{path}"):
            assert centre.ask("PROPFIND", place, account=other).status == 404
        # By a list of addresses, and as the target of a move.
        report = centre.ask("REPORT", f"{other.home}agenda/", _MULTIGET.format(path), account=other)
        assert b"BEGIN:VCALENDAR" not in report.body and b"Priv" not in report.body
        mine = f"{other.home}agenda/mien.ics"
        assert centre.ask("PUT", mine, event("mien", "Mien"), account=other).status in (201, 204)
        moved = centre.ask(
            "MOVE", mine, account=other, headers={"Destination": centre.url + path, "Overwrite": "T"}
        )
        assert moved.status == 404
    assert b"Priv" in centre.ask("GET", path, account=agent).body


def test_the_shared_calendar_of_one_commune_is_not_that_of_another(
    centre: Wall, agent: Account, stranger: Account
) -> None:
    put = centre.ask("PUT", f"{agent.home}mairie-agenda/ici.ics", event("ici", "Ici"), account=agent)
    assert put.status in (201, 204)
    assert centre.ask("GET", f"{stranger.home}mairie-agenda/ici.ics", account=stranger).status == 404
    listed = centre.ask(
        "PROPFIND", f"{stranger.home}mairie-agenda/", account=stranger, headers={"Depth": "1"}
    )
    assert listed.status == 207 and b".ics" not in listed.body


def test_a_program_finds_everything_from_the_name_of_the_server(centre: Wall, agent: Account) -> None:
    for name in ("caldav", "carddav", "caldav/", "carddav/"):
        argv = ("curl", "-sS", "-o", "/dev/null", "-w", "%{http_code} %{redirect_url}", "--cacert", centre.authorities,
                f"{centre.url}/.well-known/{name}")  # fmt: skip
        found = subprocess.run(
            argv, capture_output=True, text=True, timeout=PATIENCE_S, check=True, stdin=subprocess.DEVNULL
        )
        assert found.stdout == f"301 {centre.url}/caldav/"
    assert centre.ask("PROPFIND", "/", account=agent).status != 301, "gvfs walks up to it from a folder"
    root = centre.ask("PROPFIND", "/caldav/", account=agent, headers={"Depth": "0"})
    assert root.status == 207 and f"{agent.home}".encode() in root.body  # current-user-principal
    home = centre.ask("PROPFIND", agent.home, _ALL_PROPS, account=agent, headers={"Depth": "1"})
    for name in ("Mon agenda", "Mes contacts", "Mairie", "Contacts de la mairie"):
        assert name.encode() in home.body


def test_without_a_password_or_with_one_that_was_revoked_nothing_opens(centre: Wall) -> None:
    leaver = centre.signs_in("part@beaune.test", collectivite_id=BEAUNE)
    other = centre.signs_in("reste@beaune.test", collectivite_id=BEAUNE)
    assert centre.ask("PROPFIND", leaver.home, account=leaver).status == 207
    wrong = Account(leaver.person_id, BEAUNE, "reste@beaune.test", leaver.password)
    for headers in ({}, wrong.header, {"Authorization": "Basic %%%"}, {"Authorization": "Bearer x"}):
        answer = centre.ask("PROPFIND", leaver.home, headers=headers)
        assert answer.status == 401
        assert answer.headers["WWW-Authenticate"].startswith("Basic realm=")
    projections.remove_person(centre.config, person_id=leaver.person_id)
    assert centre.ask("PROPFIND", leaver.home, account=leaver).status == 401
    assert centre.ask("PROPFIND", other.home, account=other).status == 207


def test_a_shared_collection_is_not_renamed_replaced_or_deleted(centre: Wall, agent: Account) -> None:
    shared = f"{agent.home}mairie-agenda/"
    rename = (
        '<?xml version="1.0"?><propertyupdate xmlns="DAV:"><set><prop><displayname>X</displayname></prop></set>'
        "</propertyupdate>"
    )
    assert centre.ask("DELETE", shared, account=agent).status == 403
    assert centre.ask("DELETE", agent.home, account=agent).status == 403
    assert centre.ask("PUT", shared, event("w", "W"), account=agent).status == 403
    assert centre.ask("PROPPATCH", shared, rename, account=agent).status == 403
    own = f"{agent.home}projet/"
    assert centre.ask("MKCALENDAR", own, account=agent).status == 201
    assert centre.ask("PROPPATCH", own, rename, account=agent).status == 207
    assert centre.ask("DELETE", own, account=agent).status == 200


def test_bad_and_hostile_requests_have_their_answers(centre: Wall, agent: Account) -> None:
    home, here = agent.home, f"{agent.home}agenda/x.ics"
    bomb = '<?xml version="1.0"?><!DOCTYPE z [<!ENTITY a "aaaaaaaaaa">' + "".join(
        f'<!ENTITY {chr(98 + n)} "{f"&{chr(97 + n)};" * 10}">' for n in range(9)
    ) + ']><propfind xmlns="DAV:"><prop><z>&j;</z></prop></propfind>'  # fmt: skip
    outside = (
        '<?xml version="1.0"?><!DOCTYPE z [<!ENTITY f SYSTEM "file:///etc/hostname">]>'
        '<propfind xmlns="DAV:"><prop><z>&f;</z></prop></propfind>'
    )
    cases = (
        ("PROPFIND", home, bomb, {"Depth": "0"}, 400),
        ("PROPFIND", home, outside, {"Depth": "0"}, 400),
        ("PROPFIND", home, "<not xml", {"Depth": "0"}, 400),
        ("PROPFIND", home, "", {"Depth": "infinity"}, 403),
        ("PROPFIND", home, "", {}, 207),
        ("PUT", here, "no calendar", {}, 400),
        ("PUT", here, event("x", "X", more="RRULE:FREQ=SECONDLY"), {}, 403),
        ("PUT", here, event("x", "X", more="RRULE:FRE\r\n Q=MINUTELY;COUNT=3"), {}, 403),
        ("PUT", here, event("x", "X", more="RRULE;ENCODING=QUOTED-PRINTABLE:=46REQ=HOURLY"), {}, 403),
        ("PUT", here, event("x", "X", more="RRULE:FREQ=DAILY;BYHOUR=1,2;BYMINUTE=1,2,3"), {}, 403),
        ("PUT", here, event("x", "X", more="RRULE:FREQ=DAILY\r\nEXRULE:freq=secondly"), {}, 403),
        ("PUT", here, event("x", "X", more="RRULE:FREQ=DAILY;COUNT=1000000"), {}, 400),
        ("PUT", here, event("x", "X", more="RRULE:FREQ=DAILY;INTERVAL=0"), {}, 403),
        ("PUT", here, event("x", "X", more="RRULE:FREQ=DAILY;BYMONTH=2;BYMONTHDAY=30"), {}, 403),
        ("PUT", here, event("x", "X", more="X" + ";a" * 60), {}, 400),
        ("PUT", here, event("x", "y" * (store.MAX_ITEM_BYTES + 1)), {}, 413),
        ("PUT", f"{home}agenda/{'n' * 250}.ics", event("n", "N"), {}, 414),
        ("PUT", f"{home}agenda/.hidden", event("n", "N"), {}, 404),
        ("PUT", f"{home}agenda/a%00b.ics", event("n", "N"), {}, 404),
        ("LOCK", here, "", {}, 405),
        ("POST", home, "", {}, 405),
        ("GET", "/caldav/.web", "", {}, 404),
        ("GET", "/caldav/.mobileconfig", "", {}, 404),
    )
    for method, path, body, headers, status in cases:
        answer = centre.ask(method, path, body, account=agent, headers=headers)
        assert answer.status == status, (method, path[-20:], answer.status, answer.body[:200])
    utf16 = {"Content-Type": "text/calendar; charset=utf-16"}
    coded = event("x", "X", more="RRULE:FREQ=SECONDLY").encode("utf-16")
    assert centre.ask("PUT", here, coded, account=agent, headers=utf16).status == 400
    for text in (bomb, outside):  # what is not recognised meets the parser, which takes no declaration at all
        answer = centre.ask("PROPFIND", home, text.encode("utf-16"), account=agent, headers={"Depth": "0"})
        assert answer.status in (400, 500) and b"aaaa" not in answer.body
    assert front_listeners.MAX_CALDAV_BODY_BYTES == app.MAX_BODY_BYTES
    for headers, status in (
        ({"Content-Length": str(app.MAX_BODY_BYTES + 1)}, 413),
        ({"Transfer-Encoding": "chunked"}, 411),
    ):
        assert centre.ask("REPORT", home, account=agent, headers=headers).status == status
    assert centre.ask("GET", here, account=agent).status == 404
    log = (centre.config.log / "calendars.out").read_text()
    assert "no calendar" not in log and "x.ics" not in log and agent.login not in log


def test_nothing_opens_once_the_commune_is_erased(centre: Wall) -> None:
    owner = "col_" + "9" * 26
    person = centre.signs_in("parti@ailleurs.test", collectivite_id=owner)
    assert centre.ask("PUT", f"{person.home}agenda/un.ics", event("un", "Un"), account=person).status == 201
    erase(centre.config, owner)
    assert centre.ask("GET", f"{person.home}agenda/un.ics", account=person).status == 401
    again = centre.signs_in("parti@ailleurs.test", collectivite_id=owner)
    assert centre.ask("GET", f"{again.home}agenda/un.ics", account=again).status == 410
    assert not homes.folder(centre.config, owner).exists()


def test_what_was_acknowledged_outlives_a_kill(centre: Wall) -> None:
    person = centre.signs_in("tue@beaune.test", collectivite_id=BEAUNE)
    acknowledged: list[str] = []
    started = threading.Event()

    def write(worker: int) -> None:
        for number in range(10_000):
            name = f"w{worker}-{number}.ics"
            try:
                answer = centre.ask(
                    "PUT", f"{person.home}mairie-agenda/{name}", event(name, "Gardé"), account=person
                )
            except OSError:
                return
            if answer.status != 201:
                return
            acknowledged.append(name)
            if len(acknowledged) > 30:
                started.set()

    writers = [threading.Thread(target=write, args=(worker,)) for worker in range(3)]
    for one in writers:
        one.start()
    assert started.wait(120)
    centre.engines.kill("calendars")
    for one in writers:
        one.join(120)
    (centre.config.run / "calendars.sock").unlink(missing_ok=True)
    centre.engines.start("calendars")
    for name in acknowledged:
        answer = centre.ask("GET", f"{person.home}mairie-agenda/{name}", account=person)
        assert answer.status == 200 and "Gardé" in answer.body.decode()
    put = centre.ask("PUT", f"{person.home}mairie-agenda/apres.ics", event("apres", "Après"), account=person)
    assert put.status == 201
