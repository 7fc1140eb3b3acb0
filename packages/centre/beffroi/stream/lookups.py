"""Look-ups of boxes for requests, many in one query.

Purpose: every request asks the database whether its box still counts. Hundreds of acknowledgements arrive together; a
         walk to the thread and back for each would cost more than its query.
Process: stream; the event loop. Each look-up reads what is committed after it was asked for.
Fails:   Unavailable, for all that share the query.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

from beffroi.stream.store import BoxRow, Store


class Lookups:
    """Those that wait while a query runs share the next one."""

    def __init__(self, run: Callable[[Callable[[], object]], Awaitable[object]], store: Store) -> None:
        self._run = run
        self._store = store
        self._wanted: set[str] = set()
        self._next: asyncio.Task[dict[str, BoxRow]] | None = None
        self._one_query = asyncio.Lock()

    async def box(self, box_id: str) -> BoxRow | None:
        """Errors: Unavailable."""
        self._wanted.add(box_id)
        if self._next is None:
            self._next = asyncio.create_task(self._ask())
        return (await asyncio.shield(self._next)).get(box_id)

    async def _ask(self) -> dict[str, BoxRow]:
        async with self._one_query:
            wanted, self._wanted, self._next = self._wanted, set(), None
            rows = await self._run(lambda: self._store.boxes(wanted))
        assert isinstance(rows, dict)
        return rows
