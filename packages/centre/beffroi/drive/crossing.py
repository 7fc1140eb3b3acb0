"""An access that crosses from one collectivité into another's files, and how it is told.

Rule:    told before a byte leaves or a row changes, so that none is without its line in the owner's audit log; a
         refusal after that has its line, too. Of listings, which sync clients ask for each minute, one an hour; of one
         file that is read in parts, as viewers do, one an hour beside those that begin it; of parts that are sent, one
         an hour beside those that begin and end a file.
Process: drive. Blocking: called in a thread.
Fails:   closed: what cannot be told does not happen.
Source:  docs/decisions/0077-shares-stay-with-their-owner.md.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Literal

from beffroi.drive import telling
from beffroi.lib import clock
from beffroi.lib.config import Config

What = Literal["list", "read", "search", "change"]
"""``search``: files were found by their contents, and a passage of each was shown."""
LISTED_AGAIN_S = 3600
MOST_REMEMBERED = 10_000


@dataclass(frozen=True)
class Crossing:
    """``owner``, ``receiver``: collectivités. ``node_id``: 0 where nothing was there. ``device_id``: "" for a page."""

    share_id: str
    owner: str
    receiver: str
    person_id: str
    device_id: str
    what: What
    node_id: int


type Tell = Callable[[Crossing], object]
"""Errors: Unavailable."""


def tell(config: Config, crossing: Crossing) -> None:
    """Into the outbox; the worker writes the audit log. Errors: Unavailable."""
    telling.tell(config, "drive:crossed", crossing.owner, asdict(crossing))


class Told:
    """Tells each access but a listing, and a read or a sending that goes on, that were told within the hour, as far as
    this process remembers; the hour is not of the clock on the wall, which somebody may set back. For any thread."""

    def __init__(self) -> None:
        self._seen: OrderedDict[tuple[str, str, str, int], float] = OrderedDict()
        self._lock = threading.Lock()

    def __call__(self, crossing: Crossing, tell: Tell, *, goes_on: bool = False) -> None:
        """``goes_on``: another part of what was read before, or is being sent. Errors: Unavailable."""
        is_list, now_s = crossing.what == "list", clock.steady_s()
        if crossing.what == "search" or (crossing.what == "change" and not goes_on):
            tell(crossing)
            return
        which = {"list": -1, "change": -2}.get(crossing.what, crossing.node_id)
        seen = crossing.share_id, crossing.person_id, crossing.device_id, which
        with self._lock:
            before_s = self._seen.get(seen)
        if (is_list or goes_on) and before_s is not None and now_s - before_s < LISTED_AGAIN_S:
            return
        tell(crossing)
        with self._lock:
            self._seen[seen] = now_s
            self._seen.move_to_end(seen)
            if len(self._seen) > MOST_REMEMBERED:
                self._seen.popitem(last=False)
