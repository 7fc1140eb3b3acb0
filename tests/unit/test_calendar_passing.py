"""Calendars of somebody who left: what goes to a colleague and what is closed; cut off anywhere, and back again."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from beffroi.drive.calendars import homes, passing
from beffroi.lib import durable
from beffroi.lib.errors import Invalid

from tests.fixtures_calendars import card, event

MADE, TITLE = "remis-hov_1-0", "Agenda de Jeanne Dupont"


def collection(home: Path, name: str, title: str, *, tag: str = "VCALENDAR", **entries: str) -> Path:
    place = home / name
    place.mkdir(parents=True)
    (place / ".Radicale.props").write_text(
        json.dumps({"tag": tag, "D:displayname": title, "C:color": "#12a"})
    )
    for uid, text in entries.items():
        (place / f"{uid}.ics").write_text(text, newline="")
    return place


@pytest.fixture
def home(tmp_path: Path) -> Path:
    made = tmp_path / "per_left"
    collection(made, homes.AGENDA, "Mon agenda", a=event("a", "Citoyen"), b=event("b", "Maire"))
    collection(made, "uuid-1", "Perso", c=event("c", "Dentiste"))
    (tmp_path / "mairie" / "agenda").mkdir(parents=True)
    (made / homes.SHARED_AGENDA).symlink_to("../mairie/agenda", target_is_directory=True)
    return made


@pytest.fixture
def heirs(tmp_path: Path) -> Path:
    return tmp_path / "per_heir"


def names(place: Path) -> set[str]:
    return {one.name for one in place.iterdir() if not one.name.startswith(".")} if place.is_dir() else set()


@pytest.mark.parametrize(
    ("line", "is_closed"),
    [
        ("CLASS:PUBLIC", False),
        ("CLASS:PRIVATE", True),
        ("class:confidential", True),
        ('CLASS;X-A="b:PUBLIC":PRIVATE', True),
        ("CLASS:X-OURS", True),  # RFC 5545: an unknown one is meant as PRIVATE
        ("CLA\r\n SS:PRI\r\n\tVATE", True),
        ("item1.CLASS:PRIVATE", True),
        ("X-CLASS:PRIVATE", False),
        ("DESCRIPTION:CLASS:PRIVATE", False),
        ("DESCRIPTION:privé", False),
        ("CATEGORIES:Travail,Personnel", True),
        ("CATEGORIES:Gestion du personnel,Travail", False),
        ("CATEGORIES:Gestion,Personnel", True),
        ("CATEGORIES:Gestion\\,Personnel", False),
        ("CATEGORIES;ENCODING=QUOTED-PRINTABLE:Travail", True),
        ("CLASSIFICATION:PRIVATE", False),
    ],
)
def test_what_an_entry_says_of_itself_closes_it(home: Path, line: str, *, is_closed: bool) -> None:
    (home / homes.AGENDA / "z.ics").write_text(event("z", "Réunion", more=line), newline="")
    found, closed = passing.left(home)
    assert (found[0].entries, closed) == ((2, 2) if is_closed else (3, 1))


@pytest.mark.parametrize(
    ("title", "is_closed"),
    [
        ("Privé : dentiste", True),
        ("PERSO", True),
        ("Strictement personnel", True),
        ("\\nPerso", True),
        ("Location de la salle pour une soirée privée", False),
        ("Personnel communal : réunion", False),
        ("École privée Sainte-Marie", False),
    ],
)
def test_a_title_that_begins_so_closes_its_entry(home: Path, title: str, *, is_closed: bool) -> None:
    (home / homes.AGENDA / "z.ics").write_text(event("z", title), newline="")
    assert passing.left(home)[1] == 1 + is_closed


def test_a_changed_date_that_is_private_closes_its_series_and_what_no_one_can_read_is_closed(
    home: Path,
) -> None:
    series = event("s", "Permanence", more="RRULE:FREQ=WEEKLY")
    changed = event("s", "Permanence", more="RECURRENCE-ID:20261210T090000Z\r\nCLASS:PRIVATE")
    inner = changed.partition("BEGIN:VEVENT")[2]
    (home / homes.AGENDA / "s.ics").write_text(
        series.replace("END:VCALENDAR\r\n", "BEGIN:VEVENT" + inner), newline=""
    )
    (home / homes.AGENDA / "t.ics").write_bytes(b"BEGIN:VCALENDAR\r\nSUMMARY:\xff\r\n")
    assert passing.left(home)[1] == 3


def group(uid: str, name: str, *members: str, kind: str = "X-ADDRESSBOOKSERVER-") -> str:
    said = "".join(f"{kind}MEMBER:{one}\r\n" for one in members)
    return card(uid, name).replace("END:VCARD", f"{kind}KIND:group\r\n{said}END:VCARD")


@pytest.mark.parametrize("kind", ["", "X-ADDRESSBOOKSERVER-"])
@pytest.mark.parametrize(
    ("name", "left"),
    [
        ("Perso", {"e"}),
        ("Famille (privé)", {"e"}),
        ("Personnel communal", {"c", "d", "e", "g"}),
        ("École privée Sainte-Marie", {"c", "d", "e", "g"}),
    ],
)
def test_a_group_with_a_personal_name_closes_its_members(
    home: Path, heirs: Path, kind: str, name: str, left: set[str]
) -> None:
    made = {one: card(one.upper(), f"Contact {one}") for one in "cde"}
    made["g"] = group("G", name, "urn:uuid:c", "D", "urn:uuid:gone", kind=kind)
    collection(home, homes.CONTACTS, "Mes contacts", tag="VADDRESSBOOK", **made)
    assert passing.left(home)[1] == 1 + len({*made} - left)
    assert passing.hand_over(home, homes.CONTACTS, heirs, MADE, TITLE) == len(left)
    assert names(heirs / MADE) == {f"{one}.ics" for one in left}
    assert names(home / homes.CONTACTS) == {f"{one}.ics" for one in {*made} - left}


def test_a_group_without_identifiers_closes_nobody_else(home: Path) -> None:
    made = {"c": card("", "Garage"), "g": group("g", "Perso", "", "mailto:a@b.fr")}
    collection(home, homes.CONTACTS, "Mes contacts", tag="VADDRESSBOOK", **made)
    assert passing.left(home)[1] == 2


def test_what_is_left_is_counted_without_what_is_shared(home: Path) -> None:
    collection(home, homes.CONTACTS, "Mes contacts", tag="VADDRESSBOOK", d=card("d", "Garage Perso"))
    collection(home, "sub", "Un abonnement", tag="VSUBSCRIBED")
    (home / "mairie-agenda" / "e.ics").write_text(event("e", "Conseil"))
    found, closed = passing.left(home)
    assert [(one.was, one.kind, one.title, one.entries) for one in found] == [
        ("agenda", "agenda", "Mon agenda", 2),
        ("contacts", "contacts", "Mes contacts", 1),
    ]
    assert closed == 1 and found[0].size_bytes == len(event("a", "Citoyen") + event("b", "Maire"))
    assert passing.left(home.parent / "per_nobody") == ([], 0)


def test_entries_go_as_they_are_into_a_collection_with_its_colour_and_a_name_of_its_own(
    home: Path, heirs: Path
) -> None:
    private = event("p", "Santé", more="CLASS:PRIVATE")
    (home / homes.AGENDA / "p.ics").write_text(private)
    before = (home / homes.AGENDA / "a.ics").read_bytes()
    assert passing.hand_over(home, "agenda", heirs, MADE, TITLE) == 2
    assert (heirs / MADE / "a.ics").read_bytes() == before
    assert json.loads((heirs / MADE / ".Radicale.props").read_text()) == {
        "tag": "VCALENDAR",
        "D:displayname": TITLE,
        "C:color": "#12a",
    }
    assert names(home / homes.AGENDA) == {"p.ics"} and names(heirs / MADE) == {"a.ics", "b.ics"}
    assert passing.handed(heirs, "agenda") == [MADE] and passing.handed(home, "agenda") == []


def test_a_personal_collection_stays_whole_and_nothing_is_made_for_it(home: Path, heirs: Path) -> None:
    assert passing.hand_over(home, "uuid-1", heirs, MADE, TITLE) == 0
    assert names(home / "uuid-1") == {"c.ics"} and not heirs.exists()


class Cut(Exception):
    pass


def cut_after(monkeypatch: pytest.MonkeyPatch, steps: int) -> None:
    """The next change but ``steps`` of a name or a file on the disk never comes."""
    left = [steps]

    def counted(of: object, name: str) -> None:
        whole = getattr(of, name)

        def act(*arguments: object, **options: object) -> object:
            if not left[0]:
                raise Cut
            left[0] -= 1
            return whole(*arguments, **options)

        monkeypatch.setattr(of, name, act)

    for name in ("rename", "mkdir", "unlink"):
        counted(Path, name)
    counted(durable, "write")


@pytest.mark.parametrize("steps", range(9))
def test_cut_off_anywhere_it_goes_on_and_no_entry_is_lost_or_doubled(
    home: Path, heirs: Path, monkeypatch: pytest.MonkeyPatch, steps: int
) -> None:
    def everything() -> list[str]:
        return sorted(one.name for one in home.parent.rglob("?.ics"))

    before, cuts = everything(), 0
    for act in (
        lambda: passing.hand_over(home, "agenda", heirs, MADE, TITLE),
        lambda: passing.give_back(home, "agenda", heirs, MADE),
    ):
        with monkeypatch.context() as patched:
            cut_after(patched, steps)
            try:
                act()
            except Cut:
                cuts += 1
        assert everything() == before
        assert act() == 2
        assert everything() == before
    assert cuts == 2 or steps > 3
    passing.tidy(heirs, MADE)
    assert names(home / homes.AGENDA) == {"a.ics", "b.ics"} and not (heirs / MADE).exists()


def test_a_collection_whose_going_was_cut_off_goes_at_the_next_try(
    home: Path, heirs: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    passing.hand_over(home, "agenda", heirs, MADE, TITLE)
    passing.give_back(home, "agenda", heirs, MADE)
    with monkeypatch.context() as cut, pytest.raises(InterruptedError):
        cut.setattr(durable, "sync_directory", _fail)
        passing.tidy(heirs, MADE)
    assert any(heirs.iterdir())
    passing.tidy(heirs, MADE)
    assert not any(heirs.iterdir())


def _fail(*_: object) -> None:
    raise InterruptedError


def test_what_the_colleague_changed_comes_back_so_and_what_they_deleted_or_added_stays_so(
    home: Path, heirs: Path
) -> None:
    passing.hand_over(home, "agenda", heirs, MADE, TITLE)
    (heirs / MADE / "a.ics").write_text(event("a", "Citoyen, à 15 heures"), newline="")
    (heirs / MADE / "b.ics").unlink()
    (heirs / MADE / "mine.ics").write_text(event("mine", "À moi"))
    assert passing.give_back(home, "agenda", heirs, MADE) == 1
    passing.tidy(heirs, MADE)
    assert names(home / homes.AGENDA) == {"a.ics"} and names(heirs / MADE) == {"mine.ics"}
    assert "15 heures" in (home / homes.AGENDA / "a.ics").read_text()
    assert passing.handed(heirs, "agenda") == [], "it is the colleague's own now"
    assert passing.give_back(home, "agenda", heirs, MADE) == 0
    passing.tidy(heirs, MADE)
    assert names(heirs / MADE) == {"mine.ics"}


def test_what_went_on_to_a_third_comes_back_to_whose_it_was_whoever_is_back_first(
    home: Path, heirs: Path
) -> None:
    third, onto = heirs.with_name("per_third"), "remis-hov_2-0"
    passing.hand_over(home, "agenda", heirs, MADE, TITLE)
    (heirs / MADE / "mine.ics").write_text(event("mine", "À moi"))
    passing.hand_over(heirs, MADE, third, onto, TITLE)
    assert names(third / onto) == {"a.ics", "b.ics", "mine.ics"}
    assert passing.give_back(home, "agenda", heirs, MADE, [(third, onto)]) == 2
    passing.tidy(heirs, MADE)
    assert names(home / homes.AGENDA) == {"a.ics", "b.ics"} and names(third / onto) == {"mine.ics"}
    assert passing.give_back(heirs, MADE, third, onto) == 1
    passing.tidy(third, onto)
    assert names(heirs / MADE) == {"mine.ics"} and not (third / onto).exists()


def test_of_what_went_on_and_came_back_no_empty_collection_stays(home: Path, heirs: Path) -> None:
    third, onto = heirs.with_name("per_third"), "remis-hov_2-0"
    passing.hand_over(home, "agenda", heirs, MADE, TITLE)
    passing.hand_over(heirs, MADE, third, onto, TITLE)
    for _ in range(2):  # again after a crash
        assert passing.give_back(home, "agenda", heirs, MADE, [(third, onto)]) == 2
    passing.tidy(heirs, MADE)
    assert not (third / onto).exists()
    assert passing.give_back(heirs, MADE, third, onto) == 0
    passing.tidy(third, onto)
    assert not (heirs / MADE).exists()


def test_where_nothing_is_left_to_give_back_no_collection_is_made_for_it(home: Path, heirs: Path) -> None:
    passing.hand_over(home, "agenda", heirs, MADE, TITLE)
    for name in ("a.ics", "b.ics"):
        (heirs / MADE / name).unlink()
    shutil.rmtree(home / homes.AGENDA)
    assert passing.give_back(home, "agenda", heirs, MADE) == 0
    assert not (home / homes.AGENDA).exists()


def test_nothing_is_written_over_and_a_collection_that_went_is_made_again(home: Path, heirs: Path) -> None:
    passing.hand_over(home, "agenda", heirs, MADE, TITLE)
    newer = event("a", "Citoyen, noté par qui est revenu")
    (home / homes.AGENDA / "a.ics").write_text(newer, newline="")
    passing.give_back(home, "agenda", heirs, MADE)
    assert (home / homes.AGENDA / "a.ics").read_text() == newer.replace("\r\n", "\n")
    assert names(heirs / MADE) == {"a.ics"}
    (home / homes.AGENDA / "a.ics").unlink()
    (home / homes.AGENDA / "b.ics").unlink()
    (home / homes.AGENDA / ".Radicale.props").unlink()
    (home / homes.AGENDA).rmdir()
    assert passing.give_back(home, "agenda", heirs, MADE) == 1
    assert [one.was for one in passing.left(home)[0]] == ["agenda"]


def test_the_list_of_what_came_is_counted_in_the_room_for_as_long_as_it_lies_there(
    home: Path, heirs: Path
) -> None:
    passing.hand_over(home, "agenda", heirs, MADE, TITLE)
    files = [*(heirs / MADE).iterdir()]
    assert any(json.loads(one.read_bytes()) == ["a.ics", "b.ics"] for one in files if one.suffix == ".handed")
    assert sum(homes.entries(heirs)) == sum(one.stat().st_size for one in files)
    passing.give_back(home, "agenda", heirs, MADE)
    passing.tidy(heirs, MADE)
    assert sum(homes.entries(heirs)) == 0


@pytest.mark.parametrize("name", ["../mairie", "mairie-agenda", ".Radicale.cache", "a/b", ".."])
def test_only_a_collection_of_one_s_own_is_moved(home: Path, heirs: Path, name: str) -> None:
    with pytest.raises(Invalid):
        passing.hand_over(home, name, heirs, MADE, TITLE)
    with pytest.raises(Invalid):
        passing.give_back(home, name, heirs, MADE)
