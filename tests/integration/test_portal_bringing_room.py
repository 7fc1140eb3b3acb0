"""Files of contacts and of an agenda have their room: while they wait, as they are taken in, and when they go."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from beffroi.drive.calendars import homes
from beffroi.drive.calendars.wire_bringing import KEPT_DAYS
from beffroi.drive.store import look, room, schema, tree
from beffroi.drive.store.database import Database
from beffroi.drive.store.model import NO_LIMIT
from beffroi.drive.upkeep import Upkeep
from beffroi.lib import clock
from beffroi.lib.config import Config
from beffroi.portal import drive_access

from tests.calendar_pages import full, portal, process
from tests.conftest import Commune
from tests.contact_pages import NOTARY
from tests.fixtures_portal import no_door, portal_client
from tests.integration.test_portal_agenda import CONSEIL
from tests.integration.test_portal_bringing import BROKEN, PAUL, ZOE, act, book_of, bring, card, names, shown

__all__ = ["full", "no_door", "portal", "process"]
pytestmark = pytest.mark.usefixtures("database")
LARGE = card("Ali", f"NOTE:{'x' * 5000}")
FULL = "Il n’y a plus de place pour tout cela"


@pytest.fixture
def database(database: object, beaune: Commune) -> Database:
    return drive_access.metadata_of(beaune.id)


def counted(config: Config, database: Database, beaune: Commune) -> dict[str, int]:
    """Bytes by owner, which are those on the disk, without what our collections are called."""
    with database.reading() as reading:
        found = room.calendars(reading)
    assert found == {owner: size for owner, size in homes.sizes(config, beaune.id).items() if size}
    root = homes.folder(config, beaune.id) / homes.ROOT
    for owner in found:
        own = [one for one in (root / owner).iterdir() if not one.is_symlink()]
        found[owner] -= sum(one.stat().st_size for each in own for one in each.glob(homes.PROPS))
    return {owner: size for owner, size in found.items() if size}


def used(config: Config, beaune: Commune) -> int:
    return sum(homes.sizes(config, beaune.id).values())


@contextmanager
def limited(database: Database, place: str, most_bytes: int) -> Iterator[None]:
    """``place``: the name of a root, "" for the collectivité."""
    root = room.WHOLE
    if place:
        with database.reading() as reading:
            found = look.root(reading, place)
        made = found or database.write(lambda w: tree.make_root(w, place, now_s=clock.epoch_s()))
        root = made.id
    database.write(lambda w: tree.set_limit(w, root, most_bytes))
    yield
    database.write(lambda w: tree.set_limit(w, root, NO_LIMIT))


@pytest.mark.parametrize("calendar", ["prive", "commun"])
def test_a_file_counts_while_it_waits_and_what_came_of_it_where_it_lies(
    beaune: Commune, config: Config, database: Database, calendar: str
) -> None:
    agent, me = portal_client(beaune.agent_membership), beaune.agent.id
    goes_to = me if calendar == "prive" else homes.SHARED_HOME
    bring(agent, LARGE, calendar=calendar)
    waiting = counted(config, database, beaune)
    assert set(waiting) == {me} and waiting[me] > len(LARGE)
    bring(agent, PAUL, calendar=calendar)
    assert counted(config, database, beaune)[me] < 1000, "it took the place of the other"
    bring(agent, LARGE, calendar=calendar)
    act(agent, "take")
    taken = counted(config, database, beaune)
    assert taken[goes_to] >= len(LARGE) and sum(taken.values()) < len(LARGE) + 1500, "it lies there once"
    act(agent, "undo")
    assert counted(config, database, beaune) == {}
    bring(agent, LARGE, calendar=calendar)
    assert "Rien n’a été ajouté" in act(agent, "drop") and counted(config, database, beaune) == {}


def test_a_file_that_finds_no_room_does_not_wait_and_the_one_before_stays(
    beaune: Commune, config: Config, database: Database
) -> None:
    agent, home = portal_client(beaune.agent_membership), schema.HOME + beaune.agent.id
    bring(agent, PAUL)
    before = counted(config, database, beaune)
    for place in (home, ""):
        with limited(database, place, used(config, beaune) + 100):
            for calendar in ("prive", "commun"):
                assert FULL in bring(agent, LARGE, calendar=calendar)
            assert "<li>Paul Dupont</li>" in shown(agent) and counted(config, database, beaune) == before
            assert "1 nouveau contact" in bring(agent, ZOE), "what is no larger takes its place"
            bring(agent, PAUL)


def test_a_file_that_waits_in_the_last_room_is_taken_in(
    beaune: Commune, config: Config, database: Database
) -> None:
    agent, home = portal_client(beaune.agent_membership), schema.HOME + beaune.agent.id
    for place, calendar in ((home, "prive"), ("", "prive"), ("", "commun")):
        bring(agent, LARGE, calendar=calendar)
        with limited(database, place, used(config, beaune)):
            assert "1 contact est ajouté" in act(agent, "take")
            act(agent, "undo")


def test_without_room_where_it_goes_nothing_comes(beaune: Commune, database: Database) -> None:
    agent = portal_client(beaune.agent_membership)
    bring(agent, PAUL + ZOE)
    with limited(database, schema.COMMON, 10):
        assert FULL in act(agent, "take") and names(agent) == []
    assert "2 nouveaux contacts" in shown(agent)
    assert "2 contacts sont ajoutés" in act(agent, "take")


def test_a_full_collectivite_takes_no_file(beaune: Commune, full: None) -> None:
    agent = portal_client(beaune.agent_membership)
    assert FULL in bring(agent, PAUL) and 'name="id"' not in shown(agent)


def known(beaune: Commune) -> None:
    """Two contacts come into the book that all share, by a colleague."""
    colleague = portal_client(beaune.colleague_membership)
    bring(colleague, LARGE + PAUL)
    act(colleague, "take")


def test_a_file_in_which_nothing_is_new_needs_no_room(
    beaune: Commune, config: Config, database: Database
) -> None:
    known(beaune)
    agent, home = portal_client(beaune.agent_membership), schema.HOME + beaune.agent.id
    for place in (home, "", schema.COMMON):
        with limited(database, place, 1):
            told = bring(agent, LARGE + PAUL + BROKEN)
            assert "0 nouveau" in told and "2 y sont déjà" in told and 'name="take"' not in told
            assert "du fichier : abîmé ou incomplet" in told
        (
            homes.folder(config, beaune.id) / homes.ROOT / beaune.agent.id / ".Beffroi.brought-contacts"
        ).unlink()


def test_a_file_is_judged_by_what_is_new_in_it(beaune: Commune, config: Config, database: Database) -> None:
    known(beaune)
    agent, home = portal_client(beaune.agent_membership), schema.HOME + beaune.agent.id
    known_bytes = counted(config, database, beaune)
    for place, before in ((home, 0), ("", used(config, beaune))):
        with limited(database, place, before + 1000):
            assert FULL in bring(agent, LARGE + ZOE + card("Max", f"NOTE:{'x' * 1000}"))
            assert counted(config, database, beaune) == known_bytes
            assert "1 nouveau contact" in bring(agent, LARGE + ZOE)
            assert 0 < counted(config, database, beaune)[beaune.agent.id] <= 1000
            assert "1 contact est ajouté" in act(agent, "take")
            assert names(agent) == ["Ali", "Paul Dupont", "Zoé Léger"]
            act(agent, "undo")
            assert counted(config, database, beaune) == known_bytes


def test_who_never_opened_the_coffre_has_the_usual_room(beaune: Commune, database: Database) -> None:
    agent, home = portal_client(beaune.agent_membership), schema.HOME + beaune.agent.id

    def save_contact() -> int:
        return agent.post("/contacts/ajouter/", NOTARY | {"calendar": "prive"}).status_code

    def save_entry() -> int:
        return agent.post("/agenda/ajouter/", CONSEIL | {"calendar": "prive"}).status_code

    with database.reading() as reading:
        assert look.root(reading, home) is None
        usual = room.usual(reading).person_bytes
    database.write(lambda w: room.add_calendars(w, beaune.agent.id, usual - 10))
    assert FULL in bring(agent, PAUL, calendar="prive") and FULL in bring(agent, PAUL, calendar="commun")
    assert (save_contact(), save_entry(), names(agent)) == (409, 409, [])
    database.write(lambda w: room.add_calendars(w, beaune.agent.id, -10_000))
    assert "1 nouveau contact" in bring(agent, PAUL, calendar="prive")
    assert (save_contact(), save_entry(), len(names(agent))) == (302, 302, 1)
    with database.reading() as reading:
        assert look.root(reading, home) is None, "nothing was made for it"


def test_another_persons_and_another_communes_room_stays_as_it_is(
    beaune: Commune, nuits: Commune, config: Config, database: Database
) -> None:
    bring(portal_client(beaune.agent_membership), LARGE)
    assert set(counted(config, database, beaune)) == {beaune.agent.id}
    with drive_access.metadata_of(nuits.id).reading() as reading:
        assert room.calendars(reading) == {}


def test_a_file_that_is_forgotten_gives_its_room_back(
    beaune: Commune, config: Config, database: Database
) -> None:
    bring(portal_client(beaune.agent_membership), LARGE)
    assert counted(config, database, beaune)
    upkeep = Upkeep(config, drive_access._communes())
    upkeep.look_after(beaune.id)
    assert homes.brought(book_of(config, beaune, beaune.agent.id).parent, "contacts").exists()
    for hours in (1, 26):  # terms are counted to when all was tidied before
        with clock.shifted((KEPT_DAYS * 24 + hours) * 3600):
            upkeep.look_after(beaune.id)
    assert counted(config, database, beaune) == {}
