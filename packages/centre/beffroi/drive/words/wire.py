"""What web asks of drive, and what it is told: files whose contents have some words, each with a passage; the text of
a document, to be compared."""

from __future__ import annotations

import msgspec

PATH = "/coffre/mots"
TEXT_PATH = PATH + "/texte"
"""Of drive's socket alone: front leads nobody there. A grant for PATH opens both."""
MOST_ASKED_CHARS, MOST_ASKED_BYTES = 100, 1024
MOST_HITS = 50


class Asked(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """``words``: as a person typed them."""

    words: str


class Hit(msgspec.Struct, frozen=True):
    """``before``, ``words``, ``after``: the passage; "" where there is none to show. ``share``: as in ``Which``."""

    node: int
    before: str = ""
    words: str = ""
    after: str = ""
    share: str = ""


class Hits(msgspec.Struct, frozen=True):
    """``more``: there are others. ``lacks``: other collectivités, which share something and did not answer."""

    hits: tuple[Hit, ...] = ()
    more: bool = False
    lacks: tuple[str, ...] = ()


class Which(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A file; ``etag``: of an earlier content, 0 for the present one; ``share``: by which another collectivité shares
    it."""

    node: int
    etag: int = 0
    share: str = ""


class Text(msgspec.Struct, frozen=True):
    """``is_cut``: there is more."""

    text: str
    is_cut: bool = False
