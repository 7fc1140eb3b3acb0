"""Calendars and contacts as programs of desktops ask for them, which do not run here: their requests, in order.

In our own words. Source: CalDav Synchronizer, as it was in August 2026, and what KDAV asks first. Thunderbird,
Evolution's data server and Akonadi run: test_calendars_thunderbird.py, test_calendars_evolution.py,
test_calendars_akonadi.py.
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.clients.test_calendars_apps import NAMES, SPACES, Program, found, parsed, program
from tests.fixtures_calendars import Wall, event, needs_front, wall

__all__ = ["program"]
pytestmark = needs_front


@pytest.fixture(scope="module")
def centre() -> Iterator[Wall]:
    with wall("bfk-", 23240) as running:
        yield running


def test_outlook_makes_a_calendar_whose_address_is_its_name(program: Program) -> None:
    """CalDav Synchronizer, AddResource: MKCOL of the name, then PROPPATCH; entries are found where a list says."""
    made = f"{program.home}R%C3%A9unions%20d%E2%80%99%C3%A9lus/"
    kind = "<d:resourcetype><d:collection/><c:calendar/></d:resourcetype>"
    for method, body in (
        ("MKCOL", f"<d:mkcol {SPACES}><d:set><d:prop>{kind}</d:prop></d:set></d:mkcol>"),
        (
            "PROPPATCH",
            f"<d:propertyupdate {SPACES}><d:set><d:prop><d:displayname>Réunions d’élus</d:displayname></d:prop>"
            "</d:set></d:propertyupdate>",
        ),
    ):
        assert program.ask(method, made, body).status == (201 if method == "MKCOL" else 207)
    assert program.ask("PUT", f"{made}%C3%A9t%C3%A9.ics", event("été", "Été")).status == 201
    listed = program.propfind(made, "d:getetag", "1")
    hrefs = [one.text or "" for one in listed.iterfind("d:response/d:href", NAMES)]
    assert hrefs == [made, f"{made}%C3%A9t%C3%A9.ics"]
    assert [program.ask("GET", one).status for one in hrefs] == [200, 200]
    assert made in [
        one.text for one in program.propfind(program.home, "d:displayname", "1").iterfind("*/d:href", NAMES)
    ]
    own = f"{program.home}agenda/%C3%A9t%C3%A9.ics"
    for start, end in ((hrefs[1], own), (own, hrefs[1])):
        answer = program.ask("MOVE", start, Destination=program.centre.url + end, Overwrite="F")
        assert (answer.status, program.ask("GET", end).status) == (201, 200)
    asked = f"<d:prop><c:calendar-data/></d:prop><d:href>{hrefs[1]}</d:href>"
    (text,) = found(parsed(program.report(made, "c:calendar-multiget", asked)), "c:calendar-data")
    assert "SUMMARY:Été" in text
    assert program.ask("DELETE", made).status == 200


def test_outlook_learns_by_which_address_one_is_invited(centre: Wall) -> None:
    account = centre.signs_in("claire.d'arc+agenda@auxonne.test", collectivite_id="col_" + "4" * 26)
    program = Program(centre, account)
    for names in (
        "c:calendar-home-set c:calendar-user-address-set r:addressbook-home-set",
        "c:calendar-user-address-set",
    ):
        tree = program.propfind(program.home, names)
        hrefs = [one.text for one in tree.iterfind(".//c:calendar-user-address-set/d:href", NAMES)]
        assert hrefs == ["mailto:claire.d'arc+agenda@auxonne.test", program.home], "the first one counts"
    assert found(tree, "c:calendar-home-set") == []
    first = program.propfind("/caldav/", "c:calendar-user-address-set d:current-user-principal")
    assert found(first, "c:calendar-user-address-set") == [], "nobody's"
    assert found(first, "d:current-user-principal") == [program.home]


def test_a_group_of_contacts_comes_back_as_it_was(program: Program) -> None:
    lines = (
        "VERSION:4.0", "UID:c", "KIND:group", "FN:Bureau", "MEMBER:urn:uuid:a", "MEMBER:mailto:paul@auxonne.test",
    )  # fmt: skip
    path = f"{program.home}contacts/c.vcf"
    text = "\r\n".join(("BEGIN:VCARD", *lines, "END:VCARD", ""))
    assert program.ask("PUT", path, text, Content_Type="text/vcard; charset=utf-8").status == 201
    data = "<d:prop><d:getetag/><r:address-data><r:allprop/></r:address-data></d:prop>"
    asked = f"{data}<d:href>{path}</d:href>"
    (back,) = found(
        parsed(program.report(f"{program.home}contacts/", "r:addressbook-multiget", asked)), "r:address-data"
    )
    kept = {_apart(line) for line in back.replace("\r\n ", "").replace("\n ", "").splitlines()}
    assert {_apart(line) for line in lines} <= kept


def _apart(line: str) -> tuple[str, frozenset[str], str]:
    """(name, parameters in whatever order, value)."""
    head, _, value = line.partition(":")
    name, *parameters = head.split(";")
    return name, frozenset(parameters), value
