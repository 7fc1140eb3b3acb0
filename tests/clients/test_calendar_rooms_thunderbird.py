"""The real Thunderbird with a room: one more calendar, in which a booking that is refused is lost in no silence."""

from __future__ import annotations

from pathlib import Path

from tests.desk_thunderbird import needs_thunderbird, thunderbird
from tests.desk_thunderbird_person import Person
from tests.fixtures_calendars import add_room, at, event, needs_front, wall

pytestmark = [*needs_front, *needs_thunderbird]
PLACE = "mairie-salle-salle-des-fetes/"


def test_a_room_is_one_more_calendar_which_takes_nothing_twice(tmp_path: Path) -> None:
    with wall("bfk-", 23290) as centre, thunderbird(tmp_path) as program:
        program.trust(Path(centre.authorities))
        account = centre.signs_in("accueil@nolay.test", collectivite_id="col_" + "5" * 26)
        add_room(centre, account, "Salle des fêtes")
        person = Person(centre, account, program)
        found = person.adds_calendars(f"{centre.url}/")
        assert ["Salle des fêtes", f"{account.home}{PLACE}", False] in found
        loto, bal = (
            entry[entry.index("BEGIN:VEVENT") : entry.index("END:VCALENDAR")]
            for entry in (event("loto", "Loto", starts=at("0900")), event("bal", "Bal", starts=at("0930")))
        )
        person.does("return adds(given[0], given[1]);", PLACE, loto)
        assert "Loto" in person.stored(f"{PLACE}loto.ics")
        tried = "try { await adds(given[0], given[1]); } catch (error) { return String(error); } return '';"
        assert person.does(tried, PLACE, bal)
        assert not person.stored(f"{PLACE}bal.ics") and person.titles(PLACE) == {"loto": "Loto"}
