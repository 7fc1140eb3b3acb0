"""Room of calendars and contacts for programs, through the real front: full ones, one room with files, counts."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest
from beffroi.drive.calendars import homes
from beffroi.drive.calendars.items import MAX_ITEMS
from beffroi.drive.store import look, room, schema, tree
from beffroi.drive.store.commune import open_communes
from beffroi.drive.store.model import NO_LIMIT
from beffroi.supervise.front_limits import SOURCE_BODIES

from tests.fixtures_calendars import Wall, card, event, needs_front, wall

pytestmark = needs_front
BEAUNE = "col_" + "1" * 26


@pytest.fixture(scope="module")
def centre() -> Iterator[Wall]:
    with wall("bfr-", 23240) as running:
        yield running


def test_a_full_collection_says_so(centre: Wall) -> None:
    person = centre.signs_in("plein@beaune.test", collectivite_id=BEAUNE)
    path = f"{person.home}agenda/"
    assert centre.ask("PUT", f"{path}premier.ics", event("premier", "Premier"), account=person).status == 201
    place = homes.folder(centre.config, BEAUNE) / homes.ROOT / person.person_id / "agenda"
    # Whatever lies there counts; folders, since Radicale reads every entry before it takes a new one.
    for number in range(MAX_ITEMS - 1):
        (place / f"n{number}").mkdir()
    assert centre.ask("PUT", f"{path}trop.ics", event("trop", "Trop"), account=person).status == 507
    assert centre.ask("PUT", f"{path}premier.ics", event("premier", "Changé"), account=person).status in (
        201,
        204,
    )
    (place / "n0").rmdir()
    assert centre.ask("PUT", f"{path}trop.ics", event("trop", "Trop"), account=person).status == 201


def test_calendars_and_files_share_one_room(centre: Wall) -> None:
    person = centre.signs_in("complet@beaune.test", collectivite_id=BEAUNE)
    path = f"{person.home}agenda/"
    first, second = event("un", "Un"), event("deux", "Deux")
    assert centre.ask("PUT", f"{path}un.ics", first, account=person).status == 201
    with ThreadPoolExecutor(1) as pool:
        communes = open_communes(centre.config, pool)
        metadata = communes.metadata(BEAUNE)
        root = metadata.write(lambda w: tree.make_root(w, schema.HOME + person.person_id, now_s=1))
        sizes = homes.sizes(centre.config, BEAUNE)
        assert sizes[person.person_id] >= len(first)
        metadata.write(lambda w: tree.set_limit(w, root.id, sizes[person.person_id] + len(second) - 1))
        answer = centre.ask("PUT", f"{path}deux.ics", second, account=person)
        assert answer.status == 507
        assert centre.ask("GET", f"{path}un.ics", account=person).status == 200
        shorter = event("un", "U")
        assert centre.ask("PUT", f"{path}un.ics", shorter, account=person).status in (201, 204), (
            "nothing grows"
        )
        assert centre.ask("PUT", f"{path}un.ics", first, account=person).status in (201, 204)
        metadata.write(lambda w: tree.set_limit(w, root.id, sizes[person.person_id] + len(second)))
        assert centre.ask("PUT", f"{path}deux.ics", second, account=person).status == 201
        communes.close()


def test_who_never_opened_the_coffre_has_the_usual_room_for_calendars_and_contacts(centre: Wall) -> None:
    owner = "col_" + "6" * 26
    person = centre.signs_in("jamais@dijon.test", collectivite_id=owner)

    def ask(method: str, path: str, body: str = "", to: str = "") -> int:
        headers = {"Destination": centre.url + person.home + to} if to else {}
        return centre.ask(method, person.home + path, body, account=person, headers=headers).status

    assert ask("PUT", "mairie-agenda/commun.ics", event("commun", "Commun")) == 201
    with ThreadPoolExecutor(1) as pool:
        communes = open_communes(centre.config, pool)
        metadata = communes.metadata(owner)
        with metadata.reading() as reading:
            assert look.root(reading, schema.HOME + person.person_id) is None
            usual = room.usual(reading).person_bytes
        metadata.write(lambda w: room.add_calendars(w, person.person_id, usual - 10))
        assert ask("PUT", "agenda/un.ics", event("un", "Un")) == 507
        assert ask("PUT", "contacts/un.vcf", card("un", "Un")) == 507
        assert ask("MOVE", "mairie-agenda/commun.ics", to="agenda/commun.ics") == 507
        assert ask("PUT", "mairie-contacts/un.vcf", card("un", "Un")) == 201, "what all share is not theirs"
        metadata.write(lambda w: room.add_calendars(w, person.person_id, -10_000))
        assert ask("PUT", "agenda/un.ics", event("un", "Un")) == 201
        assert ask("PUT", "contacts/un.vcf", card("deux", "Deux")) == 201
        with metadata.reading() as reading:
            assert look.root(reading, schema.HOME + person.person_id) is None, "nothing was made for it"
        communes.close()


def test_each_change_of_an_entry_is_counted_with_it(centre: Wall) -> None:
    owner = "col_" + "7" * 26
    person = centre.signs_in("compte@dijon.test", collectivite_id=owner)
    home, text = person.home, event("un", "Un")
    with ThreadPoolExecutor(1) as pool:
        communes = open_communes(centre.config, pool)
        metadata = communes.metadata(owner)
        root = metadata.write(lambda w: tree.make_root(w, schema.HOME + person.person_id, now_s=1))

        def counted() -> dict[str, int]:
            with metadata.reading() as reading:
                found = room.calendars(reading)
            sizes = homes.sizes(centre.config, owner)
            assert found == {one: size for one, size in sizes.items() if size}
            return found

        def ask(method: str, path: str, body: str = "", to: str = "") -> int:
            headers = {"Destination": centre.url + home + to} if to else {}
            return centre.ask(method, home + path, body, account=person, headers=headers).status

        assert ask("PROPFIND", "") == 207
        empty = counted()  # what our collections are called
        assert set(empty) == {person.person_id, homes.SHARED_HOME}
        assert ask("PUT", "agenda/un.ics", text) == 201
        first = counted()[person.person_id]
        assert first >= len(text) + empty[person.person_id]
        assert ask("PUT", "agenda/un.ics", event("un", "Un titre plus long")) in (201, 204)
        assert counted()[person.person_id] > first
        assert ask("PUT", "mairie-agenda/deux.ics", event("deux", "Deux")) == 201
        assert counted()[homes.SHARED_HOME] > empty[homes.SHARED_HOME]
        # What is the mairie's is taken into the own home only where there is room.
        used = counted()[person.person_id]
        metadata.write(lambda w: tree.set_limit(w, root.id, used + 10))
        assert ask("MOVE", "mairie-agenda/deux.ics", to="agenda/deux.ics") == 507
        metadata.write(lambda w: tree.set_limit(w, root.id, used + 10_000))
        metadata.write(lambda w: tree.set_limit(w, room.WHOLE, sum(counted().values())))
        assert ask("MOVE", "mairie-agenda/deux.ics", to="agenda/deux.ics") == 201, "nothing grows as a whole"
        assert counted()[homes.SHARED_HOME] == empty[homes.SHARED_HOME]
        assert ask("PUT", "agenda/trois.ics", event("trois", "Trois")) == 507
        metadata.write(lambda w: tree.set_limit(w, room.WHOLE, NO_LIMIT))
        assert ask("MKCALENDAR", "voyages/") == 201
        assert ask("PUT", "voyages/a.ics", event("a", "A")) == 201
        assert ask("MOVE", "agenda/deux.ics", to="voyages/deux.ics") == 201
        before = counted()[person.person_id]
        assert ask("DELETE", "agenda/un.ics") == 200
        assert empty[person.person_id] < counted()[person.person_id] < before
        assert ask("DELETE", "voyages/") == 200
        assert counted() == empty
        communes.close()


def test_many_at_once_pass_a_limit_by_no_more_than_what_is_under_way(centre: Wall) -> None:
    owner, under_way = "col_" + "8" * 26, SOURCE_BODIES
    person = centre.signs_in("presse@dijon.test", collectivite_id=owner)
    text = event("x", "X" * 5_000)
    assert centre.ask("PUT", f"{person.home}agenda/x.ics", text, account=person).status == 201
    with ThreadPoolExecutor(1) as pool, ThreadPoolExecutor(under_way) as many:
        communes = open_communes(centre.config, pool)
        metadata = communes.metadata(owner)
        root = metadata.write(lambda w: tree.make_root(w, schema.HOME + person.person_id, now_s=1))
        one = homes.sizes(centre.config, owner)[person.person_id]
        metadata.write(lambda w: tree.set_limit(w, root.id, 6 * one))

        def put(number: int) -> int:
            body = event(f"n{number}", "X" * 5_000)
            return centre.ask("PUT", f"{person.home}agenda/n{number}.ics", body, account=person).status

        answers = list(many.map(put, range(40)))
        used = homes.sizes(centre.config, owner)[person.person_id]
        assert set(answers) == {201, 507}
        assert used <= (6 + under_way) * one + 1000
        with metadata.reading() as reading:
            assert room.calendars(reading)[person.person_id] == used
        communes.close()
