"""Numbers in sentences."""

from __future__ import annotations

from typing import Any

from django.utils import formats


class Count(int):
    """What a sentence says as 12 345, in the groups of its reader's language: ``said % {"n": Count(n)}``. Still a
    number, by which a lazy sentence chooses its plural. A template groups numbers itself: it gets a plain one."""

    def __str__(self) -> str:
        return str(formats.number_format(int(self), 0, force_grouping=True))


def in_words(words: Any, count: int) -> str:
    """``words``: lazy, of one and of more, with their number ``n``."""
    return str(words % {"n": Count(count)})
