"""Calendars and contacts of somebody who left, on the record of the departure, over the real process ``calendars``."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from beffroi.core.events.outbox import publish
from beffroi.core.events.running import run_pending
from beffroi.core.identity.actor import Actor
from beffroi.drive import handover, handover_calendars
from beffroi.drive.calendars import asking, homes, passing, wire
from beffroi.drive.calendars.store import Stores
from beffroi.drive.store import handovers, look, room, schema, tree
from beffroi.lib import clock
from beffroi.lib.config import Config
from beffroi.lib.errors import NotAllowed, Unavailable
from beffroi.mail.models import Sending
from beffroi.mail.people.models import Departure
from beffroi.portal import drive_access, person_file
from beffroi.portal.departure_calendars import of_person
from django.db import transaction
from django.test import Client
from django.urls import reverse
from django.utils.text import slugify

from tests.conftest import Commune
from tests.drive_pages import Drive
from tests.fixtures_calendars import calendars_alone, card, event
from tests.fixtures_portal import confirmed, no_door, portal_client
from tests.integration.test_departure_files import hand_over, verbs
from tests.integration.test_drive_groups import Hall, hall
from tests.integration.test_drive_returns import leave
from tests.integration.test_portal_people import seen
from tests.markup import text_of

__all__ = ["hall", "no_door"]
pytestmark = pytest.mark.django_db
MONTH = "2026-12"
INVITING = "ORGANIZER:mailto:jeanne@beaune.test\r\nATTENDEE:mailto:maire@beaune.test"
SERIES = "RRULE:FREQ=WEEKLY;COUNT=3"


@pytest.fixture(autouse=True)
def process(config: Config) -> Iterator[None]:
    with calendars_alone(config):
        yield


class Own:
    """One's own calendars and contacts, as files."""

    def __init__(self, config: Config, collectivite_id: str, person_id: str) -> None:
        Stores(config, lambda *_: None).home(collectivite_id, person_id)
        self.place = homes.folder(config, collectivite_id) / homes.ROOT / person_id

    def put(self, collection: str, name: str, text: str) -> Path:
        path = self.place / collection / name
        path.write_text(text, newline="")
        return path

    def names(self) -> set[str]:
        found = self.place.rglob("*.*")
        return {
            one.name for one in found if one.suffix in (".ics", ".vcf") and ".Radicale.cache" not in one.parts
        }

    def handed(self) -> list[str]:
        return passing.handed(self.place, "agenda")


@pytest.fixture
def theirs(config: Config, beaune: Commune) -> Own:
    made = Own(config, beaune.id, beaune.colleague.id)
    made.put("agenda", "a.ics", event("a", "Rendez-vous Petit", more=INVITING))
    made.put("agenda", "s.ics", event("s", "Permanence", more=SERIES))
    made.put("agenda", "p.ics", event("p", "Cardiologue", more="CLASS:PRIVATE"))
    made.put("contacts", "c.vcf", card("c", "Imprimeur"))
    return made


@pytest.fixture
def mine(config: Config, beaune: Commune) -> Own:
    """Of the colleague who gets it."""
    made = Own(config, beaune.id, beaune.agent.id)
    made.put("agenda", "a.ics", event("a", "Rendez-vous Petit de mon côté"))
    return made


@pytest.fixture
def third(config: Config, beaune: Commune) -> Own:
    return Own(config, beaune.id, beaune.referent.id)


@pytest.fixture
def referent(beaune: Commune) -> Client:
    return confirmed(beaune.referent_membership)


def agenda(commune: Commune, month: str = MONTH) -> str:
    return portal_client(commune.agent_membership).get(f"/agenda/?mois={month}").content.decode()


def undo(client: Client, departure: Departure) -> None:
    client.post(reverse("departure", args=[departure.id]))
    run_pending("main")


