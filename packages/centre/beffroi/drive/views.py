"""What one person sees: their own folder as the root, the collectivité's beside it, what others share with them, and
what they may do in each.

Rule:    the only way from a path to a node on somebody's behalf. The tree comes from the credential's collectivité;
         what is absent and what is another's are one answer. What another collectivité shares lies in its own
         metadata: only a ``Visit`` leads there, and it asks for the share again each time, also inside a change.
Fails:   where another collectivité's metadata do not answer, or lost a share, so does what lists its shares: a sync
         client would delete what a listing leaves out. A page's view, and a search's, leaves it out, and says whose in
         ``silent``.
Hostile: paths.
Source:  docs/internals/drive.md, "Shares".
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from hashlib import blake2b

from beffroi.drive import receiving
from beffroi.drive.crossing import Crossing, What
from beffroi.drive.places import COMMON_NAME, SHARED_NAME, Mount, Place, Rights, best
from beffroi.drive.receiving import Elsewhere, Here
from beffroi.drive.store import look, schema, shares, tree
from beffroi.drive.store.database import Database
from beffroi.drive.store.keys import KeysErased
from beffroi.drive.store.model import AbsentNode, Node
from beffroi.drive.store.shares import Share, ShareLost
from beffroi.drive.store.writing import Reading, Writing
from beffroi.drive.who import WRITERS, Who
from beffroi.lib import clock
from beffroi.lib.errors import BeffroiError, NotFound

__all__ = ["COMMON_NAME", "LARGEST_ID", "SHARED_NAME", "Mount", "Place", "View", "Visit", "leads_out"]
LARGEST_ID = (1 << 63) - 1
"""What a database takes for a number."""
log = logging.getLogger("beffroi.drive")

type Abroad = Callable[[str], Database]
"""The metadata of another collectivité of this centre."""


def _nowhere(collectivite_id: str) -> Database:
    """For who sees no other collectivité's. Errors: NotFound."""
    raise NotFound("collectivité")


