"""Numbers of files and labels in addresses of pages: marked for who works for several collectivités (``numbered``).

Rule:    what an address says is checked before a view sees it; addresses that a view makes, and its page, are marked.
Hostile: addresses.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any, NamedTuple

from beffroi.core.identity.actor import Actor
from beffroi.drive.web import numbered

_MARK: ContextVar[Callable[[], str]] = ContextVar("mark", default=str)
"""What follows a number in the addresses of the request under way; asked where one is written."""


class Number(NamedTuple):
    said: str


class Converter:
    """For ``django.urls``."""

    regex = "[0-9]+" + numbered.MARK

    def to_python(self, value: str) -> Number:
        return Number(value)

    def to_url(self, value: int) -> str:
        return written(value)


def written(number: int) -> str:
    return f"{number}{_MARK.get()()}"


@contextmanager
def of(actor: Actor, is_of_several: Callable[[], bool]) -> Iterator[None]:
    """Whose numbers are written meanwhile."""

    def mark() -> str:
        return "-" + numbered.mark(actor.collectivite_id) if actor.collectivite_id and is_of_several() else ""

    before = _MARK.set(mark)
    try:
        yield
    finally:
        _MARK.reset(before)


def plain(actor: Actor, arguments: Mapping[str, Any]) -> dict[str, Any]:
    """What an address says, for a view. Errors: OtherCollectivite."""
    return {
        name: int(numbered.plain(one.said, actor.collectivite_id or "")) if isinstance(one, Number) else one
        for name, one in arguments.items()
    }
