"""Outbox in, idempotent consumers out: how applications meet without importing one another.

``publish`` writes an event in the transaction of the change. ``@consumer`` functions, in each application's
``consumers.py``, run in the same transaction as their cursor. Names load late: models need Django's registry.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from beffroi.core.events.registry import Event, consumer, periodic

if TYPE_CHECKING:
    from beffroi.core.events.outbox import publish
    from beffroi.core.events.running import run_forever, run_pending, run_periodic

__all__ = ["Event", "consumer", "periodic", "publish", "run_forever", "run_pending", "run_periodic"]

_LATE = {"publish": "outbox", "run_pending": "running", "run_forever": "running", "run_periodic": "running"}


def __getattr__(name: str) -> Any:
    if name not in _LATE:
        raise AttributeError(name)
    return getattr(import_module(f"{__name__}.{_LATE[name]}"), name)
