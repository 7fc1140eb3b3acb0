"""An access that crosses from one collectivité into another's files, and how it is told.

Rule:    told before a byte leaves or a row changes, so that none is without its line in the owner's audit log; a
         refusal after that has its line, too. Of listings, which sync clients ask for each minute, one an hour.
Process: drive. Blocking: called in a thread.
Fails:   closed: what cannot be told does not happen.
Source:  docs/decisions/0077-shares-stay-with-their-owner.md.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Literal

from beffroi.drive import telling
from beffroi.lib import clock
from beffroi.lib.config import Config

What = Literal["list", "read", "change"]
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
    """Tells each access but a listing that was told within the hour, as far as this process remembers."""

    def __init__(self) -> None:
        self._listed: OrderedDict[tuple[str, str, str], int] = OrderedDict()

    def __call__(self, crossing: Crossing, tell: Tell) -> None:
        """Errors: Unavailable."""
        if crossing.what != "list":
            tell(crossing)
            return
        seen, now_s = (crossing.share_id, crossing.person_id, crossing.device_id), clock.epoch_s()
        before_s = self._listed.get(seen)
        if before_s is not None and now_s - before_s < LISTED_AGAIN_S:
            return
        tell(crossing)
        self._listed[seen] = now_s
        self._listed.move_to_end(seen)
        if len(self._listed) > MOST_REMEMBERED:
            self._listed.popitem(last=False)