class View:
    """One person's tree. Look-ups take a ``Reading``, so that a request sees one picture."""

    share_id = ""
    """Of a visit: by which share."""

    @staticmethod
    def of(who: Who, metadata: Abroad) -> View:
        """Of their own collectivité, from where one goes to what others share. Errors: those of ``metadata``."""
        return View(metadata(who.collectivite_id), who, metadata)

    @staticmethod
    def of_page(who: Who, metadata: Abroad) -> View:
        """As ``of``, but lists leave out the collectivités that do not answer: for pages and searches.

        Errors: those of their own metadata."""
        found = View.of(who, metadata)
        found._leaves_out = True
        return found

    def __init__(self, database: Database, who: Who, abroad: Abroad = _nowhere) -> None:
        self.database, self.who, self.abroad = database, who, abroad
        self.silent: set[str] = set()
        """Collectivités that a list of this view left out, since they did not answer."""
        self.lost: set[str] = set()
        """Those that were left out since they lost what they shared."""
        self._leaves_out = False
        self.collectivite_id = who.collectivite_id
        self._writes_common = who.role in WRITERS

    def roots(self, reading: Reading) -> tuple[Node, Node]:
        """(own, common), made at the first use; in a change by that change itself."""
        own = look.root(reading, schema.HOME + self.who.person_id)
        common = look.root(reading, schema.COMMON)
        if own is None or common is None:
            if isinstance(reading, Writing):
                return self.make_roots(reading)
            return self.database.write(self.make_roots)
        return own, common

    def make_roots(self, writing: Writing) -> tuple[Node, Node]:
        """A change. A ``Reading`` that began before it does not see them: make them before, and look then."""
        now_s = clock.epoch_s()
        own = tree.make_root(writing, schema.HOME + self.who.person_id, now_s=now_s)
        return own, tree.make_root(writing, schema.COMMON, now_s=now_s)

    def place(self, reading: Reading, path: Sequence[str]) -> Place:
        """Errors: AbsentNode."""
        found = self.find(reading, path)
        if found is None:
            raise AbsentNode("file")
        return found

    def find(self, reading: Reading, path: Sequence[str]) -> Place | None:
        """What another collectivité shares is not found here, but by ``towards``."""
        if not path:
            own, common = self.roots(reading)
            shared, parts = self._shared(reading), [own.etag, common.etag]
            if shared is not None:
                parts.append(shared.etag)
            if not self._writes_common:  # clients read what they may do again where the etag is another one
                parts.append(0)
            etag = max(parts) if len(parts) == 2 else _mixed(*parts)
            return Place(own, (), Rights(True, is_mount=True), etag, self.collectivite_id)
        if path[0] == SHARED_NAME:
            return self._find_shared(reading, path)
        is_common = path[0] == COMMON_NAME
        root = look.root(reading, schema.COMMON if is_common else schema.HOME + self.who.person_id)
        inside = path[1:] if is_common else path
        if root is None:  # made now: this picture does not hold it, and nothing is in it
            own, common = self.roots(reading)
            root = common if is_common else own
            found = None if inside else root
        else:
            found = look.walk(reading, root.id, inside)
        mount = is_common and len(path) == 1
        if found is None:
            return None
        may_write = self._writes_common if is_common else True
        return Place.of(found, tuple(path), Rights(may_write, is_mount=mount), self.collectivite_id)

    def at(self, reading: Reading, node_id: int) -> Place:
        """By its identifier, wherever it lies in what this person sees; where it does so twice, as what they may write.

        Errors: AbsentNode.
        """
        if not 0 < node_id <= LARGEST_ID:
            raise AbsentNode("file")
        own, common = self.roots(reading)
        if node_id == own.id:
            return self.place(reading, ())
        way = look.above(reading, node_id)
        if not way:
            raise AbsentNode("file")
        if way[-1].name == schema.SHARED + self.who.person_id:
            return self.place(reading, (SHARED_NAME,))
        path = tuple(one.name for one in reversed(way[:-1]))
        if way[-1].id == own.id:
            return Place.of(way[0], path, Rights(may_write=True), self.collectivite_id)
        is_common = way[-1].id == common.id
        if not (is_common and self._writes_common):
            shared = best(mount.holding(way) for mount in self.mounts_here(reading))
            if shared is not None and (shared.rights.may_write or not is_common):
                return shared
        if not is_common:
            raise AbsentNode("file")
        rights = Rights(self._writes_common, is_mount=len(way) == 1)
        return Place.of(way[0], (COMMON_NAME, *path), rights, self.collectivite_id)

    def children(self, reading: Reading, place: Place) -> list[Place]:
        """Of what another collectivité shares none: only a visit, which is told, lists it. Errors: AbsentNode."""
        if not place.node.is_folder:
            raise AbsentNode("folder")
        if place.owner != self.collectivite_id:
            return []
        if place.path == (SHARED_NAME,):
            return [one.place for one in self.mounts(reading)]
        out = self._inside(reading, place)
        if not place.path:
            _, common = self.roots(reading)
            mount = Rights(self._writes_common, is_mount=True)
            out.append(Place.of(common, (COMMON_NAME,), mount, self.collectivite_id))
            shared = self._shared(reading)
            out += [shared] if shared is not None else []
        return out

    def _inside(self, reading: Reading, folder: Place) -> list[Place]:
        rights = replace(folder.rights, is_mount=False)
        return [
            Place.of(one, (*folder.path, one.name), rights, self.collectivite_id)
            for one in look.children(reading, folder.node.id)
        ]

    def may_destroy(self, place: Place) -> bool:
        """For good, which no share gives; of the collectivité's a référent alone, for it may be archives."""
        if place.owner != self.who.collectivite_id or place.rights.is_shared or not place.rights.may_write:
            return False
        return place.path[:1] != (COMMON_NAME,) or self.who.role == "referent"

    def is_reserved(self, path: Sequence[str]) -> bool:
        """Whether a name stands for something of ours, so that nothing else may be made or put there."""
        if len(path) > 1:
            return len(path) == 2 and path[0] == SHARED_NAME
        return not path or path[0].casefold() in (COMMON_NAME.casefold(), SHARED_NAME.casefold())

    # -- what others share -----------------------------------------------------------------------------------

    def towards(self, reading: Reading, path: Sequence[str]) -> View:
        """The view that knows a path: this one, or a visit to the collectivité that shares what the path leads to."""
        if leads_out(path):
            for one in self._elsewhere(reading):
                if one.name == path[1]:
                    return Visit(self, one)
        return self

    def visit(self, reading: Reading, share_id: str) -> Visit:
        """To what another collectivité shares, by the share's identifier. Errors: AbsentNode."""
        for one in self._elsewhere(reading):
            if one.offer.share_id == share_id:
                return Visit(self, one)
        raise AbsentNode("share")

    def visits(self, reading: Reading) -> list[Visit]:
        """To all that other collectivités share with this person's, standing or not; but those whose files were all
        destroyed. Errors: Unavailable, but of a page's view."""
        return self._visits(self._elsewhere(reading))

    def owners(self, reading: Reading) -> set[str]:
        """Other collectivités that share something with this person's."""
        return {one.offer.owner for one in self._elsewhere(reading)}

    def mounts(self, reading: Reading) -> list[Mount]:
        """All that is shared with this person and stands, the oldest first, those of other collectivités last.

        Errors: Unavailable, but of a page's view; a collectivité that does not answer has not ended its shares.
        """
        here, elsewhere = receiving.everything(reading, self.who)
        found = [self._as_mount(one) for one in here]
        for visit in self._visits(elsewhere if self._goes_abroad else []):
            try:
                with visit.database.reading() as there:
                    mount = visit.mount(there)
            except BeffroiError as error:
                self.leave_out(visit.collectivite_id, error)
                continue
            if mount is not None:
                found.append(mount)
        return found

    def mounts_here(self, reading: Reading) -> list[Mount]:
        """Those of the person's own collectivité."""
        return [self._as_mount(one) for one in receiving.everything(reading, self.who)[0]]

    def shared_here(self, reading: Reading) -> Iterator[Share]:
        """What stands and gives this person more than they have in the collectivité, left by them or not."""
        return receiving.standing(reading, self.who)

    @property
    def _goes_abroad(self) -> bool:
        return self.abroad is not _nowhere

    def _elsewhere(self, reading: Reading) -> list[Elsewhere]:
        return receiving.elsewhere(reading, self.who) if self._goes_abroad else []

    def _visits(self, found: Sequence[Elsewhere]) -> list[Visit]:
        visits = []
        for one in found:
            try:
                visits.append(Visit(self, one))
            except KeysErased:
                continue
            except BeffroiError as error:
                self.leave_out(one.offer.owner, error)
        return visits

    def leave_out(self, owner: str, error: BeffroiError) -> None:
        """A collectivité that did not answer. Errors: the one that is given, but of a page's view."""
        if not self._leaves_out:
            raise error
        found = self.lost if isinstance(error, ShareLost) else self.silent
        if owner not in found:
            log.warning("what %s shares is not shown: %s", owner, error.code)
        found.add(owner)

    def _as_mount(self, one: Here) -> Mount:
        return Mount(one.share, one.name, one.node, one.share.rights == "write", self.collectivite_id)

    def _shared(self, reading: Reading) -> Place | None:
        """The folder of what others share, None where nothing is."""
        found = self.mounts(reading)
        if not found and not self.silent and not self.lost:
            return None
        name = schema.SHARED + self.who.person_id
        root = look.root(reading, name)
        if root is None:

            def make(writing: Writing) -> Node:
                return tree.make_root(writing, name, now_s=clock.epoch_s())

            root = make(reading) if isinstance(reading, Writing) else self.database.write(make)
        etag = _mixed(*((one.share.id, one.name, one.node.etag, one.may_write) for one in found))
        rights = Rights(may_write=False, is_mount=True)
        return Place(root, (SHARED_NAME,), rights, etag, self.collectivite_id)

    def _find_shared(self, reading: Reading, path: Sequence[str]) -> Place | None:
        if len(path) == 1:
            return self._shared(reading)
        for mount in self.mounts_here(reading):
            if mount.name == path[1]:
                return mount.below(reading, path)
        return None


