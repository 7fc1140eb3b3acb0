"""Commands to Dovecot: which go together, how many at once."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from pathlib import Path

import pytest
from beffroi.lib import config as config_module
from beffroi.mail import doveadm
from beffroi.mail.doveadm import Command, Doveadm, Rows


@pytest.fixture
def requests(monkeypatch: pytest.MonkeyPatch) -> list[tuple[int, list[str]]]:
    """Which thread asked for which mailboxes, a request an entry; each command is answered with its own mailbox."""
    seen: list[tuple[int, list[str]]] = []

    def post(self: Doveadm, commands: Sequence[Command]) -> list[Rows | None]:
        seen.append((threading.get_ident(), [one["user"] for _, one in commands]))
        return [[{"user": one["user"]}] for _, one in commands]

    monkeypatch.setattr(Doveadm, "_post", post)
    return seen


@pytest.fixture
def engine(tmp_path: Path) -> Doveadm:
    (tmp_path / "secrets").mkdir()
    (tmp_path / "secrets" / "doveadm.key").write_text("k")
    return Doveadm(config_module.load(tmp_path))


def test_answers_come_in_order_and_a_group_stays_in_one_request(
    engine: Doveadm, requests: list[tuple[int, list[str]]]
) -> None:
    groups = [[doveadm.quota(f"{n}.{m}") for m in range(1 + n % 3)] for n in range(20)]
    answers = engine.run_groups(groups)
    assert [[rows[0]["user"] for rows in group if rows] for group in answers] == [
        [one["user"] for _, one in group] for group in groups
    ]
    for n, group in enumerate(groups):
        assert any({one["user"] for _, one in group} <= set(asked) for _, asked in requests), n
    assert all(len(asked) <= doveadm.BATCH for _, asked in requests)


def test_what_nobody_waits_for_keeps_one_process_busy(
    engine: Doveadm, requests: list[tuple[int, list[str]]]
) -> None:
    commands = [doveadm.quota(str(n)) for n in range(50)]
    assert len(engine.run(commands, at_once=1)) == 50
    assert {thread for thread, _ in requests} == {threading.get_ident()}
    assert engine.run([], at_once=1) == engine.run_groups([]) == []
