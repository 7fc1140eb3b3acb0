"""What other programs export: stored by a program or taken in on the page, and given back with all that it says."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from beffroi.drive.calendars import brought, entries, homes, lines

from tests.exports_of_calendars import CARDS, ENTRIES
from tests.integration.test_calendar_attacks import BEAUNE, Person, agent, calendars

__all__ = ["agent", "calendars"]
PARIS = ZoneInfo("Europe/Paris")
OF_THE_FILE = {"METHOD", "PRODID", "CALSCALE", "REFRESH-INTERVAL", "X-PUBLISHED-TTL", "X-CALSTART", "X-CALEND",
               "X-MS-OLK-FORCEINSPECTOROPEN", "X-APPLE-CALENDAR-COLOR", "VERSION"}  # fmt: skip
"""What is said of a calendar, and not of what is in it; names that begin with X-WR-, too."""
type Said = tuple[str, str, tuple[tuple[str, str], ...], str]


def said(text: str) -> Counter[Said]:
    """Each line that somebody would miss, whatever the order of its parameters, its quotes and its escapes."""
    return Counter(one for whole in lines.read(text) for one in _said(whole, whole.name))


def _said(part: lines.Component, path: str) -> Iterator[Said]:
    for name, some in part.lines.items():
        if name in OF_THE_FILE or name.startswith("X-WR-CAL") or name == "X-WR-TIMEZONE":
            continue
        for line in some:
            params = {key: value for key, value in line.params.items() if value and value != "DURATION"}
            for key in (one for one in line.params if one in ("PREF", "INTERNET")):
                params.setdefault("TYPE", key)
            yield path, name, tuple(sorted(params.items())), line.text.rstrip(";")
    for name, parts in part.parts.items():
        if name != "VTIMEZONE":
            for one in parts:
                yield from _said(one, f"{path}/{name}")


@pytest.mark.parametrize("program", ENTRIES)
def test_an_entry_of_another_program_comes_back_with_all_it_says(agent: Person, program: str) -> None:
    agent.put("agenda/e.ics", ENTRIES[program])
    assert said(agent.ask("GET", agent.at("agenda/e.ics"))[1].decode()) == said(ENTRIES[program])
    ((_, piece),) = brought.pieces("agenda", ENTRIES[program].encode())
    assert isinstance(piece, brought.Piece)
    assert said(piece.text) == said(ENTRIES[program])


@pytest.mark.parametrize("program", CARDS)
def test_so_does_a_contact(agent: Person, program: str) -> None:
    text = CARDS[program]
    ((_, piece),) = brought.pieces("contacts", text.encode())
    assert isinstance(piece, brought.Piece)
    uid = Counter() if "UID:" in text else Counter({("VCARD", "UID", (), piece.uid): 1})
    assert said(piece.text) == said(text) + uid
    agent.put("contacts/c.vcf", piece.text)
    assert said(agent.ask("GET", agent.at("contacts/c.vcf"))[1].decode()) == said(piece.text)


@pytest.mark.parametrize(
    ("program", "hours"),
    [
        ("exchange", ["10-05 09:00 1h", "10-13 14:00 1h", "10-19 09:00 1h", "11-02 09:00 1h"]),
        ("outlook-days", ["10-24 all day to 11-01"]),
        ("google", ["10-20 18:30 2h"]),
        ("zimbra", ["10-25 01:30 3.5h"]),
        ("apple", ["10-28 10:00 1.5h"]),
        ("davx5", ["10-24 22:00 9h", "10-25 22:00 8h", "10-26 22:00 8h", "10-30 22:00 8h", "10-31 22:00 8h"]),
        ("sogo", ["10-20 14:00 1h"]),
        ("nextcloud", ["10-23 09:00 3h", "10-30 09:00 3h"]),
        ("outlook-utc-label", ["10-19 09:00 1h", "10-26 09:00 1h", "11-02 09:00 1h"]),
    ],
)
def test_the_page_shows_its_hours(agent: Person, program: str, hours: list[str]) -> None:
    """October: clocks change on the 25th."""
    agent.put("agenda/e.ics", ENTRIES[program])
    store = agent.calendars._stores.home(BEAUNE, agent.id)
    since = datetime(2026, 10, 1, tzinfo=UTC)
    place = f"/{agent.id}/{homes.AGENDA}/"
    told = entries.between(store.storage, [("own", place)], since, since + timedelta(days=34)).entries
    found = []
    for one in told:
        starts, lasts_h = one.starts.astimezone(PARIS), (one.ends - one.starts).total_seconds() / 3600
        day = f"{starts:%m-%d}"
        found.append(
            f"{day} all day to {one.ends:%m-%d}" if one.all_day else f"{day} {starts:%H:%M} {lasts_h:g}h"
        )
    assert found == hours