def test_a_referent_hands_calendars_and_contacts_over_with_one_button(
    beaune: Commune, hall: Hall, theirs: Own, mine: Own, referent: Client
) -> None:
    departure = leave(hall)
    page = seen(referent, "departure", departure.id)
    assert "2 rendez-vous et 1 contact" in page and "1 rendez-vous ou contact reste fermé" in page
    choice = seen(referent, "departure_files", departure.id)
    assert "2 rendez-vous et 1 contact" in choice and "fichier de son Coffre" not in choice
    assert not any(word in page + choice for word in ("Petit", "Cardiologue", "Imprimeur"))
    hand_over(referent, departure, beaune.agent.id)
    run_pending("main")
    page = seen(referent, "departure", departure.id)
    assert "Remis à agent" in page and "2 rendez-vous et 1 contact" in page and "0 fichier" not in page
    assert "1 rendez-vous ou contact reste fermé" in page and "Remettre à un collègue" not in page
    name = beaune.colleague_membership.person.name
    own = {json.loads(one.read_text())["D:displayname"] for one in mine.place.glob("remis-*/.Radicale.props")}
    assert own == {f"Agenda de {name}", f"Contacts de {name}"}
    assert theirs.names() == {"p.ics"} and mine.names() == {"a.ics", "s.ics", "c.vcf"}
    assert "de mon côté" in (mine.place / "agenda" / "a.ics").read_text(), "nothing is merged"
    people = {"person_id": beaune.colleague.id, "heir": beaune.agent.id}
    assert verbs() == [
        ("begun", {**people, "files": 0, "closed": 0, "agenda": 2, "contacts": 1}),
        ("done", {**people, "files": 0, "agenda": 2, "contacts": 1, "why": ""}),
    ]
    assert not Sending.objects.exists(), "nobody is invited anew"
    with drive_access.metadata_of(beaune.id).reading() as reading:
        kept = room.calendars(reading)
    assert kept[beaune.agent.id] == sum(homes.entries(mine.place))
    assert kept[beaune.colleague.id] == sum(homes.entries(theirs.place))


def test_the_colleague_reads_them_on_the_page_agenda_and_changes_them_elsewhere(
    beaune: Commune, hall: Hall, theirs: Own, mine: Own, referent: Client
) -> None:
    assert "Permanence" not in agenda(beaune)
    hand_over(referent, leave(hall), beaune.agent.id)
    run_pending("main")
    page = agenda(beaune)
    assert page.count(f"Agenda de {beaune.colleague_membership.person.name}") == 5, (
        "four dates, one to download"
    )
    assert page.count("Permanence") == 3, "the series is whole"
    assert "Rendez-vous Petit de mon côté" in page and "Cardiologue" not in page
    assert page.count('/agenda/prive/a.ics/"') == 1, "only one's own is changed here"
    assert page.count("/agenda/remis/") == 1
    client = portal_client(beaune.agent_membership)
    assert client.get("/agenda/remis/s.ics/").status_code == 404
    other = portal_client(beaune.referent_membership).get(f"/agenda/?mois={MONTH}").content.decode()
    assert "Permanence" not in other


@pytest.fixture
def given(beaune: Commune, hall: Hall, theirs: Own, mine: Own, referent: Client) -> dict[str, str]:
    """Addresses of what the colleague was handed, with a group of two, one of them private."""
    theirs.put("contacts", "p.vcf", card("p", "Cardiologue").replace("FN:", "CLASS:PRIVATE\r\nFN:"))
    members = "".join(f"X-ADDRESSBOOKSERVER-MEMBER:urn:uuid:{uid}\r\n" for uid in ("c", "p"))
    group = f"X-ADDRESSBOOKSERVER-KIND:group\r\n{members}FN:"
    theirs.put("contacts", "g.vcf", card("g", "Travaux").replace("FN:", group))
    hand_over(referent, leave(hall), beaune.agent.id)
    run_pending("main")
    (dates,), (book,) = mine.handed(), passing.handed(mine.place, "contacts")
    return {
        "dates": f"/agenda/remis/{dates}.ics",
        "book": f"/contacts/remis/{book}.vcf",
        "group": f"/contacts/groupes/remis/{book}/g.vcf/",
    }


