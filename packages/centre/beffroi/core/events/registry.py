"""Which functions consume which kinds of event, and which run on a timer; ``running`` acts on it.

Each application's are in its ``consumers.py``. These are loaded by who asks for all of them, not by every process: most
only publish, and the services behind all consumers take a second to load.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import cache
from typing import Any

from django.utils.module_loading import autodiscover_modules

from beffroi.lib.errors import BeffroiError

DECISIONS = "decisions"
"""Lane of all that leads to a decision or ends one: nothing in it asks DNS at length, an engine or a mail server."""
ACCESSES = "accesses"
"""Lane of what shuts an app password out at the doors: everybody else's departure may wait behind it."""
CONNECTIONS = "connections"
"""Lane of what ends at Dovecot what an app password opened before; one that hangs holds up nothing else."""
ANSWERS = "answers"
"""Lane of timers that do: what ends somebody's access waits for none of them."""


class ConsumerNameTaken(BeffroiError):
    """Two consumers or timers are named {}: their cursors would mix."""

    code = "events.name_taken"


@dataclass(frozen=True)
class Event:
    """One row of the outbox."""

    id: int
    kind: str
    collectivite_id: str | None
    payload: Mapping[str, Any]
    created_at: datetime


@dataclass(frozen=True)
class Consumer:
    """See ``consumer``."""

    name: str
    kinds: tuple[str, ...]
    group: str
    lane: str
    function: Callable[..., None]
    prepare: Callable[[Event], Any] | None
    atomic: bool
    together: bool
    urgent: bool


@dataclass(frozen=True)
class Periodic:
    name: str
    every_s: float
    group: str
    lane: str
    function: Callable[[], object]


_consumers: dict[str, Consumer] = {}
_timers: dict[str, Periodic] = {}


@cache
def _load() -> None:
    autodiscover_modules("consumers")


def consumers() -> dict[str, Consumer]:
    """All of every application, by name."""
    _load()
    return _consumers


def timers() -> dict[str, Periodic]:
    """All of every application, by name."""
    _load()
    return _timers


def consumer[F: Callable[..., None]](
    *,
    name: str,
    kinds: tuple[str, ...],
    group: str = "main",
    lane: str = "",
    prepare: Callable[[Event], Any] | None = None,
    atomic: bool = True,
    together: bool = False,
    urgent: bool = False,
) -> Callable[[F], F]:
    """Register ``f(event)`` for these kinds; ``name`` is for ever, since the cursor is kept under it.

    ``lane``: what shares one runs one after another; each lane of a group has a thread of its own in its process.
    ``prepare``: does slow work (DNS, HTTP) before the transaction; its result is passed as ``f(event, prepared)``.
    ``atomic`` False: ``f`` runs outside of any transaction and may run again after a crash.
    ``together``: ``f(events)`` takes all that wait, in their order; after a failure one by one. Not with ``prepare``.
    ``urgent``: its turn is before those of all others of its lane.
    """

    def register(function: F) -> F:
        _claim(name, _consumers.get(name), function)
        _consumers[name] = Consumer(name, kinds, group, lane, function, prepare, atomic, together, urgent)
        return function

    return register


def periodic[F: Callable[[], object]](
    name: str, every_s: float, group: str = "main", *, lane: str = ""
) -> Callable[[F], F]:
    """Register ``f()`` to run about every ``every_s`` seconds in the process of ``group``, and once at its start.
    ``lane``: as of ``consumer``. One that may be long is a generator: at each ``yield``, outside of any transaction and
    with no lock held, others of its lane may have their turn; where it stands then, a kill may come instead."""

    def register(function: F) -> F:
        _claim(name, _timers.get(name), function)
        _timers[name] = Periodic(name, every_s, group, lane, function)
        return function

    return register


def _claim(name: str, present: Consumer | Periodic | None, function: Callable[..., object]) -> None:
    # A module that is imported a second time registers the same function again: that is no conflict.
    if present is not None and present.function.__qualname__ != getattr(function, "__qualname__", ""):
        raise ConsumerNameTaken(name)
