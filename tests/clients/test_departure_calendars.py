"""Calendars and contacts of somebody who left, as programs see them: vdirsyncer, at the colleague's and back."""

from __future__ import annotations

import re
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path

import pytest
from beffroi.drive import handover_calendars
from beffroi.drive.calendars import asking, homes
from beffroi.drive.store import handed, handovers, passed, room
from beffroi.drive.store.commune import Communes
from beffroi.drive.store.database import Database
from beffroi.drive.store.handovers import Handover
from beffroi.drive.store.model import NOTHING, Act
from beffroi.drive.store.passed import Going

from tests.clients.test_calendars import BOOKS, CALENDARS, Device
from tests.fixtures_calendars import Account, Wall, card, event, needs_front, wall

pytestmark = needs_front
BEAUNE = "col_" + "1" * 26
NOW_S = 1_800_000_000
_NAMES = '<?xml version="1.0"?><propfind xmlns="DAV:"><prop><displayname/><resourcetype/></prop></propfind>'
WEEKLY = "RRULE:FREQ=WEEKLY;COUNT=10\r\nEXDATE:20261210T090000Z"


@pytest.fixture(scope="module")
def centre() -> Iterator[Wall]:
    with wall("bfq-", 23190) as running:
        yield running


@pytest.fixture
def database(centre: Wall) -> Iterator[Database]:
    with (
        ThreadPoolExecutor(1) as threads,
        closing(Communes(centre.config.state / "drive", threads, "")) as communes,
    ):
        yield communes.metadata(BEAUNE)


def shown(centre: Wall, account: Account) -> dict[str, str]:
    """Names of collections by what a program shows."""
    answer = centre.ask("PROPFIND", account.home, _NAMES, account=account, headers={"Depth": "1"})
    assert answer.status == 207
    pairs = re.findall(
        rf"<href>{account.home}([^<]+)/</href>.*?<displayname>([^<]*)</displayname>", answer.body.decode()
    )
    return {title: name for name, title in pairs}


def begin(centre: Wall, database: Database, who: Account, heir: Account) -> Handover:
    found = asking.left(centre.config, person_id=who.person_id, collectivite_id=BEAUNE)
    going = [
        Going(one.name, one.kind, f"{one.title} (Jeanne)", one.entries, one.size_bytes)
        for one in found.collections
    ]
    act, there = Act("per_referent", "", NOW_S), handed.Left(0, 0, 0, 0, NOTHING)
    return database.write(
        lambda w: handovers.begin(
            w, act, there, person_id=who.person_id, heir=heir.person_id, label="x", going=going
        )
    )


def carry_out(centre: Wall, database: Database, one: Handover) -> None:
    while handover_calendars.step(centre.config, database, one, BEAUNE):
        pass


def require_counted(centre: Wall, database: Database) -> None:
    with database.reading() as reading:
        kept = room.calendars(reading)
    there = {owner: size for owner, size in homes.sizes(centre.config, BEAUNE).items() if size}
    assert kept == there


