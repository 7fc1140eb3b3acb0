"""Alarms of one collectivité's drive, and what is remembered of its devices. In the metadata; any process may ask.

Rule:    a device with an alarm that nobody settled is stopped: ``web.app`` refuses it, also after a restart.
Source:  docs/internals/drive.md, "Ransomware".
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Literal, LiteralString, NamedTuple

from beffroi.drive.guard.scoring import Alarm
from beffroi.drive.store.scalars import scalar
from beffroi.drive.store.writing import Reading, Writing
from beffroi.lib.errors import BeffroiError, NotFound

State = Literal["open", "restoring", "restored", "settled"]
_ROWS: LiteralString = (
    "SELECT a.device_id, person_id, since_s, at_s, files, reasons, told_s, state, settled_by, settled_s, done, missed,"
    " COALESCE(s.number, 0) FROM alarm a LEFT JOIN alarm_since s ON s.device_id = a.device_id"
)


class DeviceStopped(BeffroiError):
    """This device is stopped: it changed files as ransomware does."""

    code = "drive.device_stopped"
    http_status = 403


class Raised(NamedTuple):
    """A row of ``alarm``, without its steps.

    ``since_s``: when the first sign was given; ``since``: the change from which on all that the device did is to be
    taken back, 0 in an alarm of before this was kept: there it goes by the time. ``files``: how many had signs when it
    was raised. ``reasons``: JSON, how often each sign (``guard.signs.Sign``, by its name). ``told_s``: when the outbox
    had it, 0 before. ``state``: after "open" a person has everything taken back ("restoring", "restored"), or says that
    it was meant ("settled"). ``done``, ``missed``: steps of the way back that were taken, and those of them that could
    not be.
    """

    device_id: str
    person_id: str
    since_s: int
    at_s: int
    files: int
    reasons: str
    told_s: int
    state: State
    settled_by: str
    settled_s: int
    done: int
    missed: int
    since: int = 0

    @property
    def counts(self) -> Mapping[str, int]:
        found: dict[str, int] = json.loads(self.reasons)
        return found


def every(database: Reading) -> list[Raised]:
    """Newest first."""
    return [Raised(*row) for row in database.all(_ROWS + " ORDER BY at_s DESC, a.device_id")]


def find(database: Reading, device_id: str) -> Raised:
    """Errors: NotFound."""
    row = database.one(_ROWS + " WHERE a.device_id = ?", (device_id,))
    if row is None:
        raise NotFound("alarm")
    return Raised(*row)


def stopped(database: Reading) -> set[str]:
    """Devices."""
    return {row[0] for row in database.all("SELECT device_id FROM alarm WHERE state <> 'settled'")}


def waits_for_somebody(database: Reading) -> bool:
    """Something may have to be taken back yet: nothing that it would need may go."""
    return database.one("SELECT 1 FROM alarm WHERE state IN ('open', 'restoring') LIMIT 1") is not None


def raise_(writing: Writing, alarm: Alarm, *, now_s: int) -> None:
    """Its person: for whom the device last changed something. Raised again after it was settled, it is open again."""
    person: LiteralString = "SELECT person_id FROM change WHERE device_id = ? ORDER BY at_s DESC LIMIT 1"
    counts = {sign.name.lower(): count for sign, count in alarm.signs.items()}
    writing.run("DELETE FROM alarm WHERE device_id = ?", (alarm.device,))
    writing.run(
        "INSERT INTO alarm (device_id, person_id, since_s, at_s, files, reasons, told_s, state, settled_by, settled_s,"
        " steps, done, missed) VALUES (?, ?, ?, ?, ?, ?, 0, 'open', '', 0, ?, 0, 0)",
        (
            alarm.device,
            scalar(writing, person, (alarm.device,)) or "",
            int(alarm.since_s),
            now_s,
            alarm.files,
            json.dumps(counts, separators=(",", ":")),
            b"",
        ),
    )
    writing.run("DELETE FROM alarm_since WHERE device_id = ?", (alarm.device,))
    if alarm.since:
        first = _first_of_its_moment(writing, alarm)
        writing.run("INSERT INTO alarm_since (device_id, number) VALUES (?, ?)", (alarm.device, first))


def _first_of_its_moment(reading: Reading, alarm: Alarm) -> int:
    """One request may have made several changes, of which a later one alone gave a sign: what it moved something over
    was deleted before."""
    at_s = scalar(reading, "SELECT at_s FROM change WHERE number = ?", (alarm.since,))
    if at_s is None:
        return alarm.since
    before = scalar(
        reading,
        "SELECT number FROM change WHERE number < ? AND device_id = ? AND at_s <> ? ORDER BY number DESC LIMIT 1",
        (alarm.since, alarm.device, at_s),
    )
    first = scalar(
        reading,
        "SELECT MIN(number + 0) FROM change WHERE device_id = ? AND at_s = ? AND number > ?",
        (alarm.device, at_s, before or 0),
    )
    # What another device had emptied before it is older than anything of its own.
    return min(first, alarm.since) if first is not None else alarm.since


def told(writing: Writing, device_id: str, *, now_s: int) -> None:
    writing.run("UPDATE alarm SET told_s = ? WHERE device_id = ?", (now_s, device_id))


def settle(writing: Writing, device_id: str, *, person_id: str, now_s: int) -> bool:
    """A person says that it was meant: what the device did stays. False once something was taken back, or settled.

    Errors: NotFound.
    """
    find(writing, device_id)
    return bool(
        writing.run(
            "UPDATE alarm SET state = 'settled', settled_by = ?, settled_s = ? WHERE device_id = ? AND state = 'open'",
            (person_id, now_s, device_id),
        )
    )
