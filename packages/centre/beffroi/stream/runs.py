"""Two machines with one box identity: an image of a box that was copied, or its key in other hands.

Purpose: each start of an agent draws a number and names it when it opens the feed. A number that comes back after
         another one took its place is of a machine that was there all the time.
Process: stream, relays; they share what they heard by the table ``box_run``, written only when the number changes.
Input:   hostile boxes: a number is short; an older agent names none, and nothing is known of it.
Fails:   open: a database that cannot be written keeps no box from following. Where two relays hold the two machines, it
         is seen when one of them opens its feed again.
"""

from __future__ import annotations

import asyncio
import logging
import re
from collections.abc import Awaitable, Callable

from beffroi.core.planes.db import Database
from beffroi.lib import clock
from beffroi.lib.errors import Unavailable
from beffroi.stream.store import BoxRow, Store

log = logging.getLogger("beffroi.stream")

_NUMBER = re.compile(r"[0-9a-f]{8,32}\Z")
AGAIN_S = 60.0
"""Two machines take the feed from one another each second: so often it is written."""


class Runs:
    def __init__(self, run: Callable[[Callable[[], object]], Awaitable[object]], store: Store) -> None:
        self._run = run
        self._store = store
        self._told: dict[str, float] = {}
        """Box -> when it was said that there are two, in seconds of the loop's clock."""

    async def joined(self, box: BoxRow, number: str) -> None:
        """A box opens its feed; ``number`` as it names it."""
        now_s = asyncio.get_running_loop().time()
        told_s = self._told.get(box.id, float("-inf"))
        if number == box.run or now_s - told_s < AGAIN_S or not _NUMBER.match(number):
            return
        try:
            is_twice = await self._run(lambda: note(self._store.database, box.id, number))
        except Unavailable:
            return
        if is_twice:
            log.warning("two machines follow as %s", box.id)
            self._told[box.id] = now_s


def note(database: Database, box_id: str, number: str) -> bool:
    """Return whether this number was there before the present one. Errors: Unavailable."""
    with database.transaction():
        rows = database.execute("SELECT number, former FROM box_run WHERE box_id = ?", (box_id,))
        if not rows:
            database.execute(
                "INSERT INTO box_run (box_id, number, former, twice_at) VALUES (?, ?, '', NULL)",
                (box_id, number),
            )
            return False
        present, former = rows[0]
        if number == present:
            return False
        database.execute(
            "UPDATE box_run SET number = ?, former = ? WHERE box_id = ?", (number, present, box_id)
        )
        if number == former:
            database.execute("UPDATE box_run SET twice_at = ? WHERE box_id = ?", (clock.now(), box_id))
    return bool(number == former)