class Visit(View):
    """What another collectivité shares with this person's: one share, in the owner's metadata, by the owner's word."""

    def __init__(self, home: View, accepted: Elsewhere) -> None:
        offer = accepted.offer
        super().__init__(home.abroad(offer.owner), home.who, home.abroad)
        self.collectivite_id, self.share_id, self._name = offer.owner, offer.share_id, accepted.name

    @property
    def path(self) -> tuple[str, ...]:
        """Of what is shared, from the person's root."""
        return SHARED_NAME, self._name

    def crossing(self, what: What, node_id: int) -> Crossing:
        """An access of this person, as its owner is told of it. ``node_id``: 0 where nothing is there."""
        who, owner = self.who, self.collectivite_id
        device_id = who.app_password_id
        return Crossing(self.share_id, owner, who.collectivite_id, who.person_id, device_id, what, node_id)

    def mount(self, reading: Reading) -> Mount | None:
        """``reading``: of the owner's metadata. None when the owner ended it. Errors: ShareLost."""
        share = shares.of_owner(
            reading, self.collectivite_id, self.share_id, self.who.collectivite_id, now_s=clock.epoch_s()
        )
        node = look.node(reading, share.node) if share is not None else None
        if share is None or node is None:
            return None
        may_write = share.rights == "write" and self._writes_common
        return Mount(share, self._name, node, may_write, self.collectivite_id)

    def find(self, reading: Reading, path: Sequence[str]) -> Place | None:
        mount = self.mount(reading)
        if mount is None or tuple(path[:2]) != mount.path:
            return None
        return mount.below(reading, path)

    def at(self, reading: Reading, node_id: int) -> Place:
        mount = self.mount(reading)
        way = look.above(reading, node_id) if 0 < node_id <= LARGEST_ID else []
        found = mount.holding(way) if mount is not None else None
        if found is None:
            raise AbsentNode("file")
        return found

    def children(self, reading: Reading, place: Place) -> list[Place]:
        if not place.node.is_folder:
            raise AbsentNode("folder")
        return self._inside(reading, place)

    def roots(self, reading: Reading) -> tuple[Node, Node]:
        """Nobody has roots in another collectivité. Errors: AbsentNode."""
        raise AbsentNode("folder")

    def towards(self, reading: Reading, path: Sequence[str]) -> View:
        return self


def leads_out(path: Sequence[str]) -> bool:
    """Whether a path may lead to something of another collectivité."""
    return len(path) > 1 and path[0] == SHARED_NAME


def _mixed(*parts: object) -> int:
    """One number that is another one when any part is: counters of two collectivités cannot be compared."""
    return int.from_bytes(blake2b(repr(parts).encode(), digest_size=8).digest()) >> 1