def test_the_colleague_downloads_them_and_reads_their_groups(
    beaune: Commune, mine: Own, given: dict[str, str]
) -> None:
    client = portal_client(beaune.agent_membership)
    title = f"Contacts de {beaune.colleague_membership.person.name}"
    page = text_of(client.get("/contacts/"))
    assert f'href="{given["book"]}"' in page and f"Télécharger « {title} »" in page
    assert f'href="{given["group"]}"' in page and "Travaux" in page
    answer = client.get(given["book"])
    assert answer["Content-Type"] == "text/vcard; charset=utf-8"
    assert f'filename="{slugify(title)}.vcf"' in answer["Content-Disposition"]
    text = answer.content.decode()
    assert "FN:Imprimeur" in text and "FN:Travaux" in text and "Cardiologue" not in text
    assert f'href="{given["dates"]}"' in agenda(beaune)
    answer = client.get(given["dates"])
    assert (
        answer["Content-Type"] == "text/calendar; charset=utf-8" and ".ics" in answer["Content-Disposition"]
    )
    text = answer.content.decode()
    assert text.count("BEGIN:VEVENT") == 2 and "Permanence" in text and "Cardiologue" not in text
    page = text_of(client.get(given["group"]))
    assert "<strong>Imprimeur</strong>" in page and "1 contact de ce groupe n’est plus dans ce carnet" in page
    assert f"Un groupe de « {title} »" in page and "Cardiologue" not in page
    # One reads it here: it is changed by programs.
    assert "modifier" not in page and "supprimer" not in page
    for tail, status in (("", 405), ("modifier/", 404), ("supprimer/", 404)):
        sent = {"title": "x", "member": ["c.vcf"], "etag": "x"}
        assert client.post(given["group"] + tail, sent).status_code == status
    for path in (mine.place / "agenda", mine.place / "contacts"):
        assert client.get(f"/contacts/remis/{path.name}.vcf").status_code == 404, "not handed over"
    assert client.get(given["dates"].replace("agenda", "contacts").replace(".ics", ".vcf")).status_code == 404


def test_nobody_else_downloads_what_was_handed_over_or_reads_its_groups(
    beaune: Commune, nuits: Commune, given: dict[str, str]
) -> None:
    for membership in (nuits.agent_membership, nuits.referent_membership, beaune.referent_membership):
        client = portal_client(membership)
        page = client.get("/contacts/").content.decode()
        assert "Imprimeur" not in page and "remis" not in page
        for path in given.values():
            assert client.get(path).status_code == 404
    for path in given.values():
        answer = Client(headers={"X-Beffroi-Listener": "portal"}).get(path)
        assert answer.status_code == 302 and answer["Location"].startswith("/connexion/")


def test_what_was_given_back_is_no_such_page(
    beaune: Commune, referent: Client, given: dict[str, str]
) -> None:
    undo(referent, Departure.objects.get())
    client = portal_client(beaune.agent_membership)
    page = client.get("/contacts/").content.decode() + agenda(beaune)
    assert "remis" not in page and "Travaux" not in page
    for path in given.values():
        assert client.get(path).status_code == 404


def test_an_undone_departure_gives_them_back_as_they_are_now(
    beaune: Commune, hall: Hall, theirs: Own, mine: Own, referent: Client
) -> None:
    departure = leave(hall)
    hand_over(referent, departure, beaune.agent.id)
    run_pending("main")
    (made,) = mine.handed()
    mine.put(made, "s.ics", event("s", "Permanence, le soir", more=SERIES))
    mine.put(made, "new.ics", event("new", "Ma note"))
    undo(referent, departure)
    assert theirs.names() == {"a.ics", "s.ics", "p.ics", "c.vcf"}
    assert "le soir" in (theirs.place / "agenda" / "s.ics").read_text()
    assert mine.names() == {"a.ics", "new.ics"} and mine.handed() == []
    assert [one for one, _ in verbs()] == ["begun", "done", "returned"]
    assert verbs()[-1][1]["agenda"] == 2 and verbs()[-1][1]["contacts"] == 1
    page = seen(referent, "departure", departure.id)
    assert "Revenus de chez agent" in page and "2 rendez-vous et 1 contact" in page


