"""Whether the index of a collectivité holds all that it should, and the way there.

Rule:    an index that was made by other rules than those of today (FORMAT), or that an operator wants made anew, is
         gone through once, node by node, when its follower has nothing else to do. What waits is found as it was.
         Texts that are kept are taken as they are, but for kinds of which more is read today; for an operator all
         contents are read again. The place is kept in ``meta``: a restart goes on from there, and FORMAT alone begins
         again.
Source:  docs/decisions/0080-words-of-files.md.
"""

from __future__ import annotations

from typing import LiteralString, NamedTuple

from beffroi.drive.store.scalars import keep_meta, meta, scalar
from beffroi.drive.store.writing import Reading, Writing
from beffroi.drive.words import index
from beffroi.previews.wire import suffix_of

FORMAT = 3
"""To be raised with what ``terms`` makes of a text or a name, and with a mend of what left something out."""
_READ_ANEW = frozenset(("odt", "ott", "odp", "ods", "ots", "odg"))
"""Endings of which older formats have less of the text than is read today: headers and footers. A content without a
text is asked again by itself."""
_AGAIN = "again"
_NEXT: LiteralString = """
    SELECT id FROM (SELECT id FROM node WHERE id > ? ORDER BY id LIMIT ?) n
    UNION SELECT node FROM (SELECT node FROM word_file WHERE node > ? ORDER BY node LIMIT ?) w
    ORDER BY 1 LIMIT ?"""
"""Also what the index has of nodes that are gone."""


class Way(NamedTuple):
    """``reached``: the node up to which all wait or were looked at. ``is_again``: contents are read again."""

    reached: int
    is_again: bool


def way(reading: Reading) -> Way | None:
    """None where the index is whole."""
    number, *rest = (meta(reading, "words_whole") or "0 0").split()
    if not rest and number == str(FORMAT):
        return None
    return Way(int(rest[0]) if number == str(FORMAT) else 0, rest[1:] == [_AGAIN])


def counted(reading: Reading, under_way: Way | None) -> tuple[int, int]:
    """How many files and folders there are up to where it is, and in all."""
    row = reading.one(
        "SELECT COALESCE(SUM(CASE WHEN id <= ? THEN 1 ELSE 0 END), 0), COUNT(*) FROM node WHERE parent > 0",
        (under_way.reached if under_way else 1 << 62,),
    )
    return (int(row[0]), int(row[1])) if row else (0, 0)


def begin(writing: Writing) -> None:
    """With an index that is empty still: all that there is waits."""
    _set(writing)


def ask(writing: Writing) -> None:
    """Make it anew, with contents read again; what is on that way already goes on."""
    under_way = way(writing)
    if under_way is None or not under_way.is_again:
        _set(writing, Way(0, True))


def go_on(writing: Writing, most: int) -> None:
    """So many more wait; after the last one it is whole."""
    here = way(writing)
    if here is None:
        return
    rows = writing.all(_NEXT, (here.reached, most, here.reached, most, most))
    nodes = [row[0] for row in rows]
    again = nodes if here.is_again else [one for one in nodes if _is_read_anew(writing, one)]
    # Another content than the node has, for the follower; the same one for who looks for its words meanwhile.
    writing.many("UPDATE word_file SET content = content || '.' WHERE node = ?", [(one,) for one in again])
    # Of which there is no row here, parts of names and numbers of words are made anew (``index.replace``, ``indexer``).
    writing.many("DELETE FROM node_kind WHERE node = ?", [(one,) for one in nodes])
    index.wait(writing, nodes)
    _set(writing, here._replace(reached=nodes[-1]) if nodes else None)


def _is_read_anew(reading: Reading, node: int) -> bool:
    name = scalar(reading, "SELECT name FROM word_file WHERE node = ? AND content <> ''", (node,))
    return name is not None and suffix_of(name) in _READ_ANEW


def _set(writing: Writing, under_way: Way | None = None) -> None:
    value = str(FORMAT)
    if under_way is not None:
        value += f" {under_way.reached}" + f" {_AGAIN}" * under_way.is_again
    keep_meta(writing, "words_whole", value)
