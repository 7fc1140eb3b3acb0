"""What a part of the centre does not take in is said, and a person has it taken again or forgets it."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest
from beffroi.cli import events as command
from beffroi.cli import report
from beffroi.core.audit.models import AuditEntry
from beffroi.core.events import consumers as timers
from beffroi.core.events import told, waiting
from beffroi.core.events.models import ConsumerCursor, OutboxEvent, ParkedEvent
from beffroi.core.events.outbox import publish
from beffroi.core.events.registry import Event, consumer
from beffroi.core.events.registry import consumers as registered
from beffroi.core.events.running import PARK_AFTER, _failed, run_pending
from beffroi.core.identity.actor import Actor
from beffroi.lib import clock
from beffroi.lib.config import Config
from beffroi.lib.errors import NotAllowed, NotFound
from django.db import transaction
from django.test import Client

from tests.conftest import Commune

pytestmark = pytest.mark.usefixtures("database", "own_registry")
GROUP = "tests"
NO_BREAK = "\N{NO-BREAK SPACE}"
COMMAND = Actor.system("events-command:somebody")


class Poison:
    """A consumer that takes nothing for as long as it is broken."""

    def __init__(self) -> None:
        self.is_broken, self.taken = True, list[int]()

        @consumer(name="tests.poison", kinds=("test:told",), group=GROUP)
        def take(event: Event) -> None:
            if self.is_broken:
                raise ValueError
            self.taken.append(int(event.payload["number"]))

        self.own = registered()["tests.poison"]

    def give_up(self) -> None:
        """As the process does, after so many attempts."""
        for _ in range(PARK_AFTER):
            _failed(self.own, ValueError())


@pytest.fixture
def poison() -> Poison:
    return Poison()


@pytest.fixture
def place(config: Config, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Config]:
    """A centre of its own, whose worker wrote nothing yet."""
    found = dataclasses.replace(config, state=tmp_path)
    found.run.mkdir()
    monkeypatch.setattr("django.conf.settings.BEFFROI", found)
    yield found


def tell(number: int, *, ago: timedelta = timedelta()) -> None:
    with transaction.atomic():
        publish("test:told", {"number": number})
    OutboxEvent.objects.filter(kind="test:told").update(created_at=clock.now() - ago)


def said(place: Config) -> str:
    timers.tell()
    return report._WRONG["events"](place)


def test_what_is_taken_in_or_just_came_is_no_trouble(poison: Poison, place: Config) -> None:
    run_all()
    tell(1)
    assert said(place) == ""
    poison.is_broken = False
    run_pending(GROUP)
    assert said(place) == ""


def run_all() -> None:
    """Each consumer of the centre has taken what the fixtures made."""
    newest = OutboxEvent.objects.order_by("-id").values_list("id", flat=True).first() or 0
    for one in registered():
        ConsumerCursor.objects.update_or_create(consumer=one, defaults={"position": newest})


def test_who_is_behind_is_named_with_since_when_and_where_to_look(
    poison: Poison, place: Config, console: Client
) -> None:
    run_all()
    tell(1, ago=waiting.BEHIND + timedelta(minutes=1))
    sentence = said(place)
    assert "tests.poison (1)" in sentence and "log/tests.log" in sentence
    assert "1 traitement du centre n’a pas pris en compte" in console.get("/").content.decode()
    page = console.get("/evenements/").content.decode()
    assert (
        "tests.poison" in page and f"1 évènement{NO_BREAK}; le premier" in page and "Mis de côté" not in page
    )


def test_what_was_given_up_is_said_until_it_is_taken_again(
    poison: Poison, place: Config, console: Client, capsys: pytest.CaptureFixture[str]
) -> None:
    run_all()
    tell(1)
    poison.give_up()
    assert ParkedEvent.objects.count() == 1
    assert "tests.poison (1, ValueError)" in said(place) and "./beffroi events show" in said(place)
    page = console.get("/evenements/").content.decode()
    assert "Mis de côté après huit essais" in page and "ValueError" in page
    assert command.show() == 1 and "tests.poison" in capsys.readouterr().out
    assert command.retry("tests.poison", COMMAND) == 1 and ParkedEvent.objects.count() == 1
    poison.is_broken = False
    assert command.retry("tests.poison", COMMAND) == 0
    assert poison.taken == [1] and not ParkedEvent.objects.exists() and said(place) == ""
    (entry,) = AuditEntry.objects.filter(verb="events:taken_again")
    assert entry.actor_id == COMMAND.id
    assert command.show() == 0
    with pytest.raises(NotFound):
        command.retry("tests.poison", COMMAND)


def test_what_is_forgotten_is_never_taken(poison: Poison, place: Config) -> None:
    tell(1)
    poison.give_up()
    poison.is_broken = False
    assert command.forget("tests.poison", COMMAND) == 0
    run_pending(GROUP)
    assert poison.taken == [] and not ParkedEvent.objects.exists()
    assert AuditEntry.objects.filter(verb="events:forgotten").count() == 1


def test_nobody_of_a_commune_has_anything_taken_again(poison: Poison, beaune: Commune) -> None:
    tell(1)
    poison.give_up()
    (row,) = ParkedEvent.objects.all()
    referent = Actor("person", beaune.referent.id, beaune.id, "referent")
    for act in (waiting.take_again, waiting.forget):
        with pytest.raises(NotAllowed):
            act(row, actor=referent)
    assert ParkedEvent.objects.exists()


def test_a_worker_that_hangs_is_said(place: Config) -> None:
    now = clock.epoch_s()
    told.write(place, told.Told(now - told.LATE_S - 60))
    assert "has not looked for 16 minutes" in told.problem(place, now=now)
    told.write(place, told.Told(now - told.LATE_S))
    assert told.problem(place, now=now) == ""
    (place.run / "events.json").write_text("{")
    assert told.problem(place, now=now) == ""


def test_what_two_have_taken_again_at_once_is_taken_once(poison: Poison, place: Config) -> None:
    tell(1)
    poison.give_up()
    poison.is_broken = False
    (first,), (second,), (third,) = (waiting.parked("tests.poison") for _ in range(3))
    assert waiting.take_again(first, actor=COMMAND)
    assert not waiting.take_again(second, actor=COMMAND)
    with pytest.raises(NotFound):
        waiting.forget(third, actor=COMMAND)
    assert poison.taken == [1] and AuditEntry.objects.filter(verb__startswith="events:").count() == 1


def test_a_second_command_beside_one_at_work_is_refused(place: Config) -> None:
    with command.turn(place), pytest.raises(command.EventsBusy), command.turn(place):
        pass
    with command.turn(place):
        pass
