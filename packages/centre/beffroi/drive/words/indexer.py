"""Keeps the index of words: follows ``change`` of every collectivité, reads what was written, writes what it says.

Purpose: a search by name and by content that costs the same in a large commune as in a small one; nobody who sends a
         file waits for it.
Process: drive-keeper, one thread. The journal and ``word_due`` are its queue, so that a restart loses nothing; what is
         done twice is done once.
Hostile: contents (``texts``).
Fails:   towards less: a content that cannot be read is found by its name alone. Where the store does not answer, the
         collectivité waits a minute; where scan does not, its documents alone do. The index goes with the
         collectivité's metadata.
Source:  docs/decisions/0080-words-of-files.md; docs/internals/drive.md, "Search".
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import LiteralString

from beffroi.drive import journal
from beffroi.drive.rounds import Rounds
from beffroi.drive.store import look, schema
from beffroi.drive.store.chunking import chunk_id
from beffroi.drive.store.commune import Communes
from beffroi.drive.store.database import Database
from beffroi.drive.store.frozen import decision_of
from beffroi.drive.store.keys import Keys
from beffroi.drive.store.manifest import ManifestBroken
from beffroi.drive.store.model import Node
from beffroi.drive.store.objects import ObjectMissing
from beffroi.drive.store.scalars import scalar
from beffroi.drive.store.sealing import HEADER_BYTES, Header, ObjectDamaged, Sealer
from beffroi.drive.store.stock import Stock
from beffroi.drive.store.writing import Reading, Writing
from beffroi.drive.words import index, kinds, terms, texts, whole
from beffroi.drive.words.index import Indexed
from beffroi.drive.words.texts import Reads
from beffroi.lib import clock
from beffroi.lib.errors import Unavailable

log = logging.getLogger("beffroi.drive.words")
MOST_TAKEN = 500
"""Changes that are taken up in one commit."""
MOST_AT_ONCE = 32
"""Nodes that are indexed in one commit."""
CALM_S, PAUSE_S, AWAY_S = 2.0, 0.02, 50.0
"""``rounds``; how long scan is not asked again, less than a late collectivité waits."""
_LAST_WRITTEN: LiteralString = (
    "SELECT MAX(number) FROM change WHERE node = ? AND kind IN ('created', 'changed', 'returned')"
)


class Indexer(Rounds):
    """``stock_of``, ``keys_of``: of a collectivité. ``reads``: the text of a document."""

    def __init__(
        self,
        communes: Communes,
        stock_of: Callable[[str], Stock],
        keys_of: Callable[[str], Keys],
        reads: Reads,
    ) -> None:
        super().__init__("drive-words", communes, log, calm_s=CALM_S, pause_s=PAUSE_S)
        self._stock_of, self._keys_of, self._reads = stock_of, keys_of, reads
        self._away_until_s = 0.0
        communes.listeners.append(self.told)

    def step(self, collectivite_id: str) -> bool:
        """The next changes and the next files of a collectivité; True while there are more. Errors: those of the
        metadata, of the objects, of the keys."""
        database = self._communes.metadata(collectivite_id)
        if self._taken_up(database):
            return True
        with database.reading() as reading:
            looked = _due(reading, MOST_AT_ONCE)
        is_away = clock.steady_s() < self._away_until_s
        keys = self._keys_of(collectivite_id)
        if not looked:
            return self._wakes(collectivite_id, database, keys, is_away)
        reader = _Reader(database, self._stock_of(collectivite_id), keys, None if is_away else self._reads)
        fresh = [reader.indexed(one) for one in looked]
        self._put_off(collectivite_id, reader.is_late, is_away)
        database.write(lambda writing: _keep(writing, looked, fresh))
        return True

    def _wakes(self, collectivite_id: str, database: Database, keys: Keys, is_away: bool) -> bool:
        """With nothing left to do: whether something waits again: texts for another key, what is made anew, documents
        for scan. Errors: those of the keys."""
        generation, _ = keys.current()
        with database.reading() as reading:
            before, is_whole = index.sealed_by(reading), whole.way(reading) is None
        if before != generation:
            database.write(lambda writing: index.seal_anew(writing, generation))
            return True
        if is_away:  # what is read again would lose its words until then
            self.later(collectivite_id)
            return False
        if not is_whole:
            # As few as are indexed in one commit: what comes meanwhile does not wait for more.
            database.write(lambda writing: whole.go_on(writing, MOST_AT_ONCE))
            return True
        return database.write(lambda writing: index.wait_unread(writing, MOST_AT_ONCE)) > 0

    def _put_off(self, collectivite_id: str, is_late: bool, is_away: bool) -> None:
        """Where scan does not answer, it is asked again later, not for each document."""
        if is_late:
            self.later(collectivite_id)
        if is_late and not is_away:
            self._away_until_s = clock.steady_s() + AWAY_S

    def _taken_up(self, database: Database) -> bool:
        """Whether changes were taken up."""
        with database.reading() as reading:
            number = index.reached(reading)
            rows = journal.after(reading, number, MOST_TAKEN) if number is not None else []
        if number is None:
            database.write(_begin)
            return True
        if rows:
            nodes = sorted({row.node for row in rows})
            database.write(lambda writing: index.take(writing, nodes, rows[-1].number))
        return bool(rows)


@dataclass(frozen=True)
class _Looked:
    """A node that waits. ``root``: 0 where nobody sees it. ``node``: None where it is destroyed."""

    id: int
    node: Node | None
    root: int
    written: int
    is_held: bool
    before: Indexed | None
    is_anew: bool = False

    def without_content(self) -> Indexed | None:
        if self.node is None or not self.root:
            return None
        return Indexed(self.id, self.root, self.node.name, self.written)

    @property
    def opens_folder(self) -> bool:
        """What lies in it came into sight, left it, or lies under another root now."""
        if self.node is not None and not self.node.is_folder:
            return False
        return (self.before.root if self.before else 0) != self.root


def _due(reading: Reading, most: int) -> list[_Looked]:
    """What waits, and before each the folders above it that the index has under another root than where it lies now. A
    folder that comes back from there before its own turn would else seem never to have left, and nothing below it be
    looked at again."""
    found: dict[int, _Looked] = {}
    above: dict[int, _Looked] = {}
    for node_id in index.due(reading, most):
        way = look.above(reading, node_id)
        for at in range(len(way) - 2, 0, -1):  # the outermost first; a root has no row
            folder_id = way[at].id
            if folder_id not in above:
                above[folder_id] = _look(reading, folder_id, way[at:])
            if above[folder_id].opens_folder:
                found.setdefault(folder_id, above[folder_id])
        if node_id not in found:
            found[node_id] = _look(reading, node_id, way)
    return list(found.values())


def _look(reading: Reading, node_id: int, way: Sequence[Node]) -> _Looked:
    """``way``: the node and all folders above it, up to its root; none of what is destroyed."""
    before = index.kept(reading, node_id)
    if len(way) < 2:
        return _Looked(node_id, None, 0, 0, False, before)
    node, top = way[0], way[-1]
    seen = not top.parent and (top.name == schema.COMMON or top.name.startswith(schema.HOME))
    number = 0
    if not node.is_folder:
        known = before.written if before else 0  # changes are forgotten one day
        number = scalar(reading, _LAST_WRITTEN, (node_id,)) or known or node.id
    root, is_anew = top.id if seen else 0, index.is_anew(reading, node_id)
    return _Looked(node_id, node, root, number, _is_held(reading, node), before, is_anew)


def _is_held(reading: Reading, node: Node | None) -> bool:
    return node is not None and bool(node.sha256) and bool(decision_of(reading, node.sha256))


def _begin(writing: Writing) -> None:
    index.begin(writing)
    whole.begin(writing)


def _keep(writing: Writing, looked: list[_Looked], fresh: list[Indexed | None]) -> None:
    for one, indexed in zip(looked, fresh, strict=True):
        if one.is_held != _is_held(writing, one.node):
            continue  # a decision came or ended since the look, and is no change: it waits still
        index.replace(writing, one.id, indexed)
        kinds.replace(writing, one.id, one.root, one.node if one.root else None)
        if one.opens_folder:
            index.wait_inside(writing, one.id)


@dataclass
class _Reader:
    database: Database
    stock: Stock
    keys: Keys
    reads: Reads | None
    """None: scan does not answer."""
    is_late: bool = field(default=False, init=False)
    _key: bytes = field(init=False)
    _sealer: Sealer = field(init=False)

    def __post_init__(self) -> None:
        self._key, self._sealer = terms.key_of(self.keys.naming()), Sealer(self.keys)

    def indexed(self, one: _Looked) -> Indexed | None:
        """Errors: those of the objects and keys."""
        bare, node, before = one.without_content(), one.node, one.before
        if bare is None or node is None or node.is_folder or one.is_held:
            return bare
        if before is not None and before.content == index.content_of(node):
            kept = self._kept(before, bare, is_anew=one.is_anew)
            if kept is not None:
                return kept
        if not texts.is_read(node.name, node.size_bytes):
            return bare
        try:
            data = texts.beginning(self.stock, self.database, node.name, node.manifest)
            text = texts.text(node.name, data, self._asked).strip()
        except (ObjectDamaged, ObjectMissing, ManifestBroken):
            return bare  # the scrub names it
        except Unavailable:
            self.is_late = True
            return bare._replace(content=index.UNREAD)
        return self._said(bare._replace(content=index.content_of(node)), text.encode("utf-8", "replace"))

    def _kept(self, before: Indexed, bare: Indexed, *, is_anew: bool) -> Indexed | None:
        """Of a content that is known: its text under the key of today; None where that cannot be opened any more, and
        is read again."""
        bare = bare._replace(content=before.content)
        if not before.sealed:
            return bare
        try:
            header = Header.read(before.text_id, before.sealed[:HEADER_BYTES])
            of_today = header.generation == self.keys.current()[0]
            if of_today and not is_anew:
                return bare._replace(terms=before.terms, text_id=before.text_id, sealed=before.sealed)
            said = self._said(bare, bytes(self._sealer.open(before.text_id, before.sealed)))
            # Under the same key it stays as it lies there, and so does its row where its numbers do.
            return said._replace(sealed=before.sealed) if of_today and said.terms else said
        except ObjectDamaged:
            return None

    def _said(self, bare: Indexed, text: bytes) -> Indexed:
        """``text``: UTF-8."""
        numbers = terms.terms(text.decode(), self._key)
        if not numbers:
            return bare
        text_id = chunk_id(self.keys.naming(), text)
        sealed = bytes(self._sealer.seal(text_id, text))
        return bare._replace(terms=tuple(numbers), text_id=text_id, sealed=sealed)

    def _asked(self, data: bytes) -> str:
        if self.reads is None:
            raise Unavailable("The scanner of files")
        try:
            return self.reads(data)
        except Unavailable:
            self.reads = None
            raise
