"""Outbox in, idempotent consumers out: how applications meet without importing one another.

``outbox.publish`` writes an event in the transaction of the change. ``@consumer`` functions, in each application's
``consumers.py``, run in the same transaction as their cursor (``running``).
"""

from beffroi.core.events.registry import Event, consumer, periodic

__all__ = ["Event", "consumer", "periodic"]
