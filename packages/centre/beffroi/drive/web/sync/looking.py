"""Where a search looks: a person's files by the index, so that it costs about its answer, and folder by folder where
that is less or where the index does not know enough.

Rule:    both ways find the same; only which ones a search gets that asks for fewer than there are may differ. What the
         index names is looked at itself: whether it passes, and by which ways of its folders this person sees it.
         The index gives up for the walk once it has read as many rows as there are entries: twice the walk at most.
Source:  docs/decisions/0103-webdav-search-by-the-index.md.
"""

from __future__ import annotations

import heapq
import itertools
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import replace

from beffroi.drive.store import look, weights
from beffroi.drive.store.favourites import Star
from beffroi.drive.store.model import Node
from beffroi.drive.store.writing import Reading
from beffroi.drive.views import COMMON_NAME, SHARED_NAME, Place, View
from beffroi.drive.web.sync.basicsearch import EVER, MODIFIED, MOST_FOUND, Search
from beffroi.drive.words import kinds

MOST_WALKED = 500
"""Entries below which the index is not asked."""
MOST_BEHIND = 2_000
"""Nodes that the index does not know yet, and that are looked at themselves."""
MOST_NAMED = 2_000
"""Names with one piece; where more have it, it tells too little."""


class _TooFar(Exception):
    """The walk would have ended by now."""


def found(view: View, reading: Reading, tops: Sequence[Place], wanted: Search) -> list[Place]:
    """What passes below some folders: the first ones in the order that is asked for, where that is by time, but in no
    order; of others any, MOST_FOUND at most."""
    by_time = wanted.order is not None and wanted.order[0] == MODIFIED
    below = _Below(view, reading, tops)
    if wanted.needs.is_starred:
        return list(itertools.islice(filter(wanted.test, below.starred(wanted.starred)), MOST_FOUND))
    places = _indexed(below, wanted, by_time)
    if places is None:
        most = wanted.most if wanted.order is None else MOST_FOUND
        places = list(itertools.islice(filter(wanted.test, walk(view, reading, tops)), most))
    return places


def walk(view: View, reading: Reading, tops: Sequence[Place]) -> Iterator[Place]:
    """Each place once, also where one of the folders lies in another."""
    waiting = _outer(tops)
    while waiting:
        folder = waiting.pop()
        if not folder.node.is_folder:
            continue
        for one in view.children(reading, folder):
            yield one
            waiting.append(one)


def _outer(tops: Sequence[Place]) -> list[Place]:
    return [
        one for one in tops if not any(one != top and one.path[: len(top.path)] == top.path for top in tops)
    ]


def _indexed(below: _Below, wanted: Search, by_time: bool) -> list[Place] | None:
    """None where the walk is the way."""
    needs = wanted.needs
    tells = needs.piece or needs.kinds is not None or needs.span != EVER or by_time
    entries = below.entries() if tells else 0
    behind = kinds.behind(below.reading, MOST_BEHIND) if entries > MOST_WALKED else None
    if behind is None:
        return None
    try:
        fresh = below.themselves(behind, entries)
        out = [*filter(wanted.test, below.apart), *filter(wanted.test, below.places(fresh.values()))]
        named = below.named(needs.piece) if needs.piece else None
        nodes = named if named is not None else below.in_order(wanted, by_time, entries)
        known = filter(wanted.test, below.places(one for one in nodes if one.id not in fresh))
        # Those with a name come in no order: all of them are needed for one that is asked for.
        most = wanted.most if wanted.order is None or (by_time and named is None) else MOST_FOUND
        return out + list(itertools.islice(known, most))
    except _TooFar:
        return None


class _Below:
    """``_doors``: the folders below which everything is looked for, by their nodes; ``apart``: what is shown between
    them and the folders that were asked for."""

    def __init__(self, view: View, reading: Reading, tops: Sequence[Place]) -> None:
        self._view, self.reading = view, reading
        self.apart: list[Place] = []
        self._doors: dict[int, list[Place]] = {}
        self._above: dict[int, tuple[int, str]] = {}
        for top in _outer(tops):
            self._open(top)
        self._roots = sorted({look.above(reading, one)[-1].id for one in self._doors})

    def _open(self, folder: Place) -> None:
        if folder.path == ():
            inner = [self._view.find(self.reading, (name,)) for name in (COMMON_NAME, SHARED_NAME)]
            for one in inner:
                if one is not None:
                    self.apart.append(one)
                    self._open(one)
        if folder.path == (SHARED_NAME,):
            for one in self._view.children(self.reading, folder):
                self.apart.append(one)
                self._open(one)
        elif folder.node.is_folder and folder.owner == self._view.collectivite_id:
            inside = folder._replace(rights=replace(folder.rights, is_mount=False))
            self._doors.setdefault(folder.node.id, []).append(inside)

    def entries(self) -> int:
        """Files, folders and versions."""
        return sum(weights.of(self.reading, some[0].node).entries for some in self._doors.values())

    def places(self, nodes: Iterable[Node]) -> Iterator[Place]:
        """Where this person sees them."""
        for one in nodes:
            names, folder = [one.name], one.parent
            while folder:
                for door in self._doors.get(folder, ()):
                    yield Place.of(one, (*door.path, *reversed(names)), door.rights, door.owner)
                folder, name = self._parent(folder)
                names.append(name)

    def _parent(self, folder: int) -> tuple[int, str]:
        if folder not in self._above:
            row = self.reading.one("SELECT parent, name FROM node WHERE id = ?", (folder,))
            self._above[folder] = (row[0], row[1]) if row else (0, "")
        return self._above[folder]

    def starred(self, stars: Collection[Star]) -> Iterator[Place]:
        yield from self.apart
        ids = sorted(node_id for owner, node_id in stars if owner == self._view.collectivite_id)
        yield from self.places(one for one in (look.node(self.reading, each) for each in ids) if one)

    def themselves(self, node_ids: Iterable[int], most: int) -> dict[int, Node]:
        """These nodes, and what lies below those folders that the index has elsewhere. Errors: _TooFar."""
        out: dict[int, Node] = {}
        for node_id in node_ids:
            way = look.above(self.reading, node_id)
            if not way or way[-1].id not in self._roots:
                continue
            out[node_id] = way[0]
            if way[0].is_folder and not kinds.is_under(self.reading, node_id, way[-1].id):
                for one in look.below(self.reading, node_id):
                    out[one.id] = one
                    if len(out) > most:
                        raise _TooFar
        return out

    def named(self, piece: str) -> list[Node] | None:
        """All with it in their names; None where they are too many."""
        out: list[Node] = []
        for root in self._roots:
            some = kinds.named(self.reading, root, piece, MOST_NAMED)
            if some is None:
                return None
            out += some
        return out

    def in_order(self, wanted: Search, by_time: bool, most: int) -> Iterator[Node]:
        """Errors: _TooFar, after so many."""
        needs = wanted.needs
        newest_first = not by_time or wanted.order is None or wanted.order[1]
        page = min(max(wanted.most, 1), kinds.PAGE)
        sources = [
            kinds.in_order(self.reading, root, kind, needs.span, newest_first=newest_first, page=page)
            for root in self._roots
            for kind in (sorted(needs.kinds) if needs.kinds is not None else kinds.all_of(self.reading, root))
        ]
        merged = heapq.merge(*sources, key=lambda one: one[0], reverse=newest_first)
        for read, (_, node) in enumerate(merged):
            if read >= most:
                raise _TooFar
            if node is not None:
                yield node
