"""Names, colours and other properties of calendars and address books: what programs set, its bound, its room."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from beffroi.drive.calendars import app, homes
from beffroi.drive.calendars.counted import MAX_PROPS_BYTES
from beffroi.drive.store import room, schema, tree
from beffroi.drive.store.commune import open_communes
from beffroi.drive.store.database import Database

from tests.clients.test_calendars import Device
from tests.fixtures_calendars import Account, Answer, Wall, needs_front, wall

pytestmark = needs_front
OWNER = "col_" + "3" * 26
_SPACES = (
    'xmlns="DAV:" xmlns:C="urn:ietf:params:xml:ns:caldav" xmlns:R="urn:ietf:params:xml:ns:carddav"'
    ' xmlns:I="http://apple.com/ns/ical/" xmlns:S="http://calendarserver.org/ns/"'
)
_RULES = "".join(
    f"BEGIN:{kind}\nTZNAME:{name}\nTZOFFSETFROM:{off}\nTZOFFSETTO:{to}\nDTSTART:{year}0328T020000\n"
    f"RRULE:FREQ=YEARLY;UNTIL={year + 1}0328T010000Z;BYMONTH=3;BYDAY=-1SU\nEND:{kind}\n"
    for year in range(1976, 1996)
    for kind, name, off, to in (
        ("DAYLIGHT", "CEST", "+0100", "+0200"),
        ("STANDARD", "CET", "+0200", "+0100"),
    )
)
ZONE = (
    "BEGIN:VCALENDAR\nVERSION:2.0\nPRODID:-//tests//FR\nBEGIN:VTIMEZONE\nTZID:Europe/Paris\n"
    f"{_RULES}END:VTIMEZONE\nEND:VCALENDAR\n"
)
"""As DAVx5 sends the zone of a phone, with its history."""
DAVX5 = (
    "<displayname>Réunions de la mairie</displayname>"
    "<C:calendar-description>Commissions, conseils, permanences du samedi</C:calendar-description>"
    "<I:calendar-color>#8bc34aff</I:calendar-color><C:calendar-timezone-id>Europe/Paris</C:calendar-timezone-id>"
    f"<C:calendar-timezone>{ZONE}</C:calendar-timezone><C:supported-calendar-component-set>"
    '<C:comp name="VEVENT"/><C:comp name="VTODO"/><C:comp name="VJOURNAL"/></C:supported-calendar-component-set>'
)
_ALARM = (
    "BEGIN:VALARM\nX-WR-ALARMUID:9F5B0F2C-6A3D-4C3B-9C62-2B6B9A3C1D11\nUID:9F5B0F2C-6A3D-4C3B-9C62-2B6B9A3C1D11\n"
    "TRIGGER:-PT15M\nATTACH;VALUE=URI:Chord\nACTION:AUDIO\nX-APPLE-DEFAULT-ALARM:TRUE\nEND:VALARM\n"
)
APPLE = (
    "<displayname>Perso</displayname><I:calendar-color symbolic-color='blue'>#0E61B9FF</I:calendar-color>"
    "<I:calendar-order>3</I:calendar-order><C:schedule-calendar-transp>opaque</C:schedule-calendar-transp>"
    f"<C:calendar-timezone>{ZONE}</C:calendar-timezone>"
    f"<C:default-alarm-vevent-datetime>{_ALARM}</C:default-alarm-vevent-datetime>"
    f"<C:default-alarm-vevent-date>{_ALARM}</C:default-alarm-vevent-date>"
)


def made(properties: str) -> str:
    return f'<?xml version="1.0"?><C:mkcalendar {_SPACES}><set><prop>{properties}</prop></set></C:mkcalendar>'


def set_to(properties: str, what: str = "set") -> str:
    inside = f"<{what}><prop>{properties}</prop></{what}>"
    return f'<?xml version="1.0"?><propertyupdate {_SPACES}>{inside}</propertyupdate>'


@pytest.fixture(scope="module")
def centre() -> Iterator[Wall]:
    with wall("bfk-", 23200) as running:
        yield running


class Own:
    """Somebody with a program; ``metadata``: where their room is kept."""

    def __init__(self, centre: Wall, account: Account, metadata: Database) -> None:
        self.centre, self.account, self.metadata = centre, account, metadata
        self.place = homes.folder(centre.config, OWNER) / homes.ROOT / account.person_id

    def ask(self, method: str, path: str, body: str = "") -> Answer:
        return self.centre.ask(method, self.account.home + path, body, account=self.account)

    def kept_bytes(self, collection: str) -> int:
        return (self.place / collection / homes.PROPS).stat().st_size

    def counted(self) -> int:
        """As on disk."""
        with self.metadata.reading() as reading:
            found = room.calendars(reading).get(self.account.person_id, 0)
        assert found == homes.sizes(self.centre.config, OWNER)[self.account.person_id]
        return found

    def limit(self, limit_bytes: int) -> None:
        root = self.metadata.write(lambda w: tree.make_root(w, schema.HOME + self.account.person_id, now_s=1))
        self.metadata.write(lambda w: tree.set_limit(w, root.id, limit_bytes))


@pytest.fixture
def own(centre: Wall, request: pytest.FixtureRequest) -> Iterator[Own]:
    account = centre.signs_in(f"{request.node.name[:40]}@dijon.test", collectivite_id=OWNER)
    with ThreadPoolExecutor(1) as pool:
        communes = open_communes(centre.config, pool)
        yield Own(centre, account, communes.metadata(OWNER))
        communes.close()


def test_what_programs_set_is_taken_and_stays_far_below(own: Own, tmp_path: Path) -> None:
    assert own.ask("MKCALENDAR", "davx5/", made(DAVX5)).status == 201
    assert own.ask("MKCALENDAR", "apple/", made(APPLE)).status == 201
    assert own.ask("PROPPATCH", "apple/", set_to(APPLE.replace("Perso", "Maison"))).status == 207
    book = "<resourcetype><collection/><R:addressbook/></resourcetype><displayname>Livreurs</displayname>"
    body = f'<?xml version="1.0"?><mkcol {_SPACES}><set><prop>{book}</prop></set></mkcol>'
    assert own.ask("MKCOL", "livreurs/", body).status == 201
    device = Device(tmp_path / "a", own.centre, own.account, ("agenda",), ("contacts",))
    config = device.place / "config"
    kinds = '["displayname", "color", "description", "order"]'
    config.write_text(
        config.read_text().replace(
            "[pair caldav]", f'[pair caldav]\nmetadata = {kinds}\nconflict_resolution = "a wins"'
        )
    )
    for name, said in (("displayname", "Le mien"), ("color", "#8bc34a"), ("description", "x" * 200)):
        (device.place / "files" / "agenda" / name).write_text(said)
    device.run("metasync")
    answer = own.ask(
        "PROPFIND", "agenda/", '<?xml version="1.0"?><propfind xmlns="DAV:"><allprop/></propfind>'
    )
    assert "Le mien" in answer.body.decode() and "#8bc34a" in answer.body.decode()
    sizes = {one: own.kept_bytes(one) for one in ("davx5", "apple", "livreurs", "agenda", "contacts")}
    assert all(size < MAX_PROPS_BYTES / 3 for size in sizes.values()), sizes
    own.counted()


def test_properties_have_an_end_however_they_come(own: Own) -> None:
    long = "é" * (MAX_PROPS_BYTES // 6 + 1)
    assert own.ask("MKCALENDAR", "long/", made(f"<displayname>{long}</displayname>")).status == 507
    assert not (own.place / "long").exists() and not list(own.place.glob(".Radicale.tmp-*"))
    assert own.ask("MKCALENDAR", "projet/", made("<displayname>Projet</displayname>")).status == 201
    before = own.kept_bytes("projet")
    answer = own.ask("PROPPATCH", "projet/", set_to(f"<displayname>{long}</displayname>"))
    assert (answer.status, str(MAX_PROPS_BYTES) in answer.body.decode()) == (507, True)
    assert own.kept_bytes("projet") == before, "nothing of it is kept"
    statuses = [
        own.ask("PROPPATCH", "projet/", set_to(f"<I:p{number}>{'x' * 4000}</I:p{number}>")).status
        for number in range(10)
    ]
    assert statuses == [207] * 8 + [507] * 2
    assert before < own.kept_bytes("projet") <= MAX_PROPS_BYTES
    too_long = set_to(f"<I:p0>{'x' * app.MAX_SAID_BYTES}</I:p0>")
    for method in ("PROPPATCH", "MKCALENDAR", "MKCOL"):
        assert own.ask(method, "autre/", too_long).status == 413
    props = own.place / "projet" / homes.PROPS
    props.write_text(props.read_text().replace("}", f', "ICAL:old": "{"x" * MAX_PROPS_BYTES}"}}'))
    assert own.ask("PROPPATCH", "projet/", set_to("<displayname>Plus long</displayname>")).status == 507
    assert own.ask("PROPPATCH", "projet/", set_to("<I:p1/>", "remove")).status == 207, "it gets shorter"
    assert own.ask("PROPPATCH", "projet/", set_to("<I:old/>", "remove")).status == 207
    assert own.ask("PROPPATCH", "projet/", set_to("<displayname>Plus long</displayname>")).status == 207


def test_properties_take_room_and_find_none_in_a_full_one(own: Own) -> None:
    assert own.ask("MKCALENDAR", "a/", made("<displayname>A</displayname>")).status == 201
    first, text = own.counted(), set_to(f"<displayname>{'A' * 1000}</displayname>")
    assert own.ask("PROPPATCH", "a/", text).status == 207
    assert own.counted() == first + 999
    own.limit(own.counted() + 100)
    assert own.ask("PROPPATCH", "a/", text).status == 507
    assert own.ask("MKCALENDAR", "b/", made(f"<displayname>{'B' * 100}</displayname>")).status == 507
    assert not (own.place / "b").exists()
    own.limit(own.counted() + 2000)
    assert own.ask("MKCALENDAR", "b/", made(f"<displayname>{'B' * 100}</displayname>")).status == 201
    both = own.counted()
    assert own.ask("DELETE", "b/").status == 200
    assert own.counted() < both
    assert own.ask("DELETE", "a/").status == 200
    assert own.counted() < first
