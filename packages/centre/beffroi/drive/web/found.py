"""A search by content: the words of a person, and the files of theirs that have them, each with a passage; and the text
of one document, for a comparison.

Process: drive, for the process web alone, at ``wire.PATH`` of its socket under a grant of its own. Only here is the
         key that makes numbers of words and opens the sealed texts.
Rule:    what another collectivité shares is looked for in its metadata, by its key; that passages of its files are
         shown is told before, once a search and share, and so is a text that is read.
Hostile: words.
Fails:   closed: no grant, no answer. A text that cannot be opened is a hit without a passage.
Source:  docs/decisions/0080-words-of-files.md.
"""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial

import msgspec
from beffroi_protocol.errors import UNDECODABLE

from beffroi.drive import crossing, reach
from beffroi.drive.reach import Reach
from beffroi.drive.store import versions
from beffroi.drive.store.commune import Communes
from beffroi.drive.store.keys import Keys, KeysErased
from beffroi.drive.store.model import AbsentNode
from beffroi.drive.store.sealing import ObjectDamaged, Sealer
from beffroi.drive.store.writing import Reading
from beffroi.drive.views import View
from beffroi.drive.web import granted
from beffroi.drive.web.bodies import BodiesOf
from beffroi.drive.web.errors import told
from beffroi.drive.web.messages import Answer, Enter, Request, Routes
from beffroi.drive.web.visiting import enter
from beffroi.drive.who import Who
from beffroi.drive.words import index, terms, texts, wire
from beffroi.drive.words.texts import Reads
from beffroi.lib.errors import BeffroiError, Invalid, NotFound, TooLarge

MOST_WORDS = 10
MOST_READ_BYTES, MOST_READ_AT_ONCE = 16 * 1024 * 1024, 2
"""Of a document that is compared: it is held whole while scan reads it."""


@dataclass(frozen=True)
class Found:
    communes: Communes
    keys_of: Callable[[str], Keys]
    bodies: BodiesOf
    reads: Reads
    key: bytes
    enter: Enter
    crossed: crossing.Tell
    _at_once: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(MOST_READ_AT_ONCE))

    def add_to(self, routes: Routes) -> None:
        routes.add(wire.PATH, partial(told, self.answer, _refused), is_open=True)

    async def answer(self, request: Request) -> Answer:
        """JSON: ``wire.Hits`` or ``wire.Text``. Errors: GrantRefused, NotFound, Invalid, TooLarge, those of both."""
        if request.method != "POST":
            raise NotFound("question")
        who = granted.who_asks(self.key, request, wire.PATH)
        self.enter(request, who)
        body = await request.body(wire.MOST_ASKED_BYTES)
        if request.path == wire.TEXT_PATH:
            return _json(await self.text(who, _decoded(body, wire.Which)))
        asked = _decoded(body, wire.Asked).words[: wire.MOST_ASKED_CHARS]
        return _json(await asyncio.to_thread(self.find, who, asked))

    async def text(self, who: Who, which: wire.Which) -> wire.Text:
        """Errors: AbsentNode, Frozen, TooLarge, Unavailable (scan), those of the store."""
        view = self._home(who)
        if which.share:
            view = await asyncio.to_thread(enter, view, which.share, "read", which.node, self.crossed)
        with view.database.reading() as reading:
            node = view.at(reading, which.node).node
            if node.is_folder:
                raise AbsentNode("file")
            kept = versions.find(reading, which.node, which.etag) if which.etag else node
        if kept.size_bytes > MOST_READ_BYTES:
            raise TooLarge(MOST_READ_BYTES)
        async with self._at_once:
            bodies = self.bodies(view.collectivite_id, who.collectivite_id)
            pieces = [piece async for piece in bodies.read(kept, 0, kept.size_bytes)]
            text = await asyncio.to_thread(texts.text, node.name, b"".join(pieces), self.reads)
        return wire.Text(text, len(text) == texts.MOST_CHARS)

    def find(self, who: Who, asked: str) -> wire.Hits:
        """Errors: those of the person's own metadata and keys but KeysErased."""
        wanted = frozenset(itertools.islice(terms.words(asked), MOST_WORDS))
        home = self._home(who)
        with home.database.reading() as reading:
            found, visits = self._held(reading, home, reach.here(reading, home), wanted), home.visits(reading)
        hits, more = list(found.hits), found.more
        for visit in visits if wanted else ():
            try:
                with visit.database.reading() as there:
                    found = self._held(there, visit, reach.there(there, visit), wanted)
                if found.hits:
                    enter(home, visit.share_id, "search", 0, self.crossed)
            except BeffroiError as error:
                home.leave_out(visit.collectivite_id, error)
                continue
            hits, more = [*hits, *found.hits], more or found.more
        return wire.Hits(tuple(hits), more, tuple(sorted(home.silent)))

    def _home(self, who: Who) -> View:
        return View.of_page(who, self.communes.metadata)

    def _held(self, reading: Reading, view: View, where: Reach, wanted: frozenset[str]) -> wire.Hits:
        """In one tree. Errors: those of the metadata and of the keys but KeysErased."""
        try:
            keys = self.keys_of(view.collectivite_id)
            key = terms.key_of(keys.naming())
        except KeysErased:
            return wire.Hits()
        numbers = [terms.term(word, key) for word in wanted]
        entries = index.holding(reading, numbers, where, most=wire.MOST_HITS + 1)
        sealer, hits = Sealer(keys), []
        for one in entries[: wire.MOST_HITS]:
            hit = _hit(sealer, one.id, *index.text_of(reading, one.id), wanted)
            hits.append(msgspec.structs.replace(hit, share=view.share_id))
        return wire.Hits(tuple(hits), len(entries) > wire.MOST_HITS)


def _decoded[T](body: bytes, form: type[T]) -> T:
    try:
        return msgspec.json.decode(body, type=form)
    except UNDECODABLE:
        raise Invalid("question") from None


def _json(value: object) -> Answer:
    return Answer(200, ((b"content-type", b"application/json"),), msgspec.json.encode(value))


def _refused(request: Request, error: BeffroiError) -> Answer:
    """The code alone."""
    return Answer(error.http_status, (), msgspec.json.encode({"code": error.code}))


def _hit(sealer: Sealer, node: int, text_id: bytes, sealed: bytes, wanted: frozenset[str]) -> wire.Hit:
    try:
        text = bytes(sealer.open(text_id, sealed)).decode("utf-8", "replace")
    except ObjectDamaged:
        return wire.Hit(node)
    passage = terms.passage(text, wanted)
    return wire.Hit(node, *passage) if passage else wire.Hit(node)
