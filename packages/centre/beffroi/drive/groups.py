"""Groups of people: made, named, filled, emptied, deleted by the collectivité's référent; shares name them as targets.

Purpose: the only writes of groups.
Process: web; worker for who left. No Django.
Access:  everybody of the collectivité sees its groups and who is in them: whoever shares must know with whom. The
         référent alone changes them. The collectivité comes from the credential; of another one there is no group.
Rule:    what is done is on record before, and once more where it then fails (``on_record``). Whoever is added sees what
         is shared with the group at the next look, whoever is removed does not.
Source:  docs/internals/drive.md, "Groups"; docs/decisions/0085-groups-lie-beside-the-shares.md.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from typing import Literal

from beffroi.drive import on_record
from beffroi.drive.sharing import Line, Record, heard
from beffroi.drive.store import groups, shares
from beffroi.drive.store.groups import Group
from beffroi.drive.store.model import Act
from beffroi.drive.store.shares import Share
from beffroi.drive.store.writing import Reading, Writing
from beffroi.drive.views import View
from beffroi.lib.errors import NotAllowed, NotFound
from beffroi.lib.ids import new_id

What = Literal["made", "failed", "renamed", "deleted", "added", "removed"]


@dataclass(frozen=True)
class GroupLine:
    """For the audit log. ``name``: of the group, for the side of the log that can be erased; "" for none."""

    what: What
    group_id: str
    collectivite_id: str
    name: str = ""
    details: Mapping[str, str | int] = field(default_factory=dict)


type RecordGroup = Callable[[GroupLine], object]
"""On disk when it returns."""


@dataclass(frozen=True)
class Groups:
    """``record_share``: for the shares that end with their group."""

    view: View
    act: Act
    record: RecordGroup
    record_share: Record

    @property
    def may_manage(self) -> bool:
        return self.view.who.role == "referent"

    def make(self, name: str) -> Group:
        """Errors: NotAllowed, Invalid, GroupExists, TooManyGroups."""
        self._require()
        group_id = new_id("grp")
        with self.view.database.reading() as reading:
            said = groups.checked(reading, name)
        with self._told(group_id, lambda: self._tell("made", group_id, name=said)):
            return self.view.database.write(
                lambda writing: groups.make(writing, self.act, said, group_id=group_id)
            )

    def rename(self, group_id: str, name: str) -> Group:
        """Errors: NotAllowed, NotFound, Invalid, GroupExists."""
        self._require()
        with self.view.database.reading() as reading:
            groups.find(reading, group_id)
            said = groups.checked(reading, name, but=group_id)
        with self._told(group_id, lambda: self._tell("renamed", group_id, name=said)):
            return self.view.database.write(lambda writing: groups.rename(writing, group_id, said))

    def add(self, group_id: str, person_ids: Collection[str], belong: Collection[str]) -> int:
        """``belong``: who of the collectivité is there now. Return how many are new in it.

        Errors: NotAllowed, NotFound (group; a person who does not belong), TooManyGroups.
        """
        self._require()
        if not set(person_ids) <= set(belong):
            raise NotFound("person")
        with self.view.database.reading() as reading:
            there = {one.person_id for one in groups.members(reading, groups.find(reading, group_id).id)}
        new = [one for one in dict.fromkeys(person_ids) if one not in there]

        def tell() -> None:
            for one in new:
                self._tell("added", group_id, person_id=one)

        def change(writing: Writing) -> int:
            return sum(groups.add(writing, self.act, group_id, one) for one in new)

        with self._told(group_id, tell):
            added = self.view.database.write(change)
        heard(self.view.database)
        return added

    def remove(self, group_id: str, person_id: str) -> bool:
        """False for who was not in it. Errors: NotAllowed, NotFound."""
        self._require()
        with self.view.database.reading() as reading:
            there = {one.person_id for one in groups.members(reading, groups.find(reading, group_id).id)}
        if person_id not in there:
            return False
        with self._told(group_id, lambda: self._tell("removed", group_id, person_id=person_id)):
            removed = self.view.database.write(lambda writing: groups.remove(writing, group_id, person_id))
        heard(self.view.database)
        return removed

    def ending(self, reading: Reading, group_id: str) -> list[Share]:
        """What ends when a group is deleted. Errors: NotAllowed."""
        self._require()
        return shares.to_group(reading, group_id, now_s=self.act.now_s)

    def delete(self, group_id: str) -> list[Share]:
        """The group, and all that is shared with it; return what ended. Errors: NotAllowed, NotFound."""
        self._require()
        with self.view.database.reading() as reading:
            group, before = groups.find(reading, group_id), self.ending(reading, group_id)

        def tell() -> None:
            self._tell("deleted", group_id, name=group.name, shares=len(before))
            for one in before:
                self._tell_share("ended", one, {"group_id": group_id})

        def failed(code: str) -> None:
            self._tell("failed", group_id, code=code)
            for one in before:
                self._tell_share("failed", one, {"what": "ended", "code": code})

        def change(writing: Writing) -> list[Share]:
            ended = self.ending(writing, group_id)
            for one in ended:
                shares.end(writing, one.id, now_s=self.act.now_s)
            groups.delete(writing, group_id)
            return ended

        with on_record.before(tell, failed):
            ended = self.view.database.write(change)
        heard(self.view.database)
        was_told = {one.id for one in before}
        for one in ended:
            if one.id not in was_told:  # somebody made it meanwhile: nobody could know of it before
                self._tell_share("ended", one, {"group_id": group_id})
        return ended

    def _require(self) -> None:
        if not self.may_manage:
            raise NotAllowed("change groups")

    def _told(self, group_id: str, tell: Callable[[], object]) -> AbstractContextManager[None]:
        return on_record.before(tell, lambda code: self._tell("failed", group_id, code=code))

    def _tell(self, what: What, group_id: str, *, name: str = "", **details: str | int) -> None:
        self.record(GroupLine(what, group_id, self.view.who.collectivite_id, name, details))

    def _tell_share(
        self, what: Literal["ended", "failed"], share: Share, details: Mapping[str, str | int]
    ) -> None:
        told = {"node_id": share.node, **details}
        own = self.view.who.collectivite_id
        self.record_share(Line(what, share.id, self.act.person_id, own, details=told))