@pytest.mark.parametrize("is_first_back_first", [True, False])
def test_what_went_on_to_a_third_comes_back_to_whose_it_was(
    hall: Hall, theirs: Own, mine: Own, third: Own, referent: Client, *, is_first_back_first: bool
) -> None:
    beaune = hall.commune
    Drive(beaune.colleague_membership).file("budget.ods")
    first = leave(hall)
    hand_over(referent, first, beaune.agent.id)
    run_pending("main")
    mine.put(mine.handed()[0], "new.ics", event("new", "Ma note"))
    second = leave(hall, beaune.agent_membership)
    hand_over(referent, second, beaune.referent.id)
    run_pending("main")
    assert mine.names() == set() and third.names() == {"a.ics", "s.ics", "c.vcf", "new.ics"}
    assert verbs()[-1][1]["files"] == 1
    for departure in (first, second) if is_first_back_first else (second, first):
        undo(referent, departure)
    assert theirs.names() == {"a.ics", "s.ics", "p.ics", "c.vcf"}
    assert mine.names() == {"a.ics", "new.ics"}
    assert third.names() == set() and third.handed() == []
    with drive_access.metadata_of(beaune.id).reading() as reading:
        kept = room.calendars(reading)
        home = look.root(reading, schema.HOME + beaune.colleague.id)
        assert home is not None and look.child(reading, home.id, "budget.ods")
    for own in (theirs, mine, third):
        assert kept.get(own.place.name, 0) == sum(homes.entries(own.place))


def test_a_heir_without_room_gets_nothing_neither_files_nor_dates(
    beaune: Commune, hall: Hall, theirs: Own, mine: Own, referent: Client
) -> None:
    Drive(beaune.colleague_membership).file("budget.ods")
    departure, before = leave(hall), theirs.names()
    database = drive_access.metadata_of(beaune.id)
    root = database.write(lambda w: tree.make_root(w, schema.HOME + beaune.agent.id, now_s=clock.epoch_s()))
    database.write(lambda w: tree.set_limit(w, root.id, 50))
    assert "pas assez de place" in hand_over(referent, departure, beaune.agent.id)
    assert verbs() == [] and theirs.names() == before and mine.names() == {"a.ics"}
    database.write(lambda w: tree.set_limit(w, root.id, 5000))
    hand_over(referent, departure, beaune.agent.id)
    database.write(lambda w: tree.set_limit(w, root.id, 50))  # filled meanwhile
    run_pending("main")
    assert [(one, told.get("why")) for one, told in verbs()] == [("begun", None), ("stopped", "room")]
    assert theirs.names() == before and mine.names() == {"a.ics"}
    assert "Arrêté faute de place" in seen(referent, "departure", departure.id)


def test_an_event_that_comes_twice_moves_nothing_twice(
    beaune: Commune, hall: Hall, theirs: Own, mine: Own, referent: Client
) -> None:
    hand_over(referent, leave(hall), beaune.agent.id)
    for _ in range(2):
        with transaction.atomic():
            told = {"person_id": beaune.colleague.id, "by": beaune.referent.id}
            publish(handovers.DUE, told, collectivite_id=beaune.id)
    run_pending("main")
    assert [one for one, _ in verbs()] == ["begun", "done"]
    assert mine.names() == {"a.ics", "s.ics", "c.vcf"} and len(list(mine.place.glob("remis-*"))) == 2


def test_they_go_with_the_departure_and_files_along(
    beaune: Commune, theirs: Own, mine: Own, referent: Client
) -> None:
    Drive(beaune.colleague_membership).file("budget.ods")
    page = seen(referent, "departure_prepare", beaune.colleague.id)
    assert "1 fichier à remettre" in page and "2 rendez-vous et 1 contact" in page
    path = reverse("departure_prepare", args=[beaune.colleague.id])
    referent.post(path, {"files": beaune.agent.id})
    run_pending("main")
    page = seen(referent, "departure", Departure.objects.get().id)
    assert "1 fichier, 2 rendez-vous et 1 contact" in page
    assert mine.names() == {"a.ics", "s.ics", "c.vcf"}


def test_what_all_share_goes_on_for_everybody(
    beaune: Commune, hall: Hall, theirs: Own, mine: Own, referent: Client
) -> None:
    shared = theirs.put(homes.SHARED_AGENDA, "conseil.ics", event("conseil", "Conseil municipal"))
    hand_over(referent, leave(hall), beaune.agent.id)
    run_pending("main")
    assert shared.resolve().is_file() and "Conseil municipal" in agenda(beaune)
    assert (mine.place / homes.SHARED_AGENDA).is_symlink()


