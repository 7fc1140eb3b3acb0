"""How many requests of a kind may be under way in this process: in all, and of one collectivité or link, so that those
of one leave room to all others.

Rule:    a place is taken before anything is waited for, also by those who come at once, and given back when the request
         is answered to its end.
"""

from __future__ import annotations

from collections import Counter
from functools import partial

from beffroi.drive.web.messages import Request
from beffroi.lib.errors import Unavailable


class Places:
    def __init__(self, most: int, most_of_one: int) -> None:
        self._most, self._most_of_one = most, most_of_one
        self._taken: Counter[str] = Counter()

    def take(self, request: Request, of: str) -> None:
        """``of``: an identifier. Errors: Unavailable."""
        if self._taken.total() >= self._most or self._taken[of] >= self._most_of_one:
            raise Unavailable("The drive")
        self._taken[of] += 1
        request.at_end(partial(self._leave, of))

    def _leave(self, of: str) -> None:
        self._taken -= Counter((of,))  # what has none is kept no more
