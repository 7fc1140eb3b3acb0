"""A worker that is killed at any moment loses no event and repeats no effect."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from beffroi.core.audit import actions as audit
from beffroi.core.audit import queries
from beffroi.core.events.models import OutboxEvent
from beffroi.core.events.outbox import publish
from beffroi.core.identity.actor import Actor
from beffroi.core.identity.models import Person
from django.db import transaction

from tests.waiting import PATIENCE_S, until

EVENTS = 60
KILLS = 8

WORKER = """
import os, sys, time
from django.conf import settings
import django
settings.DATABASES["default"].update(__import__("json").loads(sys.argv[1]))
django.setup()
from beffroi.core.events import consumer
from beffroi.core.events.running import run_forever
from beffroi.core.identity.models import Person

@consumer(name="tests.killed", kinds=("test:told",), group="killed")
def create(event):
    Person.objects.create(email=f"n{event.payload['number']}@beaune.test", name="n")
    time.sleep(0.01)  # the effect is written, the cursor is not: the moment to die

for _ in sys.stdin:
    if not (pid := os.fork()):
        run_forever("killed", settings.BEFFROI)
        os._exit(0)
    print(pid, flush=True)
    print(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), flush=True)
"""


class Workers:
    """One after the other, forked by a process that has imported what each would import for two seconds."""

    def __init__(self, database: dict[str, str], state: Path) -> None:
        environment = os.environ | {
            "BEFFROI_STATE": str(state),
            "DJANGO_SETTINGS_MODULE": "beffroi.settings.base",
        }
        self._process = subprocess.Popen(
            [sys.executable, "-c", WORKER, json.dumps(database)],
            env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True,
        )  # fmt: skip
        self._pid = 0

    def start(self) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write("\n")
        self._process.stdin.flush()
        self._pid = self._said()

    def end(self, number: signal.Signals) -> int:
        """Return its exit code as ``subprocess`` gives it."""
        os.kill(self._pid, number)
        return self._said()

    def close(self) -> None:
        self._process.communicate(timeout=PATIENCE_S)

    def _said(self) -> int:
        assert self._process.stdout is not None
        return int(self._process.stdout.readline())


def goes_on(count: int) -> None:
    until(lambda: Person.objects.count() >= count, "the worker does not go on", PATIENCE_S)


@pytest.mark.slow
@pytest.mark.usefixtures("committed")
def test_worker_killed_at_any_moment_takes_each_event_once(state: Path) -> None:
    from django.db import connection

    database = {"NAME": str(connection.settings_dict["NAME"])}
    system = Actor.system("tests")
    for number in range(EVENTS):
        with transaction.atomic():
            publish("test:told", {"number": number})
            audit.record(system, "test:told", str(number), collectivite_id=None)
    chance, workers = random.Random(5), Workers(database, state)
    for kill in range(KILLS):
        workers.start()
        goes_on(min(EVENTS, (kill + 1) * 4))
        time.sleep(chance.uniform(0, 0.03))
        assert workers.end(signal.SIGKILL) == -signal.SIGKILL
    workers.start()
    goes_on(EVENTS)
    assert workers.end(signal.SIGTERM) == 0
    workers.close()
    emails = sorted(Person.objects.values_list("email", flat=True))
    assert emails == sorted(f"n{number}@beaune.test" for number in range(EVENTS))
    assert OutboxEvent.objects.count() == EVENTS
    audit.seal()
    assert queries.verify().ok
