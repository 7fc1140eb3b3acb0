"""A clock that somebody set is named by `./beffroi status` and the console, before all that is late by it."""

from __future__ import annotations

import contextlib
import dataclasses
from datetime import timedelta
from pathlib import Path

import pytest
from beffroi.cli import report, retention
from beffroi.core.decisions import actions as actions_of_decisions
from beffroi.core.identity.actor import Actor
from beffroi.core.retention import actions
from beffroi.core.retention.models import RetentionRun
from beffroi.lib import clock, clock_steps
from beffroi.lib.config import Config
from django.test import Client

from tests.fixtures_trust import decide
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


@dataclasses.dataclass
class Started:
    """What a start of the centre waited for, on a machine that was just started. ``kept_after_s``: until something
    keeps its clock, which then says what is right."""

    place: Config
    kept_after_s: float = float("inf")
    waited_s: float = 0.0
    said: list[str] = dataclasses.field(default_factory=list)

    def begin(self, *, last_s: float) -> None:
        (self.place.state / "supervisor" / "clock.json").unlink(missing_ok=True)
        with contextlib.ExitStack() as passing:

            def sleep(seconds: float) -> None:
                self.waited_s += seconds
                passing.enter_context(clock.shifted(seconds))

            clock_steps.begin(
                self.place,
                last_s=last_s,
                say=self.said.append,
                is_kept=lambda: self.waited_s >= self.kept_after_s,
                sleep=sleep,
            )


@pytest.mark.parametrize("off_s", [40 * DAY_S, -10 * DAY_S])
def test_a_clock_that_cannot_be_right_at_a_start_is_waited_for_and_then_named(
    place: Config, console: Client, off_s: float
) -> None:
    last_s = clock.epoch() - 3600
    with clock.jumped(off_s):
        started = Started(place)
        started.begin(last_s=last_s)
        assert started.waited_s == pytest.approx(clock_steps.WAIT_S, abs=2) and started.said
        words = f"stood {40 if off_s > 0 else 10} days {'after' if off_s > 0 else 'before'} the centre's last sign"
        assert words in said(place) and "Next: compare" in said(place)
    on_page = f"l’horloge du centre a été {'avancée' if off_s > 0 else 'reculée'}"
    assert on_page in console.get("/").content.decode().replace("L’horloge", "l’horloge")
    assert said(place) == "", "set right: the machine was off for an hour"
    with clock.jumped(off_s):
        assert said(place), "set wrong again"


def test_a_start_goes_on_as_soon_as_the_clock_is_kept_and_then_nothing_is_said(place: Config) -> None:
    last_s = clock.epoch() - 20 * DAY_S  # so long it was off
    started = Started(place, kept_after_s=7)
    started.begin(last_s=last_s)
    assert started.waited_s == 7 and said(place) == ""


def test_no_decision_ends_by_a_clock_that_is_set_within_the_two_minutes(
    place: Config, system: Actor, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A process that starts takes the clock as it is: so none starts before."""
    decide(system, ttl_s=7 * 86400)
    (place.state / "supervisor" / "clock.json").unlink()
    last_s = clock.epoch() - 3600
    with contextlib.ExitStack() as ahead:
        ahead.enter_context(clock.jumped(40 * DAY_S))
        kept = []

        def ntp_answers(_seconds: float) -> None:
            ahead.close()
            kept.append(True)

        clock_steps.begin(
            place, last_s=last_s, say=lambda _: None, is_kept=lambda: bool(kept), sleep=ntp_answers
        )
        monkeypatch.setattr(clock, "_pace", clock.Pace())  # of a worker that starts
        assert actions_of_decisions.expire_due() == 0
    assert kept and said(place) == ""
    with clock.jumped(40 * DAY_S):
        monkeypatch.setattr(clock, "_pace", clock.Pace())
        assert actions_of_decisions.expire_due() == 1, "what the wait is for"


@pytest.mark.parametrize("off_s", [5.0, 3600.0, 2.5 * DAY_S])
def test_after_a_night_or_a_weekend_nothing_is_waited_for(place: Config, off_s: float) -> None:
    started = Started(place)
    started.begin(last_s=clock.epoch() - off_s)
    assert (started.waited_s, started.said, said(place)) == (0.0, [], "")


def test_a_new_centre_and_another_start_of_a_running_machine_wait_for_nothing(place: Config) -> None:
    started = Started(place)
    started.begin(last_s=0)
    clock_steps.look(place)
    path = place.state / "supervisor" / "clock.json"
    before = path.read_bytes()
    clock_steps.begin(
        place, last_s=clock.epoch() - 40 * DAY_S, say=started.said.append, is_kept=lambda: False
    )
    assert started.said == [] and path.read_bytes() == before


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