def test_a_colleague_s_program_finds_them_changes_them_and_their_owner_s_has_them_back(
    centre: Wall, database: Database, tmp_path: Path
) -> None:
    jeanne = centre.signs_in("jeanne@beaune.test", collectivite_id=BEAUNE)
    paul = centre.signs_in("paul@beaune.test", collectivite_id=BEAUNE)
    hers, his = Device(tmp_path / "a", centre, jeanne), Device(tmp_path / "b", centre, paul)
    hers.put("agenda", "s.ics", event("s@tests", "Permanence", more=WEEKLY))
    hers.put("agenda", "v.ics", event("v@tests", "Visite du chantier"))
    hers.put("agenda", "p.ics", event("p@tests", "Cardiologue", more="CLASS:PRIVATE"))
    hers.put("mairie-agenda", "c.ics", event("c@tests", "Conseil municipal"))
    hers.put("contacts", "i.vcf", card("i@tests", "Imprimeur Élise"))
    hers.run("sync")
    his.put("agenda", "v.ics", event("v@tests", "Visite\\, chez moi"))
    his.run("sync")
    made = begin(centre, database, jeanne, paul)
    carry_out(centre, database, made)
    require_counted(centre, database)
    titles = shown(centre, paul)
    assert titles.keys() == {
        *("Mon agenda", "Mes contacts", "Mairie", "Contacts de la mairie"),
        *("Mon agenda (Jeanne)", "Mes contacts (Jeanne)"),
    }
    dates, people = titles["Mon agenda (Jeanne)"], titles["Mes contacts (Jeanne)"]
    phone = Device(tmp_path / "c", centre, paul, (*CALENDARS, dates), (*BOOKS, people))
    phone.run("sync")
    found = "".join(phone.texts(dates))
    assert "Visite du chantier" in found and "Cardiologue" not in found
    assert "UID:s@tests" in found and "FREQ=WEEKLY;COUNT=10" in found and "EXDATE" in found
    assert "Imprimeur Élise" in "".join(phone.texts(people))
    assert ["chez moi" in one for one in phone.texts("agenda")] == [True], "nothing is merged"
    assert "Conseil municipal" in "".join(phone.texts("mairie-agenda"))
    for one in (phone.place / "files" / dates).iterdir():
        if "Visite" in (text := one.read_text()):
            one.write_bytes(text.replace("Visite du chantier", "Visite reportée").encode())
    phone.put(dates, "mine.ics", event("mine@tests", "Note de Paul"))
    phone.run("sync")
    assert database.write(lambda w: handovers.begin_return(w, jeanne.person_id, since_s=NOW_S))
    with database.reading() as reading:
        returning = handovers.find(reading, made.id)
    carry_out(centre, database, returning)
    require_counted(centre, database)
    with database.reading() as reading:
        assert passed.counts(reading, made.id) == {"agenda": 2, "contacts": 1}
    hers.run("sync")
    found = "".join(hers.texts("agenda"))
    assert "Visite reportée" in found and "UID:s@tests" in found and "Cardiologue" in found
    assert len(hers.texts("agenda")) == 3 and len(hers.texts("contacts")) == 1
    again = Device(tmp_path / "d", centre, paul, (*CALENDARS, dates))
    again.run("sync")
    assert ["Note de Paul" in one for one in again.texts(dates)] == [True], "what he added is his"
    assert shown(centre, paul).keys() == titles.keys() - {"Mes contacts (Jeanne)"}


def test_what_programs_write_meanwhile_is_neither_lost_nor_mixed(centre: Wall, database: Database) -> None:
    anne = centre.signs_in("anne@beaune.test", collectivite_id=BEAUNE)
    luc = centre.signs_in("luc@beaune.test", collectivite_id=BEAUNE)
    for number in range(30):
        path = f"{anne.home}agenda/{number}.ics"
        assert centre.ask("PUT", path, event(str(number), "Rendez-vous"), account=anne).status == 201
    made = begin(centre, database, anne, luc)

    def write(number: int) -> int:
        path = f"{luc.home}agenda/l{number}.ics"
        return centre.ask("PUT", path, event(f"l{number}", "À Luc"), account=luc).status

    with ThreadPoolExecutor(3) as threads:
        writes = threads.map(write, range(12))
        carry_out(centre, database, made)
        assert set(writes) == {201}
    require_counted(centre, database)
    root = homes.folder(centre.config, BEAUNE) / homes.ROOT
    assert len(list((root / luc.person_id / "agenda").glob("*.ics"))) == 12
    (row,) = _rows(database, made)
    assert len(list((root / luc.person_id / row.made).glob("*.ics"))) == row.entries == 30
    assert not list((root / anne.person_id / "agenda").glob("*.ics"))


def _rows(database: Database, made: Handover) -> list[passed.Passed]:
    with database.reading() as reading:
        return passed.of(reading, made.id)
