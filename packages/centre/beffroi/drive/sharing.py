"""Shares with people, groups, roles and other collectivités: made, changed, ended, answered, left.

Purpose: the only writes of them but for the counters of links. Pages and sync clients both come here.
Process: web, drive; no Django.
Access:  who may write in a place that is theirs or the collectivité's shares it; what somebody else shares is passed on
         by nobody. Who made a share, or might make it, sees and ends it. All else is absent.
Rule:    what is done with a share is on record before, and once more where it then fails (``on_record``); one share for
         each target of a file: another one takes its place. The receiving collectivité's référent answers an offer.
Source:  docs/internals/drive.md, "Shares"; docs/decisions/0077-shares-stay-with-their-owner.md.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, suppress
from dataclasses import dataclass, field, replace
from typing import Literal, NamedTuple

from beffroi.drive import on_record
from beffroi.drive.store import look, mounts, received, shares
from beffroi.drive.store.database import Database
from beffroi.drive.store.keys import KeysErased
from beffroi.drive.store.model import AbsentNode, Act, Node, ReadOnly
from beffroi.drive.store.preparing import mark_anew
from beffroi.drive.store.received import Received
from beffroi.drive.store.shares import Share, Wish
from beffroi.drive.store.writing import Reading, Writing
from beffroi.drive.views import Place, View
from beffroi.lib import clock
from beffroi.lib.errors import BeffroiError, Conflict, Invalid, NotAllowed
from beffroi.lib.ids import new_id

What = Literal["made", "failed", "changed", "ended", "reopened", "accepted", "refused", "left", "returned"]


@dataclass(frozen=True)
class Line:
    """For the audit log of ``collectivite_id``, the owner's, and of ``receiver``, where another one is concerned."""

    what: What
    share_id: str
    person_id: str
    collectivite_id: str
    receiver: str = ""
    details: Mapping[str, str | int] = field(default_factory=dict)


type Record = Callable[[Line], object]
"""On disk when it returns."""
type Known = Callable[[Wish], bool]
"""Whether the target of a wish is somebody of the collectivité, or another collectivité of this centre; of groups the
metadata know it."""


class Reached(NamedTuple):
    """A share that opens a file: its own, or that of ``node``, a folder above it."""

    share: Share
    node: Node


