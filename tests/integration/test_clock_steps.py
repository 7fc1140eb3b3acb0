"""A clock that somebody set is named by `./beffroi status` and the console, before all that is late by it."""

from __future__ import annotations

import dataclasses
from datetime import timedelta
from pathlib import Path

import pytest
from beffroi.cli import report, retention
from beffroi.core.retention import actions
from beffroi.core.retention.models import RetentionRun
from beffroi.lib import clock, clock_steps
from beffroi.lib.config import Config
from django.test import Client

from tests.markup import flat

pytestmark = pytest.mark.usefixtures("database")
DAY_S = 86400.0


@pytest.fixture
def place(config: Config, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Config:
    found = dataclasses.replace(config, state=tmp_path)
    found.run.mkdir()
    (tmp_path / "supervisor").mkdir()
    monkeypatch.setattr("django.conf.settings.BEFFROI", found)
    clock_steps.look(found)
    return found


def said(place: Config) -> str:
    clock_steps.look(place)
    return report._WRONG["clock"](place)


def test_a_clock_that_goes_or_is_kept_right_is_no_trouble(place: Config) -> None:
    assert said(place) == ""
    with clock.jumped(8), clock.shifted(3 * DAY_S):
        assert said(place) == ""
        with clock.jumped(8):  # each step a correction: together they are more than one
            assert said(place) == ""


@pytest.mark.parametrize(
    ("jump_s", "words", "on_page"),
    [
        (3 * DAY_S, "set 3 days forward", "l’horloge du centre a été avancée"),
        (-7200.0, "set 2 hours back", "l’horloge du centre a été reculée"),
        (14.0, "set 14 s forward", "l’horloge du centre a été avancée"),
    ],
)
def test_a_clock_that_was_set_is_named_until_it_is_right_or_has_stood_for_a_day(
    place: Config, console: Client, jump_s: float, words: str, on_page: str
) -> None:
    would_be = clock.now()
    with clock.jumped(jump_s):
        assert words in said(place) and f"{would_be:%Y-%m-%d %H:}" in said(place)
        assert "Next: compare" in said(place)
        assert next(iter(report._WRONG)) == "clock", "before what is late by it"
        assert clock_steps.step_s(place) == pytest.approx(jump_s, abs=1)
    # The page is asked once the clock is right again: its session would be as old as the clock said.
    assert on_page in console.get("/").content.decode().replace("L’horloge", "l’horloge"), (
        "nobody looked since"
    )
    assert (
        f"L’horloge du centre a été {'avancée' if jump_s > 0 else 'reculée'} depuis"
        in console.get("/conservation/").content.decode()
    )
    assert said(place) == "", "set right again"
    with clock.jumped(jump_s):
        assert said(place)
        with clock.shifted(clock_steps.TOLD_FOR_S + 1):
            assert said(place) == ""


def test_nothing_is_said_of_another_start_of_the_machine_or_of_a_damaged_file(place: Config) -> None:
    with clock.jumped(DAY_S):
        assert said(place)
    path = place.state / "supervisor" / "clock.json"
    path.write_bytes(path.read_bytes().replace(clock.boot().encode(), b"another"))
    assert report._WRONG["clock"](place) == ""
    assert said(place) == ""
    path.write_bytes(b"{")
    assert report._WRONG["clock"](place) == "" and said(place) == ""


def test_a_purge_by_a_clock_that_was_ahead_is_named_with_both_times(
    place: Config, console: Client, capsys: pytest.CaptureFixture[str]
) -> None:
    now = clock.now()
    RetentionRun.objects.create(
        state="done", started_at=now + timedelta(days=20), finished_at=now + timedelta(days=20)
    )
    with pytest.raises(actions.ClockInDoubt):
        actions.begin()
    page = flat(console.get("/conservation/").content.decode())
    assert "Elle est en retard sur la dernière date certaine." in page
    assert "L’une des deux heures est fausse." in page and "--clock-is-right" in page
    assert retention.show(place) == 1
    said_by_command = capsys.readouterr().out
    assert (
        f"said {now:%Y-%m-%d}" in said_by_command
        and f"began at {now + timedelta(days=20):%Y-%m-%d}" in said_by_command
    )
