"""What programs compare of a collection (ctag, sync token): worked out once for as long as nothing changes."""

from __future__ import annotations

import os
import re
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any
from xml.etree.ElementTree import fromstring

import pytest
from beffroi.drive.calendars import counted, homes
from beffroi.drive.calendars.app import Calendars

from tests.fixtures_calendars import event
from tests.integration.test_calendar_attacks import Person, agent, calendars

__all__ = ["agent", "calendars"]

NAMES = 'xmlns:D="DAV:" xmlns:C="urn:ietf:params:xml:ns:caldav" xmlns:CS="http://calendarserver.org/ns/"'
ALL = f"<D:propfind {NAMES}><D:prop><CS:getctag/><D:sync-token/><D:getetag/></D:prop></D:propfind>"
SETTLED_S = 0.05


@pytest.fixture(autouse=True)
def soon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(counted, "_SETTLED_NS", int(SETTLED_S * 1e9))


def marks(person: Person) -> list[str]:
    """Of all collections of the home."""
    status, answer = person.ask("PROPFIND", person.at(""), ALL, HTTP_DEPTH="1")
    assert status == 207
    return sorted(re.findall(r"<(?:CS:getctag|sync-token|getetag)>([^<]+)<", answer.decode()))


def changed(person: Person, token: str = "") -> tuple[int, str, set[str]]:
    asked = (
        f"<D:sync-collection {NAMES}><D:sync-token>{token}</D:sync-token><D:sync-level>1</D:sync-level>"
        "<D:prop><D:getetag/></D:prop></D:sync-collection>"
    )
    status, answer = person.ask("REPORT", person.at("agenda/"), asked)
    text = answer.decode()
    found = re.search(r"<sync-token>([^<]+)<", text)
    return status, found[1] if found else "", set(re.findall(r"/agenda/([^<]+)</", text))


def copies(person: Person, which: str) -> Path:
    home = homes.folder(person.config, person.collectivite_id) / homes.ROOT / person.id
    return home / "agenda/.Radicale.cache" / which


def test_what_did_not_change_is_not_read_again(agent: Person, monkeypatch: pytest.MonkeyPatch) -> None:
    """A home of two calendars of 10,000 took two seconds of each program, each time that it looked."""
    for number in range(5):
        agent.put(f"agenda/{number}.ics", event(str(number), "Titre"))
    time.sleep(2 * SETTLED_S)
    first = marks(agent)
    read: list[str] = []
    real = counted.Collection._get

    def spied(collection: Any, href: str, *asked: Any, **more: Any) -> Any:
        read.append(href)
        return real(collection, href, *asked, **more)

    monkeypatch.setattr(counted.Collection, "_get", spied)
    assert marks(agent) == first
    assert not read
    token = changed(agent)[1]
    assert len(read) >= 5, "who begins anew is told of each"
    read.clear()
    assert changed(agent, token) == (207, token, set())
    assert not read


@pytest.mark.parametrize("settled", [True, False])
def test_after_each_change_they_are_those_of_who_looks_for_the_first_time(
    agent: Person, *, settled: bool
) -> None:
    home = agent.at("")
    steps: list[Callable[[], object]] = [
        lambda: agent.put("agenda/a.ics", event("a", "Avant")),
        lambda: agent.put("agenda/a.ics", event("a", "Apres")),
        lambda: agent.put("mairie-agenda/b.ics", event("b", "Conseil")),
        lambda: agent.ask("MOVE", home + "agenda/a.ics", HTTP_DESTINATION=home + "mairie-agenda/a.ics"),
        lambda: agent.ask("DELETE", home + "mairie-agenda/b.ics"),
        lambda: agent.ask(
            "PROPPATCH",
            home + "agenda/",
            f"<D:propertyupdate {NAMES}><D:set><D:prop><D:displayname>Moi</D:displayname></D:prop></D:set>"
            "</D:propertyupdate>",
        ),
    ]
    before = marks(agent)
    for step in steps:
        step()
        time.sleep(2 * SETTLED_S if settled else 0)
        now = marks(agent)
        with_what_is_known, agent.calendars = agent.calendars, Calendars(agent.config)
        assert now == marks(agent)
        agent.calendars = with_what_is_known
        assert now == marks(agent) != before
        before = now


