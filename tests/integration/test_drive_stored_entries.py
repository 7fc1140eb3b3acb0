"""Entries as programs store them, in real calendars: shown as they mean it, and changed by the page's form alone."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from beffroi.drive.calendars import entries
from beffroi.drive.calendars.entries import collection_at
from radicale import item as radicale_item
from radicale.app import report

from tests.integration.test_drive_proposals import Agenda, agenda

__all__ = ["agenda"]
SINCE = datetime(2030, 5, 1, tzinfo=UTC)
NAME = "p.ics"


def whole(*events: tuple[str, ...]) -> str:
    """A stored entry of these dates."""
    parts = [
        line
        for one in events
        for line in ("BEGIN:VEVENT", "UID:u@1", "DTSTAMP:20300101T080000Z", *one, "END:VEVENT")
    ]
    return "\r\n".join(("BEGIN:VCALENDAR", "VERSION:2.0", "PRODID:x", *parts, "END:VCALENDAR", ""))


def store(agenda: Agenda, text: str) -> Any:
    """As a program puts it; return its item."""
    components = radicale_item.read_components(text)
    radicale_item.check_and_sanitize_items(components, 1000, tag="VCALENDAR")
    with agenda.storage.acquire_lock("w"):
        collection = collection_at(agenda.storage, agenda.paths[0])
        item = radicale_item.Item(collection=collection, vobject_item=components[0])
        item.prepare()
        return collection.upload(NAME, item)[0]


def shown(agenda: Agenda) -> list[str]:
    """Day, hour and title of what the page shows of 60 days."""
    found = entries.between(
        agenda.storage, [("own", agenda.paths[0])], SINCE, SINCE + timedelta(days=60)
    ).entries
    return [f"{one.starts:%m-%d %H} {one.title}" for one in found]


# -- whole days --------------------------------------------------------------------------------------------------

DAYS = ("DTSTART;VALUE=DATE:20300514", "RRULE:FREQ=DAILY;COUNT=4", "SUMMARY:Congés")
MOVED = ("RECURRENCE-ID;VALUE=DATE:20300515", "DTSTART;VALUE=DATE:20300520", "SUMMARY:Reporté")
OFF = ("RECURRENCE-ID;VALUE=DATE:20300516", "DTSTART;VALUE=DATE:20300516", "STATUS:CANCELLED")


def test_a_changed_day_of_a_series_of_whole_days_is_told_once(agenda: Agenda) -> None:
    item = store(agenda, whole(DAYS, MOVED, OFF))
    assert shown(agenda) == ["05-14 00 Congés", "05-17 00 Congés", "05-20 00 Reporté"]
    busy = report.freebusy_periods(item, SINCE, SINCE + timedelta(days=60), 0)
    days = sorted(f"{start:%d}" for start, _end, kind in busy if kind == "BUSY")
    assert days == ["14", "17", "20"], "of questions of programs, too"