def test_calendars_that_do_not_answer_keep_all_where_it_is(
    config: Config, beaune: Commune, hall: Hall, theirs: Own, referent: Client
) -> None:
    Drive(beaune.colleague_membership).file("budget.ods")
    departure, before = leave(hall), theirs.names()
    door = config.run / "calendars.sock"
    away = door.rename(door.with_suffix(".away"))
    assert "le service ne répond pas" in seen(referent, "departure", departure.id)
    assert "Les agendas ne répondent pas" in hand_over(referent, departure, beaune.agent.id)
    assert verbs() == [] and theirs.names() == before
    away.rename(door)
    assert of_person(beaune.id, beaune.colleague.id).is_known


def test_a_grant_that_counts_reads_nothing_and_one_that_reads_counts_nothing(
    config: Config, beaune: Commune, nuits: Commune, theirs: Own
) -> None:
    def ask(question: str, asked: object, opens: str, collectivite_id: str) -> object:
        questions = asking._Questions(config, beaune.colleague.id, collectivite_id, (opens,))
        return questions.ask(question, asked, dict[str, object])

    span = wire.Range(clock.now(), clock.now().replace(year=clock.now().year + 1))
    with pytest.raises(NotAllowed):
        ask("list", span, wire.LEFT, beaune.id)
    with pytest.raises(NotAllowed):
        ask("left", wire.Counting(), wire.OWN, beaune.id)
    assert ask("left", wire.Counting(), wire.LEFT, beaune.id)["closed"] == 1
    assert ask("left", wire.Counting(), wire.LEFT, nuits.id) == {"collections": [], "closed": 0}
    assert not (homes.folder(config, nuits.id) / homes.ROOT / beaune.colleague.id).exists()


def test_the_files_of_both_people_name_it_and_an_erasure_takes_the_rest(
    beaune: Commune, hall: Hall, theirs: Own, mine: Own, referent: Client, *, system: Actor
) -> None:
    hand_over(referent, leave(hall), beaune.agent.id)
    run_pending("main")
    for membership in (beaune.agent_membership, beaune.colleague_membership):
        content = person_file.compose(membership.person.email, account="test")
        assert content is not None
        (row,) = content["drive_handovers"]
        assert (row["of"], row["to"]) == (beaune.colleague.id, beaune.agent.id)
        assert (row["files"], row["entries"]) == (0, 3)
    with transaction.atomic():
        publish("identity:person_erased", {"person_id": beaune.colleague.id})
    run_pending("main")
    assert not theirs.place.exists() and mine.names() == {"a.ics", "s.ics", "c.vcf"}


def test_what_a_crash_between_files_and_metadata_cut_goes_on_where_it_was(
    beaune: Commune, hall: Hall, theirs: Own, mine: Own, referent: Client
) -> None:
    departure = leave(hall)
    hand_over(referent, departure, beaune.agent.id)
    told = {"person_id": beaune.colleague.id, "by": beaune.referent.id}

    def dies(*_: object) -> None:
        raise Unavailable("test")

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(handover_calendars, "_settle", dies)
        with pytest.raises(Unavailable):
            handover.go_on(told, beaune.id)
    assert theirs.names() == {"p.ics", "c.vcf"} and len(mine.handed()) == 1
    run_pending("main")
    assert theirs.names() == {"p.ics"} and mine.names() == {"a.ics", "s.ics", "c.vcf"}
    assert verbs()[-1][1]["agenda"] == 2
    with drive_access.metadata_of(beaune.id).reading() as reading:
        kept = room.calendars(reading)
    assert kept[beaune.agent.id] == sum(homes.entries(mine.place))
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(passing, "tidy", dies)
        referent.post(reverse("departure", args=[departure.id]))
        with pytest.raises(Unavailable):
            run_pending("main")
    with clock.shifted(3600):
        run_pending("main")
    assert theirs.names() == {"a.ics", "s.ics", "p.ics", "c.vcf"} and mine.names() == {"a.ics"}
    assert not list(mine.place.glob("remis-*")) and verbs()[-1][0] == "returned"
