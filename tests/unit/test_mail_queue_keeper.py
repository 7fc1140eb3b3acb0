"""What the keeper of the queue tells of it, from what Postfix says. Without Postfix."""

from __future__ import annotations

import json
import socket
from pathlib import Path
from typing import Any

import pytest
from beffroi.lib.config import Config
from beffroi.mail.sending.keeper import MAX_LISTED, Keeper

OTHERS = MAX_LISTED + 500


def waiting(number: int, sender: str, arrived_s: int) -> dict[str, Any]:
    return {
        "queue_id": f"4abcDEF{number:06d}",
        "queue_name": "deferred",
        "arrival_time": arrived_s,
        "message_size": 1000,
        "sender": sender,
        "recipients": [{"address": "x@ailleurs.example", "delay_reason": "refused"}],
    }


@pytest.fixture
def keeper(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Keeper:
    """A provider is down for hours, then somebody steals an account. Postfix tells its queue in no order."""
    rows = [waiting(n, "maire@nuits.test", 1_700_000_000 - n) for n in range(OTHERS)]
    rows.append(waiting(900_001, "agent@beaune.test", 1_700_000_100))
    rows.append(waiting(900_002, "Agent+promo@beaune.test", 1_700_000_200))
    made = Keeper(Config(state=tmp_path))
    told = "\n".join(json.dumps(one) for one in rows)
    monkeypatch.setattr(made, "_run", lambda *_, **__: (0, told))
    return made


def ask(keeper: Keeper, **wanted: Any) -> dict[str, Any]:
    near, _ = socket.socketpair()
    return keeper.answer(json.dumps({"verb": "list", **wanted}).encode(), near)


def test_a_page_shows_the_oldest_of_a_long_queue(keeper: Keeper) -> None:
    told = ask(keeper)
    since = [one["since_s"] for one in told["messages"]]
    assert (told["total"], len(since)) == (OTHERS + 2, MAX_LISTED)
    assert since == sorted(since) and since[0] == 1_700_000_001 - OTHERS


def test_what_an_account_has_waiting_is_told_whole_behind_a_long_queue(keeper: Keeper) -> None:
    told = ask(keeper, senders=["agent@beaune.test", "mairie@beaune.test"])
    assert [one["id"] for one in told["messages"]] == ["4abcDEF900001", "4abcDEF900002"]
    assert len(ask(keeper, senders=["maire@nuits.test"])["messages"]) == OTHERS
    assert ask(keeper, senders=[])["messages"] == []


def test_a_mail_is_found_by_its_identifier_behind_a_long_queue(keeper: Keeper) -> None:
    assert [one["sender"] for one in ask(keeper, ids=["4abcDEF900001"])["messages"]] == ["agent@beaune.test"]
    assert ask(keeper, ids=["4abcDEF"])["total"] == 0


def _records(number: int, *named: str) -> str:
    return "".join(
        [f"*** ENVELOPE RECORDS deferred/4/4abcDEF{number:06d} ***\n"]
        + [f"named_attribute: {one}\n" for one in named]
        + ["sender: \n*** MESSAGE FILE END ***\n"]
    )


def test_a_mail_that_left_while_it_was_asked_whose_it_is_takes_no_answer_from_the_others(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = Keeper(Config(state=tmp_path))
    answers = {
        "/usr/sbin/postqueue": (0, "\n".join(json.dumps(waiting(n, "MAILER-DAEMON", n)) for n in range(4))),
        "4abcDEF000000": (
            1,
            _records(0, "client_address=127.0.0.1", "sasl_username=agent@beaune.test@apw_1"),
        ),
        "4abcDEF000002": (0, _records(2, "client_address=192.0.2.1") + _records(3)),
    }
    monkeypatch.setattr(made, "_run", lambda argv, **_: answers[argv[0] if argv[-1] == "-j" else argv[5]])
    told = [(one["account"], one["passed_on"]) for one in ask(made)["messages"]]
    assert told == [("agent@beaune.test", False), ("", False), ("", True), ("", False)]
    assert len(ask(made, senders=["agent@beaune.test"])["messages"]) == 1