@dataclass(frozen=True)
class Sharing:
    view: View
    act: Act
    record: Record

    # -- look-ups --------------------------------------------------------------------------------------------

    def reached(self, reading: Reading, place: Place) -> list[Reached]:
        """Who else may open a place, and why; its own shares first."""
        found = []
        for one in look.above(reading, place.node.id):
            for share in shares.of_node(reading, one.id, now_s=self.act.now_s):
                if share.kind != "link":
                    found.append(Reached(share, one))
        return found

    def access(self, reading: Reading, share_id: str) -> Share:
        """A share that this person may change and end; links have their own way. Errors: AbsentNode."""
        found = shares.find(reading, share_id)
        if found.kind == "link":
            raise AbsentNode("share")
        return accessible(self.view, reading, found)

    # -- the owner's -----------------------------------------------------------------------------------------

    def make(self, node_id: int, wish: Wish, known: Known) -> Share:
        """Errors: AbsentNode, ReadOnly, Invalid, NotFound, Frozen, those of opening another collectivité's metadata."""
        if wish.kind == "link":
            raise Invalid("kind")
        with self.view.database.reading() as reading:
            shareable(self.view, reading, node_id)
            shared = shares.check_new(reading, node_id, wish, now_s=self.act.now_s)
            before = self._alike(reading, node_id, wish)
        if wish.target in (self.view.who.person_id, self.view.who.collectivite_id) or not known(wish):
            raise Invalid("with whom")
        # Opened before anything is said or done: with who has no files any more nothing is shared.
        there = self.view.abroad(wish.target) if wish.kind == "collectivite" else None
        share_id = new_id("shr")
        said = {
            "node_id": node_id,
            "kind": wish.kind,
            "target": wish.target,
            "rights": wish.rights,
            "expires_s": wish.expires_s,
        }
        receiver = wish.target if wish.kind == "collectivite" else ""
        lines = [self._line("made", share_id, receiver, said), *map(self._ending, before)]
        label, owner = wish.label or shared.name, self.view.who.collectivite_id
        with self._told(*lines):
            if there is not None:  # first: an offer without its share leads nowhere, a share needs its offer
                there.write(lambda w: received.offer(w, share_id, label, owner=owner, now_s=self.act.now_s))
            made, ended = self.view.database.write(
                lambda writing: self._made(writing, node_id, wish, share_id)
            )
        was_told = {one.id for one in before}
        for one in ended:
            if one.id not in was_told:  # somebody made it meanwhile: nobody could know of it before
                self.record(self._ending(one))
        heard(self.view.database)
        return made

    def _made(self, writing: Writing, node_id: int, wish: Wish, share_id: str) -> tuple[Share, list[Share]]:
        shareable(self.view, writing, node_id)  # it may have moved since
        before = self._alike(writing, node_id, wish)
        for one in before:
            shares.end(writing, one.id, now_s=self.act.now_s)
        return shares.make(writing, self.act, node_id, wish, share_id=share_id)[0], before

    def _alike(self, reading: Reading, node_id: int, wish: Wish) -> list[Share]:
        found = shares.of_node(reading, node_id, now_s=self.act.now_s)
        return [one for one in found if (one.kind, one.target) == (wish.kind, wish.target)]

    def change(self, share_id: str, *, rights: shares.Rights, expires_s: int) -> Share:
        """Of one that is no link. Errors: AbsentNode, ReadOnly, Invalid."""
        with self.view.database.reading() as reading:
            found = self.access(reading, share_id)
            wish = Wish("person", target=found.target, rights=rights, expires_s=expires_s)
            if not found.is_open(self.act.now_s):
                raise AbsentNode("share")
            # Its maker may see it no more: nothing is on record then.
            shareable(self.view, reading, found.node)
            shares.check(reading, found.node, wish, now_s=self.act.now_s)
        told: dict[str, str | int] = {"rights": rights, "expires_s": expires_s}

        def change(writing: Writing) -> Share:
            now = self.access(writing, share_id)
            if not now.is_open(self.act.now_s):
                raise AbsentNode("share")
            shareable(self.view, writing, now.node)
            return shares.change(writing, share_id, rights=rights, expires_s=expires_s)

        with self._told(self._line("changed", share_id, receiver_of(found), told)):
            changed = self.view.database.write(change)
        heard(self.view.database)
        return changed

    def end(self, share_id: str) -> Share:
        """Nobody has anything by it from now on. What ended before stays ended. Errors: AbsentNode."""
        with self.view.database.reading() as reading:
            found = self.access(reading, share_id)

        def change(writing: Writing) -> None:
            self.access(writing, share_id)
            if not shares.end(writing, share_id, now_s=self.act.now_s):
                raise Conflict("it has ended")

        if found.ended_s == shares.NEVER:
            with suppress(Conflict):  # somebody else was quicker
                with self._told(self._ending(found)):
                    self.view.database.write(change)
                heard(self.view.database)
        return found

    # -- the receiver's --------------------------------------------------------------------------------------

    def answer(self, share_id: str, *, accepted: bool) -> Received:
        """The référent's word, for all of the collectivité; it can be changed. Errors: NotAllowed, AbsentNode (also to
        accept what its owner does not know)."""
        if self.view.who.role != "referent":
            raise NotAllowed("answer for the collectivité")
        with self.view.database.reading() as reading:
            offered = received.find(reading, share_id)
        own, lost = self.view.who.collectivite_id, self._is_lost(offered)
        what: What = "accepted" if accepted else "refused"
        if lost and accepted:
            raise AbsentNode("share")

        def change(writing: Writing) -> Received:
            if lost:  # devices have the last there is of it
                mark_anew(writing)
            return received.answer(writing, self.act, share_id, accepted=accepted)

        with self._told(Line(what, share_id, self.act.person_id, offered.owner, own)):
            return self.view.database.write(change)

    def _is_lost(self, offered: Received) -> bool:
        try:
            with self.view.abroad(offered.owner).reading() as there:
                receiver = self.view.who.collectivite_id
                shares.of_owner(there, offered.owner, offered.share_id, receiver, now_s=self.act.now_s)
        except KeysErased:
            return False
        except BeffroiError:  # its metadata are gone, and it may be with them
            return True
        return False

    def leave(self, share_id: str, *, left: bool = True) -> None:
        """This person sees it no more, or again. Errors: AbsentNode (it is not shared with them)."""
        with self.view.database.reading() as reading:
            owner = self._owner(reading, share_id)
        line = Line("left" if left else "returned", share_id, self.act.person_id, owner)

        def change(writing: Writing) -> None:
            if left:
                mounts.leave(writing, share_id, self.act.person_id, now_s=self.act.now_s)
            else:
                mounts.come_back(writing, share_id, self.act.person_id)

        with self._told(line):
            self.view.database.write(change)

    def _owner(self, reading: Reading, share_id: str) -> str:
        who = self.view.who
        if any(one.id == share_id for one in self.view.shared_here(reading)):
            return who.collectivite_id
        found = received.find(reading, share_id)
        if found.state != "accepted":
            raise AbsentNode("share")
        return found.owner

    def _told(self, *lines: Line) -> AbstractContextManager[None]:
        def tell() -> None:
            for one in lines:
                self.record(one)

        def failed(code: str) -> None:
            for one in lines:
                self.record(replace(one, what="failed", details={"what": one.what, "code": code}))

        return on_record.before(tell, failed)

    def _line(self, what: What, share_id: str, receiver: str, details: Mapping[str, str | int]) -> Line:
        own = self.view.who.collectivite_id
        return Line(what, share_id, self.act.person_id, own, receiver, details)

    def _ending(self, share: Share) -> Line:
        return self._line("ended", share.id, receiver_of(share), {"node_id": share.node})


def shareable(view: View, reading: Reading, node_id: int) -> Place:
    """A file or folder that this person may share. Errors: AbsentNode (roots too), ReadOnly."""
    place = view.at(reading, node_id)
    if not place.node.parent or (place.rights.is_mount and not place.rights.is_shared):
        raise AbsentNode("file")
    if not place.rights.may_share:
        raise ReadOnly
    return place


def accessible(view: View, reading: Reading, share: Share) -> Share:
    """One that this person made, or might make. Errors: AbsentNode."""
    if share.created_by != view.who.person_id:
        try:
            shareable(view, reading, share.node)
        except ReadOnly:
            raise AbsentNode("share") from None
    return share


def has_links(reading: Reading, node_id: int) -> bool:
    """Whether a link to it is open."""
    return any(one.kind == "link" for one in shares.of_node(reading, node_id, now_s=clock.epoch_s()))


def heard(database: Database) -> None:
    """Sync clients are told at once: what people see is another thing, though no file changed."""
    database.on_change(set())


def receiver_of(share: Share) -> str:
    """The other collectivité that a share is for, "" for none."""
    return share.target if share.kind == "collectivite" else ""
