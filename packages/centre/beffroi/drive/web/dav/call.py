"""One WebDAV request on its way: who, where, under which conditions; what all methods share.

Rule:    conditions, rights and places are looked at inside the change itself, so that nothing comes between; where a
         body comes along, they are looked at before it, too, so that it need not be sent in vain.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from functools import cached_property

from beffroi.drive.store import favourites, locks, look, seals, shares, tags
from beffroi.drive.store.favourites import Star
from beffroi.drive.store.model import AbsentNode, Act, NameTaken, Node, ParentAbsent, ReadOnly, RootFixed
from beffroi.drive.store.scalars import meta
from beffroi.drive.store.writing import Reading
from beffroi.drive.views import Place, View
from beffroi.drive.web.bodies import Bodies
from beffroi.drive.web.dav import conditions, paths
from beffroi.drive.web.dav.conditions import Clause, ConditionFailed, State
from beffroi.drive.web.dav.owners import Owners
from beffroi.drive.web.dav.paths import Target
from beffroi.drive.web.dav.properties import Setting, etag, file_id, instance, system_tags
from beffroi.drive.web.messages import Answer, Header, Request
from beffroi.drive.who import Who
from beffroi.lib import clock
from beffroi.lib.errors import BeffroiError, Invalid


class MethodRefused(BeffroiError):
    """This cannot be done with what is there."""

    code = "drive.method_refused"
    http_status = 405

    def __init__(self, *allowed: str) -> None:
        """``allowed``: methods that can be."""
        super().__init__()
        self.allow = ", ".join(allowed)


class Exists(BeffroiError):
    """Something of this name is there, and the client does not want to overwrite."""

    code = "drive.exists"
    http_status = 412


class SamePlace(BeffroiError):
    """Source and destination are the same."""

    code = "drive.same_place"
    http_status = 403


ON_FOLDERS = ("OPTIONS", "GET", "HEAD", "PROPFIND", "PROPPATCH", "DELETE", "COPY", "MOVE", "LOCK", "UNLOCK")
_FORGETFUL = "LibreOffice"
"""It keeps the token of a lock under an address that it writes in two ways, and shows none when it saves where a name
has an accent: no such document could be saved. It locks before it saves, and opens to read what is locked."""
_DESKTOP = "mirall/"
"""Nextcloud's program for computers, whatever name it has."""
type Towards = Callable[[Call, Target], Call]
"""Errors: AbsentNode, DeviceStopped, Unavailable."""


