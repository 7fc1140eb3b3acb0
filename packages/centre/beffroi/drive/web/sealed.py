"""A sealed folder as one package for the archives: BagIt or SEDA, while it is read; nothing is kept.

Process: drive, under the portal's grant (``granted``).
Hostile: the form and the cookie; names and contents, as ``given`` sends them.
Rule:    addresses below /coffre/octets/sceaux/, for the collectivité's référent alone:

           POST SEAL/bagit   a BagIt bag in a ZIP, the seal in it
           POST SEAL/seda    a SEDA transfer in a ZIP; what the archives agreed upon comes with the form

         An export is told for the audit log before its first byte. What is refused leads to the seal's page.
Fails:   closed. A file that is not what was sealed ends the package before its list: nobody takes it for whole.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, date, datetime

from beffroi.drive.archives import bagit, manifest, seda
from beffroi.drive.seals import files, transfer
from beffroi.drive.store import seals
from beffroi.drive.store.commune import Communes
from beffroi.drive.store.database import Database
from beffroi.drive.store.model import AbsentNode
from beffroi.drive.store.seals import Seal
from beffroi.drive.store.stock import Stock
from beffroi.drive.telling import Tell
from beffroi.drive.views import View
from beffroi.drive.web import granted
from beffroi.drive.web.bodies import BodiesOf
from beffroi.drive.web.errors import told
from beffroi.drive.web.given import FORM_BYTES, HARMLESS, attachment
from beffroi.drive.web.messages import Answer, Enter, Request, led_to
from beffroi.drive.web.places import Places
from beffroi.drive.who import Who
from beffroi.lib.errors import BeffroiError
from beffroi.lib.ids import is_id

PATH, PAGE = f"{granted.OUT_PATH}/sceaux", "/coffre/sceaux/"
MOST_AT_ONCE, MOST_OF_ONE = 4, 2
"""Exports under way, in all and of one collectivité."""
PIECE_BYTES = 256 << 10

type StockOf = Callable[[str], Stock]


@dataclass
class Sealed:
    communes: Communes
    bodies: BodiesOf
    stock_of: StockOf
    key: bytes
    enter: Enter
    tell: Tell
    _places: Places = field(default_factory=lambda: Places(MOST_AT_ONCE, MOST_OF_ONE), init=False)

    async def __call__(self, request: Request) -> Answer:
        return await told(self._answer, _refused, request)

    async def _answer(self, request: Request) -> Answer:
        """Errors: GrantRefused, ForeignOrigin, AbsentNode, Frozen, TransferInvalid, Unavailable."""
        seal_id, kind = _asked(request)
        who = granted.who(self.key, request, granted.OUT_PATH)
        self.enter(request, who)
        if request.method != "POST" or kind not in ("bagit", "seda") or who.role != "referent":
            raise AbsentNode("seal")
        granted.require_own_origin(request)
        sent = await request.form(FORM_BYTES, 50)
        about = transfer.typed({name: values[0] for name, values in sent.items()})
        self._places.take(request, who.collectivite_id)
        database = self.communes.metadata(who.collectivite_id)
        pieces, name, seal = await asyncio.to_thread(self._prepared, who, database, seal_id, kind, about)
        said: dict[str, str | int] = {
            "seal_id": seal.id,
            "person_id": who.person_id,
            "what": kind,
            "files": seal.files,
        }
        await asyncio.to_thread(self.tell, "drive:seal_exported", who.collectivite_id, said)
        headers = [
            *HARMLESS,
            (b"content-type", b"application/zip"),
            (b"content-disposition", attachment(f"{name}.zip")),
        ]
        return Answer(200, headers, _streamed(pieces))

    def _prepared(
        self, who: Who, database: Database, seal_id: str, kind: str, about: dict[str, str]
    ) -> tuple[Iterator[bytes], str, Seal]:
        """(the package, its name without an ending, the seal)."""
        with database.reading() as reading:
            seal = seals.find(reading, seal_id)
            if seal.state != "sealed":
                raise AbsentNode("seal")
            View(database, who).at(reading, seal.node)
            found = files.listed(reading, seal.node)
            texts = seals.texts(reading, seal.id)
        bodies, stock = self.bodies(who.collectivite_id), self.stock_of(who.collectivite_id)
        for one in found:
            bodies.require(one.node.sha256)
        entries = (files.entry(one, database, stock) for one in found)
        if kind == "bagit":
            of = about.get("organisation", "") or who.collectivite_id
            bag = transfer.bag(seal, of, about.get("producer", ""))
            extra = {name: texts[name] for name in manifest.PARTS if name in texts}
            return bagit.bag(entries, bag, extra=extra), f"{seal.name} (BagIt)", seal
        # A day to come is the mistake of a clock, and a term would run from it.
        days = [_day(min(one.node.mtime_s, seal.begun_s)) for one in found] or [_day(seal.begun_s)]
        made = transfer.of(seal, about, min(days), max(days))
        return seda.package(entries, made), f"{seal.name} (SEDA)", seal


def _asked(request: Request) -> tuple[str, str]:
    """(identifier of the seal, kind of package), whatever somebody sent."""
    seal_id, _, kind = request.path.removeprefix(PATH).strip("/").partition("/")
    return seal_id, kind


def _refused(request: Request, error: BeffroiError) -> Answer:
    seal_id, _ = _asked(request)
    page = f"{PAGE}{seal_id}/" if is_id(seal_id, "seal") else PAGE
    return led_to(f"{page}?refus={error.code}")


async def _streamed(pieces: Iterator[bytes]) -> AsyncGenerator[bytes]:
    while piece := await asyncio.to_thread(_gathered, pieces):
        yield piece


def _gathered(pieces: Iterator[bytes]) -> bytes:
    """The next bytes, some pieces together; empty at the end."""
    out: list[bytes] = []
    size = 0
    for piece in pieces:
        out.append(piece)
        size += len(piece)
        if size >= PIECE_BYTES:
            break
    return b"".join(out)


def _day(epoch_s: int) -> date:
    return datetime.fromtimestamp(epoch_s, UTC).date()
