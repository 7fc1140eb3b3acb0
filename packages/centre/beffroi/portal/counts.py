"""Numbers in sentences."""

from __future__ import annotations

from django.utils import formats


class Count(int):
    """What a sentence says as 12 345, in the groups of its reader's language: ``said % {"n": Count(n)}``. Still a
    number, by which a lazy sentence chooses its plural. A template groups numbers itself: it gets a plain one."""

    def __str__(self) -> str:
        return str(formats.number_format(int(self), 0, force_grouping=True))
