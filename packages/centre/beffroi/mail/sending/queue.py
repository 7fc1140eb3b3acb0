"""What waits in Postfix's queue, asked of the keeper.

Process: console, worker, command line; STATE/run/queue.sock.
Hostile: senders, recipients and the words of foreign servers; shown as text, never interpreted.
Fails:   QueueUnavailable (retryable) when the keeper does not answer.
Source:  mail/sending/keeper.py.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import batched
from typing import Any

from beffroi.lib import asked
from beffroi.lib.config import Config
from beffroi.lib.errors import Unavailable
from beffroi.mail.sending import keeper

TIMEOUT_S = 30.0


class QueueUnavailable(Unavailable):
    """The mail queue does not answer at the moment ({}); try again shortly."""

    code = "mail.queue_unavailable"


@dataclass(frozen=True)
class Waiting:
    """One mail that has not left. ``queue``: incoming, active, deferred or hold. ``recipients``: (address, why).

    ``account``: the sender, or whose login handed in what has none (a read receipt), or "";
    ``passed_on``: what has none came by SMTP from nobody's login."""

    id: str
    queue: str
    since: datetime
    size_bytes: int
    sender: str
    recipients: tuple[tuple[str, str], ...]
    account: str
    passed_on: bool = False

    @property
    def reason(self) -> str:
        """The first reason that a server gave; "" while none did."""
        return next((why for _, why in self.recipients if why), "")


@dataclass(frozen=True)
class Queue:
    """``total``: how many wait; ``messages``: the first of them, oldest first."""

    total: int
    messages: tuple[Waiting, ...]


def read(config: Config, **wanted: Collection[str]) -> Queue:
    """The oldest of all; with ``senders`` or ``ids`` each mail of these, however many wait.

    Errors: QueueUnavailable."""
    answer = _ask(config, {"verb": "list", **{name: sorted(values) for name, values in wanted.items()}})
    found = [
        Waiting(
            one["id"],
            one["queue"],
            datetime.fromtimestamp(one["since_s"], UTC),
            one["size_bytes"],
            one["sender"],
            tuple((address, why) for address, why in one["recipients"]),
            one["account"],
            one["passed_on"],
        )
        for one in answer["messages"]
    ]
    return Queue(answer["total"], tuple(found))


@dataclass(frozen=True)
class Left:
    """A part of Postfix's log. ``offset_bytes``: where the next begins; ``more``: whether it waits already; ``rows``:
    (domain, how, recipients); ``lanes``: (exit, provider, sent or refused, recipients); ``senders``: (address,
    recipients refused for good, of these unknown to their server, recipients taken or refused)."""

    offset_bytes: int
    more: bool
    rows: tuple[tuple[str, str, int], ...] = ()
    lanes: tuple[tuple[str, str, str, int], ...] = ()
    senders: tuple[tuple[str, int, int, int], ...] = ()


def left(config: Config, offset_bytes: int) -> Left:
    """Errors: QueueUnavailable."""
    answer = _ask(config, {"verb": "left", "offset_bytes": offset_bytes})
    return Left(
        answer["offset_bytes"],
        answer["more"],
        *(tuple(tuple(one) for one in answer[name]) for name in ("rows", "lanes", "senders")),
    )


def change(config: Config, verb: str, ids: Sequence[str]) -> None:
    """retry, hold, release, return (to the sender) or delete; what is gone already is no failure.

    Errors: QueueUnavailable.
    """
    for some in batched(ids, keeper.MAX_IDS, strict=False):
        _ask(config, {"verb": verb, "ids": list(some)})


def look_up_anew(config: Config) -> None:
    """Let Postfix forget what it remembers of where addresses lead; whom it serves just now it serves to the end.

    Errors: QueueUnavailable.
    """
    _ask(config, {"verb": "reload"})


def _ask(config: Config, request: dict[str, Any]) -> dict[str, Any]:
    try:
        answer = next(asked.answers(keeper.socket_path(config), request, timeout_s=TIMEOUT_S))
    except (OSError, ValueError, StopIteration):
        raise QueueUnavailable("no answer") from None
    if not answer.get("ok"):
        raise QueueUnavailable(str(answer.get("why", ""))[:200])
    return answer
