"""What who holds a link fetches: the shared file, a file of the shared folder, or all of it as one ZIP; and previews.

Process: drive, under the grant that the link's page gives (``granted.visit``): it proves the token and the password, no
         more. Whether the link stands, has downloads left and covers the file is asked in the metadata each time;
         whether who left shares it, before anything is told.
Hostile: everything; nobody signed in. Names and contents go out as ``given`` sends them.
Rule:    addresses below /coffre/lien/SHARE/: NODE, zip; NODE/apercu (an image; a PDF for the page's viewer),
         NODE/bureau and NODE/bureau/page/1 (the first page of a document, as a picture).
         A download counts, and is told for the audit log, before its first byte; one that cannot be told, or whose
         first piece cannot be read, counts nothing. HEAD counts nothing. A range that does not begin at the beginning
         goes on with what this visit already counted, the same content of the same file, and counts nothing either,
         also where it was the last one. What visits counted is in memory (``Remembered``): after a start of the
         process, what goes on counts again, and is refused behind the last.
         A preview is no download: it counts nothing, and is told once a visit. Where a link counts downloads, no
         preview gives the file itself: an image has a smaller one, a PDF its first page; behind the last download a
         visit sees what it took, no more.
Fails:   closed: what cannot be counted or told is not given.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict, defaultdict
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass, field, replace
from itertools import islice
from weakref import WeakValueDictionary

from beffroi.core.identity.failures import source
from beffroi.drive.store import look, shares
from beffroi.drive.store.commune import Communes
from beffroi.drive.store.database import Database
from beffroi.drive.store.model import AbsentNode, Node
from beffroi.drive.store.sealing import Bytes
from beffroi.drive.store.shares import NO_LIMIT, LinkClosed, Share
from beffroi.drive.store.writing import Reading
from beffroi.drive.web import granted
from beffroi.drive.web.bodies import Bodies, BodiesOf
from beffroi.drive.web.errors import told, words
from beffroi.drive.web.given import MOST_ZIPPED, Body, archive, below, download, image, nothing, number
from beffroi.drive.web.granted import Visit
from beffroi.drive.web.making import Maker
from beffroi.drive.web.messages import NO_STORE, Answer, Request, led_to
from beffroi.drive.web.places import Places
from beffroi.drive.web.previews import as_pdf, picture, refusal, said, thumbnail
from beffroi.drive.who import Standing
from beffroi.lib import clock
from beffroi.lib.errors import BeffroiError, Unavailable
from beffroi.lib.limits import RateLimit
from beffroi.previews import wire
from beffroi.previews.wire import NotShown

PAGE = "/partage/"
MOST_AT_ONCE, MOST_OF_ONE, MOST_OF_A_VISITOR = 64, 16, 8
"""Requests of holders of links under way, in all, of one collectivité, of one address: each holds some chunks, and
colleagues have the rest."""
MOST_TOLD_OF_A_SOURCE, MOST_TOLD = 1000, 10_000
"""Downloads and previews of one link, by one source and by all together, at once, and as many again in an hour: each is
a line of the audit log, which stays."""
MOST_REMEMBERED = 10_000
WHOLE = "zip"


@dataclass(frozen=True)
class Access:
    """One download, or one preview. ``what``: file, zip, preview. ``node_id``: the file; of a ZIP the folder.
    ``address``: of who fetched it, "" where unknown."""

    share_id: str
    collectivite_id: str
    what: str
    node_id: int
    size_bytes: int
    address: str


type _Seen = tuple[str, int, str]
"""(visit, node, SHA-256 of its content)."""
type Tell = Callable[[Access], object]
"""Publishes it; blocking, called in a thread. Errors: Unavailable."""


class Remembered:
    """What visits did, MOST_REMEMBERED at most. Beyond, the collectivité that has most forgets its oldest: guests of
    one push out nothing of another that has less."""

    def __init__(self) -> None:
        self._of: defaultdict[str, OrderedDict[_Seen, None]] = defaultdict(OrderedDict)
        self.count = 0

    def has(self, visit: Visit, seen: _Seen) -> bool:
        return seen in self._of.get(visit.collectivite_id, ())

    def add(self, visit: Visit, seen: _Seen) -> None:
        """``seen`` is the newest of its collectivité from now on."""
        mine = self._of[visit.collectivite_id]
        self.count += seen not in mine
        mine[seen] = None
        mine.move_to_end(seen)
        if self.count > MOST_REMEMBERED:
            most = max(self._of, key=lambda one: len(self._of[one]))
            self._of[most].popitem(last=False)
            self.count -= 1
            if not self._of[most]:
                del self._of[most]


class Pace:
    """How often what strangers do at one link is told: ``most_of_a_source`` times at once of one source, ``most`` times
    of all, and as often again in an hour. Alone a source shuts nobody else out."""

    def __init__(self, most_of_a_source: float, most: float) -> None:
        self._of_sources, self._of_links = (
            RateLimit(burst=one, per_s=one / 3600) for one in (most_of_a_source, most)
        )

    def take(self, share_id: str, address: str) -> None:
        """Errors: Unavailable."""
        now_s = clock.steady_s()
        if not (
            self._of_sources.take(f"{share_id} {source(address)}", 1, now_s=now_s)
            and self._of_links.take(share_id, 1, now_s=now_s)
        ):
            raise Unavailable("The drive")


@dataclass
class Linked:
    communes: Communes
    bodies: BodiesOf
    key: bytes
    tell: Tell
    maker: Maker
    standing: Standing
    _counted: Remembered = field(default_factory=Remembered, init=False)
    _counting: WeakValueDictionary[_Seen, asyncio.Lock] = field(
        default_factory=WeakValueDictionary, init=False
    )
    """A program that fetches a file in parts at once counts once."""
    _looked: Remembered = field(default_factory=Remembered, init=False)
    """The same of previews."""
    _places: Places = field(default_factory=lambda: Places(MOST_AT_ONCE, MOST_OF_ONE), init=False)
    _of_visitors: Places = field(default_factory=lambda: Places(MOST_AT_ONCE, MOST_OF_A_VISITOR), init=False)
    _pace: Pace = field(default_factory=lambda: Pace(MOST_TOLD_OF_A_SOURCE, MOST_TOLD), init=False)

    async def __call__(self, request: Request) -> Answer:
        return await told(self.answer, _refused, request)

    async def answer(self, request: Request) -> Answer:
        """Errors: GrantRefused, LinkClosed, Frozen, TooManyFiles, Unavailable."""
        visit = granted.visit(self.key, request)
        steps = request.path.removeprefix(granted.LINK_PATH).strip("/").split("/")
        if request.method not in ("GET", "HEAD") or len(steps) < 2 or steps[0] != visit.share_id:
            raise LinkClosed
        self._of_visitors.take(request, source(request.address))
        self._places.take(request, visit.collectivite_id)
        database, bodies = self.communes.metadata(visit.collectivite_id), self.bodies(visit.collectivite_id)
        if len(steps) > 2:
            return await self._preview(request, visit, database, bodies, steps[1:])
        is_whole = steps[1] == WHOLE
        # Beside the loop: a folder may hold thousands of files.
        share, node, answer, size_bytes = await asyncio.to_thread(
            self._found, request, database, bodies, visit.share_id, None if is_whole else steps[1]
        )
        if answer.status == 416:
            return answer
        seen = _seen(visit, node)
        if request.method == "HEAD":
            if share.downloads_left == 0 and not self._counted.has(visit, seen):
                raise LinkClosed
            return Answer(answer.status, answer.headers, nothing())
        async with self._counting.setdefault(seen, asyncio.Lock()):
            if self._counted.has(visit, seen) and _goes_on(answer):
                return answer
            what = WHOLE if is_whole else "file"
            access = Access(share.id, visit.collectivite_id, what, node.id, size_bytes, request.address)
            async with _begun(answer) as begun:
                await self._count(database, share, access)
                self._counted.add(visit, seen)
                return begun

    async def _preview(
        self, request: Request, visit: Visit, database: Database, bodies: Bodies, steps: Sequence[str]
    ) -> Answer:
        """Errors: as ``answer``; of a document's pages as ``Maker.preview``, in words for the page's script."""
        if request.method != "GET":
            raise LinkClosed
        with database.reading() as reading:
            share, node = _shared(reading, visit.share_id, steps[0])
        if share.downloads_left == 0 and not self._counted.has(visit, _seen(visit, node)):
            raise LinkClosed
        is_free, suffix = share.downloads_left == NO_LIMIT, wire.suffix_of(node.name)
        match steps[1:]:
            case ["apercu"] if is_free and suffix == "pdf":
                answer = as_pdf(download(request, bodies, Body.of(node)))
            case ["apercu"] if is_free and suffix in wire.IMAGES:
                answer = await image(bodies, Body.of(node))
            case ["vignette"]:
                made = await self.maker.preview(
                    visit.collectivite_id, bodies, Body.of(node), is_guest=True, edge_px=wire.EDGES_PX[-1]
                )
                answer = thumbnail(made)
            case ["bureau"] | ["bureau", "page", "1"]:
                return await self._first_page(
                    request, visit, database, bodies, node, is_picture=len(steps) > 2
                )
            case _:
                raise LinkClosed
        await self._tell_preview(request, visit, database, node)
        return answer

    async def _first_page(
        self,
        request: Request,
        visit: Visit,
        database: Database,
        bodies: Bodies,
        node: Node,
        *,
        is_picture: bool,
    ) -> Answer:
        try:
            made = await self.maker.preview(visit.collectivite_id, bodies, Body.of(node), is_guest=True)
            if not made.pictures:
                raise NotShown("unreadable")
            if not is_picture:
                return said(200, {"pages": 1, "pdf": False})
            await self._tell_preview(request, visit, database, node)
            return picture(made.pictures[0])
        except BeffroiError as error:
            return refusal(error)

    async def _tell_preview(self, request: Request, visit: Visit, database: Database, node: Node) -> None:
        """Errors: LinkClosed, Unavailable."""
        seen = _seen(visit, node)
        if self._looked.has(visit, seen):
            return
        self._pace.take(visit.share_id, request.address)
        access = Access(
            visit.share_id, visit.collectivite_id, "preview", node.id, node.size_bytes, request.address
        )
        await asyncio.to_thread(self._told, database, access)
        self._looked.add(visit, seen)

    def _found(
        self, request: Request, database: Database, bodies: Bodies, share_id: str, step: str | None
    ) -> tuple[Share, Node, Answer, int]:
        """(share, node, what would be answered, its bytes). Errors: as ``answer``."""
        with database.reading() as reading:
            share, node = _shared(reading, share_id, step)
            entries = list(islice(below(reading, node), MOST_ZIPPED + 1)) if step is None else []
        if step is None:
            size_bytes = sum(one.size_bytes for _, one in entries if not one.is_folder)
            return share, node, archive(bodies, entries, node.name), size_bytes
        bodies.require(node.sha256)
        answer = download(replace(request, method="GET"), bodies, Body.of(node))
        length = dict(answer.headers).get(b"content-length", b"0")
        return share, node, answer, int(length)

    async def _count(self, database: Database, share: Share, access: Access) -> None:
        """Errors: LinkClosed, Unavailable."""
        self._pace.take(share.id, access.address)
        if share.downloads_left != NO_LIMIT:
            await database.write_async(lambda writing: shares.count_download(writing, share.id))
        try:
            await asyncio.to_thread(self._told, database, access)
        except BeffroiError:
            await database.write_async(lambda writing: shares.give_back_download(writing, share.id))
            raise

    def _told(self, database: Database, access: Access) -> None:
        """Blocking. Errors: LinkClosed, Unavailable."""
        with database.reading() as reading:
            require_owner(reading, access.share_id, access.collectivite_id, self.standing)
        self.tell(access)


def require_owner(reading: Reading, share_id: str, collectivite_id: str, standing: Standing) -> None:
    """Of one's own files, that one is there still: of who left nobody else could end it. Blocking. Errors: LinkClosed,
    Unavailable."""
    owner = shares.owner(reading, shares.find_link(reading, share_id))
    if owner and not standing(owner, collectivite_id):
        raise LinkClosed


def _shared(reading: Reading, share_id: str, step: str | None) -> tuple[Share, Node]:
    """The link, and what it gives: the file of this number, without one all of the folder. Errors: LinkClosed."""
    try:
        share = shares.find_link(reading, share_id)
        node = look.node(reading, share.node if step is None else number(step))
    except AbsentNode:
        raise LinkClosed from None
    if (
        node is None
        or share.rights != "read"
        or bool(node.is_folder) != (step is None)
        or not shares.stands(reading, share, now_s=clock.epoch_s())
        or not shares.covers(reading, share, node.id)
    ):
        raise LinkClosed
    return share, node


def _seen(visit: Visit, node: Node) -> _Seen:
    return visit.name, node.id, node.sha256


@asynccontextmanager
async def _begun(answer: Answer) -> AsyncGenerator[Answer]:
    """Its first piece was read, and nothing of it left: what cannot be read uses no download up. Errors: those of the
    store."""
    if isinstance(answer.body, bytes):
        yield answer
        return
    pieces = answer.body
    try:
        first = await anext(pieces, b"")
        yield replace(answer, body=_with_first(first, pieces))
    except BaseException:
        await pieces.aclose()
        raise


async def _with_first(first: Bytes, pieces: AsyncGenerator[Bytes]) -> AsyncGenerator[Bytes]:
    async with aclosing(pieces):
        yield first
        async for piece in pieces:
            yield piece


def _goes_on(answer: Answer) -> bool:
    """Whether it is a part that does not begin at the beginning."""
    return answer.status == 206 and not dict(answer.headers)[b"content-range"].startswith(b"bytes 0-")


def _refused(request: Request, error: BeffroiError) -> Answer:
    """A person is led to a page that says why; a program that goes on with a file is told the status, a page's script
    the code."""
    if request.path.endswith("/bureau"):
        return refusal(error)
    if request.method == "GET" and b"range" not in request.headers:
        return led_to(f"{PAGE}?refus={error.code}")
    headers = ((b"content-type", b"text/plain; charset=utf-8"), NO_STORE)
    return Answer(error.http_status, headers, words(error).encode())