@dataclass
class Call:
    """``view``: the one that knows ``target``; ``home``: the person's own, the same but in what another collectivité
    shares. ``towards``: makes this call one at another path, and tells it where it crosses into a collectivité."""

    request: Request
    who: Who
    target: Target
    view: View
    home: View
    bodies: Bodies
    owners: Owners
    towards: Towards

    @cached_property
    def clauses(self) -> tuple[Clause, ...]:
        """Errors: ConditionMalformed."""
        return conditions.parse_if(self.request.header(b"if"))

    @cached_property
    def act(self) -> Act:
        tokens = conditions.submitted(self.clauses)
        program = _FORGETFUL if self._is_forgetful() else ""
        return Act(
            self.who.person_id,
            self.who.app_password_id,
            clock.epoch_s(),
            tokens,
            lock_program=program,
            share_id=self.view.share_id,
        )

    def _is_forgetful(self) -> bool:
        agent = self.request.header(b"user-agent")
        return self.request.method == "PUT" and not self.clauses and agent.startswith(_FORGETFUL)

    @cached_property
    def instance(self) -> str:
        return instance(self.view.collectivite_id)

    def setting(
        self,
        reading: Reading,
        *,
        wants_stars: bool = False,
        wants_shares: bool = False,
        tagged: Collection[int] = (),
    ) -> Setting:
        """``tagged``: nodes whose tags are wanted; those of another collectivité are its own and not told."""
        starred = self.stars(reading) if wants_stars else frozenset()
        found = tags.by_node(reading, self.who, tagged) if self.view is self.home else {}
        return Setting(
            self.who.collectivite_id,
            self.view.collectivite_id,
            meta(reading, "fingerprint") or "",
            clock.epoch_s(),
            self.target.is_for_explorers,
            _DESKTOP in self.request.header(b"user-agent"),
            starred,
            shares.kinds_by_node(reading, now_s=self.act.now_s) if wants_shares else {},
            {node_id: system_tags(self.who, some) for node_id, some in found.items()},
        )

    def stars(self, reading: Reading) -> frozenset[Star]:
        """Also where it is a visit, of the person's own metadata."""
        if self.view is self.home:
            return favourites.everywhere(reading, self.who)
        with self.home.database.reading() as own:
            return favourites.everywhere(own, self.who)

    # -- places ------------------------------------------------------------------------------------------

    def parent(self, reading: Reading, path: Sequence[str]) -> Place:
        """The folder that something of this path lies, or is to lie, in.

        Errors: RootFixed, ParentAbsent, ReadOnly, Sealed."""
        if not path:
            raise RootFixed
        own = self.view.find(reading, path) if len(path) == 2 and self.view.is_reserved(path) else None
        if own is not None and not own.node.is_folder and own.rights.may_write:
            # A file that is shared alone lies in its owner's folder.
            folder = look.node(reading, own.node.parent)
            if folder is not None:
                return own._replace(node=folder)
        found = self.view.find(reading, path[:-1])
        if found is None or not found.node.is_folder:
            raise ParentAbsent
        if not found.rights.may_write:
            raise ReadOnly
        seals.require_free(reading, found.node)
        return found

    def movable(self, reading: Reading, path: Sequence[str]) -> Place:
        """Errors: AbsentNode, RootFixed, ReadOnly, Sealed."""
        found = self.view.place(reading, path)
        if found.rights.is_mount:
            raise RootFixed
        if not found.rights.may_write:
            raise ReadOnly
        seals.require_free(reading, found.node, names=True)
        return found

    def free(self, path: Sequence[str]) -> None:
        """Errors: NameTaken (a name of ours)."""
        if self.view.is_reserved(path):
            raise NameTaken

    # -- conditions --------------------------------------------------------------------------------------

    def check(
        self, reading: Reading, found: Place | None, there: Callable[[str | None], State] | None = None
    ) -> None:
        """All conditions of a request that changes what was ``found``. ``there``: what the collectivité of the
        destination, another one, knows of a resource. Errors: ConditionFailed, ConditionMalformed."""
        header = self.request.header
        if found is None:
            fails = bool(header(b"if-match"))
        else:
            tag, none_match = etag(found), header(b"if-none-match")
            fails = conditions.is_outdated(header, tag, found.node.mtime_s)
            fails = fails or bool(none_match and conditions.names_etag(none_match, tag))
        if fails:
            raise ConditionFailed

        def state(resource: str | None) -> State:
            own = self.state(reading, resource)
            return there(resource) if there is not None and own == State() else own

        if not conditions.holds(self.clauses, state):
            raise ConditionFailed

    def state(self, reading: Reading, resource: str | None) -> State:
        target = self.target
        if resource is not None:
            try:
                target = paths.target(paths.local(resource, self.request.header(b"host")), self.who)
            except BeffroiError:
                return State()  # of no resource of this tree: it has no etag and no lock here
        found = self.view.find(reading, target.path)
        at = found or (self.view.find(reading, target.path[:-1]) if target.path else None)
        tokens = (
            frozenset(one.token for one in locks.held(reading, at.node.id, now_s=self.act.now_s))
            if at
            else frozenset()
        )
        return State(etag(found) if found else "", tokens)

    # -- headers -----------------------------------------------------------------------------------------

    def destination(self) -> Target:
        """Errors: DestinationMissing, ForeignDestination, AbsentNode (another's tree), PathRefused, NameRefused."""
        header = self.request.header(b"destination")
        if not header:
            raise paths.DestinationMissing
        return paths.target(paths.local(header, self.request.header(b"host")), self.who)

    def depth(self, usual: str) -> str:
        """ "0", "1" or "infinity". Errors: Invalid."""
        found = self.request.header(b"depth", usual).strip().lower()
        if found not in ("0", "1", "infinity"):
            raise Invalid("Depth")
        return found

    def overwrites(self) -> bool:
        """Errors: Invalid."""
        found = self.request.header(b"overwrite", "T").strip().upper()
        if found not in ("T", "F"):
            raise Invalid("Overwrite")
        return found == "T"

    def written(self, node: Node) -> list[Header]:
        """What clients want to know of a file or folder that they wrote."""
        tag = f'"{node.etag:x}"'.encode()
        return [(b"etag", tag), (b"oc-etag", tag), (b"oc-fileid", file_id(node.id, self.instance).encode())]

    def put(self, node: Node, *, is_new: bool, mtime_s: int | None) -> Answer:
        """``mtime_s``: that the client asked for."""
        accepted: list[Header] = [(b"x-oc-mtime", b"accepted")] if mtime_s is not None else []
        return Answer(201 if is_new else 204, self.written(node) + accepted)

    def copied(self, node: Node) -> list[Header]:
        """As ``written``; of a folder as it is by now: what was copied into it after it was made changed it."""
        if not node.is_folder:
            return self.written(node)
        with self.view.database.reading() as reading:
            return self.written(look.node(reading, node.id) or node)


def existing(found: Place | None) -> Place:
    """Errors: AbsentNode."""
    if found is None:
        raise AbsentNode("file")
    return found
