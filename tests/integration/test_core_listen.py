"""Another machine is woken by the database: its sockets are not here, so no datagram reaches it."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from beffroi.core.events.outbox import publish
from beffroi.core.planes import db, outbox
from beffroi.core.planes.listen import Listener
from beffroi.core.planes.wake import Waker
from django.db import connection, transaction

from tests.waiting import PATIENCE_S


@pytest.fixture
def elsewhere() -> Iterator[Path]:
    """The run directory of another machine."""
    made = Path(tempfile.mkdtemp(prefix="bfw-"))
    yield made
    shutil.rmtree(made, ignore_errors=True)


def test_event_wakes_a_process_elsewhere_after_its_commit_and_never_before(
    committed: str, plane: db.Database, elsewhere: Path
) -> None:
    with Waker(elsewhere, "main") as waker, Listener(committed, waker) as listener:
        if connection.vendor == "sqlite":  # one machine: the datagrams do it, and nothing listens
            with transaction.atomic():
                publish("tests:told", {})
            assert not listener.listening.is_set()
            assert not waker.wait(0.0)
            return
        assert listener.listening.wait(PATIENCE_S)
        assert waker.wait(PATIENCE_S)  # once for what came before
        with transaction.atomic():
            publish("tests:told", {})
            publish("tests:told", {})
            assert not waker.wait(0.2)
        assert waker.wait(PATIENCE_S)
        assert not waker.wait(0.2)
        with plane.transaction():
            outbox.publish(plane, "tests:told", {}, run=elsewhere / "not-here")
            assert not waker.wait(0.2)
        assert waker.wait(PATIENCE_S)


def test_rolled_back_event_wakes_nobody(committed: str, elsewhere: Path) -> None:
    with Waker(elsewhere, "main") as waker, Listener(committed, waker) as listener:
        if connection.vendor == "postgresql":
            assert listener.listening.wait(PATIENCE_S)
            assert waker.wait(PATIENCE_S)
        with pytest.raises(ZeroDivisionError), transaction.atomic():
            publish("tests:told", {})
            raise ZeroDivisionError
        assert not waker.wait(0.2)


def test_database_that_does_not_answer_costs_nothing_but_the_wake_up(elsewhere: Path) -> None:
    with Waker(elsewhere, "main") as waker, Listener(f"postgresql:///x?host={elsewhere}", waker) as listener:
        assert not waker.wait(0.2)
        assert not listener.listening.is_set()