def test_a_program_hears_of_what_changed_since_and_of_nothing_else(agent: Person) -> None:
    agent.put("agenda/a.ics", event("a", "A"))
    agent.put("agenda/b.ics", event("b", "B"))
    time.sleep(2 * SETTLED_S)
    marks(agent)
    _, token, names = changed(agent)
    assert names == {"a.ics", "b.ics"}
    agent.put("agenda/b.ics", event("b", "Autre"))
    assert agent.ask("DELETE", agent.at("agenda/a.ics"))[0] == 200
    _, later, names = changed(agent, token)
    assert names == {"a.ics", "b.ics"}
    time.sleep(2 * SETTLED_S)
    assert changed(agent, later) == changed(agent, later) == (207, later, set())


def test_a_token_that_went_for_its_age_is_made_again(agent: Person) -> None:
    agent.put("agenda/a.ics", event("a", "A"))
    time.sleep(2 * SETTLED_S)
    token = changed(agent)[1]
    for one in copies(agent, "sync-token").iterdir():
        one.unlink()
    assert changed(agent)[1] == token
    agent.put("agenda/b.ics", event("b", "B"))
    assert changed(agent, token)[2] == {"b.ics"}


@pytest.mark.parametrize("which", ["history", "sync-token", "item"])
def test_what_a_power_cut_left_empty_of_copies_costs_a_reading_anew_alone(agent: Person, which: str) -> None:
    agent.put("agenda/a.ics", event("a", "A"))
    _, token, _ = changed(agent)
    found = list(copies(agent, which).iterdir())
    assert found
    for one in found:
        one.write_bytes(b"")
    agent.put("agenda/b.ics", event("b", "B"))
    status, later, names = changed(agent, token)
    assert (status, names >= {"b.ics"}) in ((207, True), (403, False)), "all that came since, or all anew"
    assert changed(agent)[2] == {"a.ics", "b.ics"}
    assert status == 403 or changed(agent, later)[2] == set()


def test_a_first_question_waits_for_the_disk_no_longer_for_more_entries(
    agent: Person, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where what was read is lost, as after a restore: 20,000 entries took 43 seconds."""
    place = copies(agent, "item").parent.parent
    synced: list[int] = []
    real = os.fsync

    def spied(descriptor: int) -> None:
        synced.append(descriptor)
        real(descriptor)

    counts = []
    for name in ("mairie-agenda", "agenda"):
        for number in range(5 if name == "agenda" else 1):
            (place.parent / name / f"{number}.ics").write_text(event(f"{name}-{number}", "T"), newline="")
        synced.clear()
        monkeypatch.setattr(os, "fsync", spied)
        asked = f"<D:propfind {NAMES}><D:prop><D:sync-token/></D:prop></D:propfind>"
        assert agent.ask("PROPFIND", agent.at(f"{name}/"), asked, HTTP_DEPTH="0")[0] == 207
        monkeypatch.setattr(os, "fsync", real)
        counts.append(len(synced))
    assert counts[0] == counts[1]


@pytest.mark.parametrize(
    "asked", ["<D:allprop/>", "<D:propname/>", "<D:prop><D:getetag/><D:getcontentlength/></D:prop>"]
)
def test_a_calendar_has_no_length_for_which_all_of_it_would_be_written_down(
    agent: Person, monkeypatch: pytest.MonkeyPatch, asked: str
) -> None:
    agent.put("agenda/un.ics", event("un", "Un"))
    question = f'<D:propfind xmlns:D="DAV:">{asked}</D:propfind>'
    monkeypatch.setattr(counted.Collection, "serialize", None)
    status, answer = agent.ask("PROPFIND", agent.at("agenda/"), question, HTTP_DEPTH="1")
    calendar, entry = fromstring(answer).findall("{DAV:}response")
    told = [
        {one.tag for one in propstat.findall("{DAV:}prop/*")}
        for propstat in calendar.findall("{DAV:}propstat")
        if "200" in (propstat.findtext("{DAV:}status") or "")
    ]
    assert status == 207 and "{DAV:}getetag" in told[0] and "{DAV:}getcontentlength" not in told[0]
    lengths = [one.text for one in entry.iter("{DAV:}getcontentlength")]
    assert len(lengths) == 1 and bool(lengths[0]) == ("propname" not in asked)
