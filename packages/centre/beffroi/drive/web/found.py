"""A search by content: the words of a person, and the files of theirs that have them, each with a passage.

Process: drive, for the process web alone, at ``wire.PATH`` of its socket under a grant of its own. Only here is the
         key that makes numbers of words and opens the sealed texts.
Hostile: words.
Fails:   closed: no grant, no answer. A text that cannot be opened is a hit without a passage.
Source:  docs/decisions/0080-words-of-files.md.
"""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Callable
from dataclasses import dataclass

import msgspec

from beffroi.drive.store.commune import Communes
from beffroi.drive.store.keys import Keys, KeysErased
from beffroi.drive.store.sealing import ObjectDamaged, Sealer
from beffroi.drive.views import View
from beffroi.drive.web import granted
from beffroi.drive.web.messages import Answer, Enter, Request, Routes
from beffroi.drive.who import Who
from beffroi.drive.words import index, terms, wire
from beffroi.lib.errors import BeffroiError, Invalid, NotFound

MOST_WORDS = 10


@dataclass(frozen=True)
class Found:
    communes: Communes
    keys_of: Callable[[str], Keys]
    key: bytes
    enter: Enter

    def add_to(self, routes: Routes) -> None:
        routes.add(wire.PATH, self.answer, is_open=True)

    async def answer(self, request: Request) -> Answer:
        """JSON: ``wire.Hits``; of an error its code alone."""
        try:
            if request.method != "POST":
                raise NotFound("question")
            who = granted.who_asks(self.key, request, wire.PATH)
            self.enter(request, who)
            try:
                asked = msgspec.json.decode(await request.body(wire.MOST_ASKED_BYTES), type=wire.Asked)
            except (msgspec.MsgspecError, ValueError):
                raise Invalid("question") from None
            hits = await asyncio.to_thread(self.find, who, asked.words[: wire.MOST_ASKED_CHARS])
            return Answer(200, ((b"content-type", b"application/json"),), msgspec.json.encode(hits))
        except BeffroiError as error:
            await request.drain()
            return Answer(error.http_status, (), msgspec.json.encode({"code": error.code}))

    def find(self, who: Who, asked: str) -> wire.Hits:
        """Errors: those of the metadata and of the keys but KeysErased."""
        wanted = frozenset(itertools.islice(terms.words(asked), MOST_WORDS))
        view = View(self.communes.metadata(who.collectivite_id), who)
        try:
            keys = self.keys_of(who.collectivite_id)
            key = terms.key_of(keys.naming())
        except KeysErased:
            return wire.Hits()
        numbers = [terms.term(word, key) for word in wanted]
        with view.database.reading() as reading:
            roots = [one.id for one in view.roots(reading)]
            entries = index.holding(reading, numbers, roots, most=wire.MOST_HITS + 1)
            sealed = [(one.id, *index.text_of(reading, one.id)) for one in entries[: wire.MOST_HITS]]
        sealer = Sealer(keys)
        hits = tuple(_hit(sealer, *one, wanted) for one in sealed)
        return wire.Hits(hits, len(entries) > wire.MOST_HITS)


def _hit(sealer: Sealer, node: int, text_id: bytes, sealed: bytes, wanted: frozenset[str]) -> wire.Hit:
    try:
        text = bytes(sealer.open(text_id, sealed)).decode("utf-8", "replace")
    except ObjectDamaged:
        return wire.Hit(node)
    passage = terms.passage(text, wanted)
    return wire.Hit(node, *passage) if passage else wire.Hit(node)
