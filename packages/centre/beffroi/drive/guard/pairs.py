"""Files that cannot be read any more in two steps: a copy that nobody can read is made, and the original deleted.

Purpose: of one person, whichever of their devices does which half, in any order: the two are matched in the folder in
         which both were made and deleted by a name or by a size that grew by little, in two folders by both: a vault or
         a quarantine elsewhere has names of its own.
Process: pure state, as ``scoring``, which asks. Memory: PAIRS_KEPT halves a person, of which the older half goes.
Source:  docs/internals/ransomware.md.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Callable, Iterator

import msgspec

from beffroi.drive.guard import signs
from beffroi.drive.guard.kinds import family
from beffroi.drive.guard.signs import Change

_DOCUMENTS = frozenset(("office", "pdf"))
PAIRS_KEPT = 4096
LONGER_BYTES = 4096
"""What ransomware adds to a file that it encrypts into another one, at most."""


class Half(msgspec.Struct, frozen=True, array_like=True):
    """One half of "copy, encrypt, delete": a file that cannot be read was created, or one that could be was deleted.
    ``name``: hash of its beginning. ``group``: kind of what was deleted, empty of what was created. ``is_document``:
    what was created is no archive, but a document with a password."""

    at_s: float
    node: str
    name: str
    size_bytes: int
    group: str
    sealed: bool = False
    number: int = 0
    device: str = ""
    is_document: bool = False


class Pair(msgspec.Struct, frozen=True):
    """``lost``: what was deleted; ``copy``: what stands for it. ``folder``: hash of where it was deleted."""

    lost: Half
    copy: Half
    folder: str


class Pairs(msgspec.Struct):
    """Halves of one person that found no other, by folder and node. ``names``: how many of the deleted have each."""

    created: dict[str, dict[str, Half]] = msgspec.field(default_factory=dict)
    deleted: dict[str, dict[str, Half]] = msgspec.field(default_factory=dict)
    names: dict[str, int] = msgspec.field(default_factory=dict)
    halves: int = 0
    # Nodes of created halves that found theirs.
    paired: dict[str, float] = msgspec.field(default_factory=dict)

    def add(self, change: Change, at_s: float, device: str) -> Pair | None:
        """The pair that this change makes. A copy answers for one deletion."""
        half = self._half(change, at_s, device)
        if half is None:
            return None
        folder, is_lost = hashed(change.folder), bool(half.group)
        mine, others = (self.deleted, self.created) if is_lost else (self.created, self.deleted)
        found = self._other(half, folder, others)
        if found is None:
            if half.node not in mine.get(folder, {}):
                mine.setdefault(folder, {})[half.node] = half
                self.halves += 1
                if is_lost:
                    self.names[half.name] = self.names.get(half.name, 0) + 1
            return None
        there, other = found
        del others[there][other.node]
        self.halves -= 1
        if not is_lost:
            self._let_go(other)
        lost, copy = (half, other) if is_lost else (other, half)
        self.paired[copy.node] = copy.at_s
        return Pair(lost, copy, folder if is_lost else there)

    def packed(self, change: Change) -> Half | None:
        """The archive with a password that lies in, or beside, a folder of its own name in which a file was deleted:
        who packs folder by folder, and deletes what was in them, is seen by their number."""
        if change.what != "deleted" or change.before is None or change.before.state != "sound":
            return None
        beside = (*change.folders[1:], ("", ""))
        for (folder, name), (above, _) in zip(change.folders, beside, strict=False):
            for there in (folder, above):
                for one in self.created.get(hashed(there), {}).values():
                    if one.sealed and not one.is_document and one.name == hashed(stem(name)):
                        return one
        return None

    def wants_look(self, change: Change) -> bool:
        """Whether a new file may stand for something that was deleted."""
        half = Half(change.at_s, change.node, hashed(stem(change.name)), change.size_bytes, "")
        if half.name not in self.names and hashed(change.folder) not in self.deleted:
            return False
        return self._other(half, hashed(change.folder), self.deleted) is not None

    def forget(self, before_s: float) -> None:
        """Rare, and in one go: the older half of what found no partner."""
        if len(self.paired) > PAIRS_KEPT:
            newest = sorted(self.paired.items(), key=lambda one: one[1])[PAIRS_KEPT // 2 :]
            self.paired = dict(newest)
        if self.halves <= PAIRS_KEPT:
            return
        times = sorted(one.at_s for one in self.every())
        limit_s = max(before_s, times[len(times) // 2])
        self._keep(lambda one: one.at_s > limit_s)

    def settle(self, device: str) -> None:
        """A person judged a device: what it did answers for nothing any more."""
        self._keep(lambda one: one.device != device)

    def set_right(self, now_s: float) -> None:
        """The clock was set back: nothing was later than now."""
        for some in (*self.created.values(), *self.deleted.values()):
            for node, one in some.items():
                some[node] = msgspec.structs.replace(one, at_s=min(one.at_s, now_s))

    def every(self) -> Iterator[Half]:
        for some in (*self.created.values(), *self.deleted.values()):
            yield from some.values()

    def _half(self, change: Change, at_s: float, device: str) -> Half | None:
        name = hashed(stem(change.name))
        if change.what == "created" and change.after is not None and change.node not in self.paired:
            sealed = change.after.state == "sealed"
            if not sealed and not signs.is_unreadable(change.after):
                return None
            document = sealed and family(change.after.kind) in _DOCUMENTS
            return Half(
                at_s, change.node, name, change.size_bytes, "", sealed, change.number, device, document
            )
        if change.what == "deleted" and change.before is not None:
            if change.before.state != "sound" or not change.before.kind:
                return None
            size_bytes, kind = change.size_before_bytes, change.before.kind
            return Half(at_s, change.node, name, size_bytes, kind, number=change.number, device=device)
        return None

    def _other(self, half: Half, folder: str, others: dict[str, dict[str, Half]]) -> tuple[str, Half] | None:
        """(its folder, the half that belongs to this one): in the same folder first."""
        for one in others.get(folder, {}).values():
            if _is_near(half, one) or half.name == one.name:
                return folder, one
        if others is self.deleted and half.name not in self.names:
            return None
        for there, some in others.items():
            for one in some.values():
                if half.name == one.name and _is_near(half, one):
                    return there, one
        return None

    def _let_go(self, one: Half) -> None:
        if self.names[one.name] > 1:
            self.names[one.name] -= 1
        else:
            del self.names[one.name]

    def _keep(self, is_kept: Callable[[Half], bool]) -> None:
        for side in (self.created, self.deleted):
            for folder in list(side):
                side[folder] = {node: one for node, one in side[folder].items() if is_kept(one)}
                if not side[folder]:
                    del side[folder]
        self.names = dict(Counter(one.name for some in self.deleted.values() for one in some.values()))
        self.halves = sum(1 for _ in self.every())


def _is_near(one: Half, other: Half) -> bool:
    """As long, or a little longer; of an archive with a password the name alone decides, in its folder alone."""
    lost, copy = (one, other) if one.group else (other, one)
    return not copy.sealed and 0 <= copy.size_bytes - lost.size_bytes <= LONGER_BYTES


def stem(name: str) -> str:
    """A name up to the first point that is not its first sign, in lower case."""
    return name[:1].lower() + name[1:].lower().partition(".")[0]


def hashed(text: str) -> str:
    """Of a name, which is kept nowhere."""
    return hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=8).hexdigest()
