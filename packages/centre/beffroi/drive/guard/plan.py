"""What takes back everything that some devices did since a moment, and nothing of what others did. Pure.

Purpose: after an alarm (or a person's word), ``restore`` turns the journal since then into steps and a preview.
         Nothing is applied here, nothing is destroyed by the steps: what is removed goes to the trash, what is
         replaced stays a version.
Hostile: the journal is the centre's own; names in it come from devices, and are treated as names alone.
Rule:    each node has three things: that it exists, its place, its content. Of each, the changes of the devices at
         the end of its history are undone. Where somebody else changed the same thing later, theirs stays, and the
         content from before is put beside it as a copy. What a device created goes, unless somebody else worked on
         it or put something into it. Who deletes a folder says nothing about what a device had moved into it.

Wiring:  ``drive.recovery``, with the devices suspended. Steps are valid one by one, in their order: a parent is there
         before its children, a name is free when it is taken. Between preview and press the tree moves on: it is
         asked again in the transaction that applies.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator
from functools import cache
from itertools import count, pairwise

import msgspec

from beffroi.drive.guard.steps import (
    ROOT,
    Copy,
    Counts,
    Entry,
    Move,
    Place,
    Plan,
    Remove,
    Revert,
    Revive,
    Step,
    Tree,
)
from beffroi.drive.store.names import folded

NAME_BYTES = 255


class _Wish(msgspec.Struct):
    """What is to become of one node. ``place``, ``version``: None where they stay."""

    node: str
    exists: bool
    is_folder: bool
    place: Place | None = None
    version: str | None = None
    copy_of: str | None = None


def restore(
    journal: Iterable[Entry], devices: Collection[str], tree: Tree, stopped: Collection[str] = ()
) -> Plan:
    """Return what takes back the changes of ``devices``. ``stopped``: others under an alarm; in what ``devices``
    touched they are nobody whose work is to stay.

    ``journal``: the entries of all devices since the moment, oldest first; those of nodes that ``devices`` did not
    touch are needed only for folders that somebody deleted. A copy, or a node whose name
    is taken, is called "budget (avant).xlsx".
    What cannot be done is left as it is.
    """
    together = {*devices, *stopped}
    histories: dict[str, list[Entry]] = {}
    for entry in journal:
        histories.setdefault(entry.node, []).append(entry)
    wishes = {
        node: _wish(history, together)
        for node, history in histories.items()
        if any(entry.device in devices for entry in history)
    }
    place = cache(tree.place)
    wishes |= _went_along(histories, together, place, wishes)
    gone = {
        node: _states(history)[-1].place
        for node, history in histories.items()
        if history[-1].what == "deleted" and place(node) is None
    }
    return _Planner(_Overlay(tree), wishes, gone).plan()


class _State(msgspec.Struct, frozen=True):
    """What a node is before or after an entry; ``place`` and ``version`` outlive a deletion."""

    exists: bool
    place: Place | None
    version: str


def _states(history: list[Entry]) -> list[_State]:
    """The state before each entry, and after the last: one more than entries."""
    first = history[0]
    # What the first entry found: it says one of the two perhaps, and the next that says the other holds.
    version = next((one.version_before for one in history if one.what in {"changed", "deleted"}), "")
    placed = next((one for one in history if one.what in {"renamed", "deleted"}), None)
    place = Place(placed.parent_before, placed.name_before) if placed else None
    in_trash = _State(False, None, first.version_before)
    states = [in_trash if first.what == "created" else _State(True, place, version)]
    for entry in history:
        before = states[-1]
        after = {
            "created": _State(True, Place(entry.parent, entry.name), entry.version),
            "changed": _State(True, before.place, entry.version),
            "renamed": _State(True, Place(entry.parent, entry.name), before.version),
            "deleted": _State(False, Place(entry.parent_before, entry.name_before), entry.version_before),
        }
        states.append(after[entry.what])
    return states


def _went_along(
    histories: dict[str, list[Entry]],
    devices: Collection[str],
    place_of: Callable[[str], Place | None],
    wishes: dict[str, _Wish],
) -> dict[str, _Wish]:
    """What somebody deleted with a folder into which the devices had moved it, or a folder above it: as if it had not
    been."""
    without = {
        node: _wish(history, devices, went_along=True)
        for node, history in histories.items()
        if history[-1].with_folder and history[-1].device not in devices and place_of(node) is None
    }

    def comes_back(node: str) -> bool:
        seen = set[str]()
        while node in without and node not in seen:
            seen.add(node)
            place = without[node].place or _states(histories[node])[-1].place
            assert place is not None
            node = place.parent
            if node == ROOT or place_of(node) is not None or (node in wishes and wishes[node].exists):
                return True
        return False

    return {node: wish for node, wish in without.items() if comes_back(node)}


def _wish(history: list[Entry], devices: Collection[str], *, went_along: bool = False) -> _Wish:
    """``went_along``: as if its last entry, a deletion, had not been."""
    states, last = _states(history), history[-1]
    is_gone = not states[-1].exists
    if went_along:
        history, states = history[:-1], states[:-1]

    def ours_at_the_end(numbers: list[int]) -> int | None:
        """The first of the devices' run at the end of these entries; None without one."""
        found = None
        for number in reversed(numbers):
            if history[number].device not in devices:
                break
            found = number
        return found

    existence = ours_at_the_end([n for n, one in enumerate(history) if one.what in {"created", "deleted"}])
    exists = states[existence].exists if existence is not None else states[-1].exists
    wish = _Wish(last.node, exists, last.is_folder)
    if existence is not None and not exists:
        # Others worked on what a device created: as they left it, also where the devices spoiled or deleted it then.
        wish.exists = any(one.device not in devices for one in history[existence:])
    # Who takes one back from the trash as it is changes neither its place nor its content.
    steps = list(enumerate(pairwise(states)))
    if (run := ours_at_the_end([n for n, (one, after) in steps if one.place != after.place])) is not None:
        wish.place = states[run].place
    if not wish.exists and existence is not None:
        return wish
    if is_gone and wish.place is None:
        wish.place = states[-1].place
    contents = [n for n, (one, after) in steps if one.version != after.version]
    run = ours_at_the_end(contents)
    if run is not None:
        wish.version = states[run].version or None
    # Somebody wrote over what a device had spoiled: what was there before that is nobody's wish to lose.
    ours = next((n for n in contents if history[n].device in devices), None)
    if ours is not None and ours != run and states[ours].version:
        wish.copy_of = states[ours].version
    if is_gone and wish.version is None:
        wish.version = states[-1].version
    return wish


class _Overlay:
    """The tree with the steps so far."""

    def __init__(self, tree: Tree) -> None:
        self._tree = tree
        self._places: dict[str, Place | None] = {}
        self._names: dict[tuple[str, str], str | None] = {}
        self._inside: dict[str, set[str]] = {}

    def place(self, node: str) -> Place | None:
        return self._places[node] if node in self._places else self._tree.place(node)

    def is_there(self, node: str) -> bool:
        return node == ROOT or self.place(node) is not None

    def child(self, place: Place) -> str | None:
        key = place.parent, folded(place.name)
        if key in self._names:
            return self._names[key]
        found = self._tree.child(place.parent, place.name)
        return found if found not in self._places else None

    def children(self, parent: str) -> set[str]:
        if parent not in self._inside:
            self._inside[parent] = {
                node
                for node in self._tree.children(parent)
                if node not in self._places or self._places[node] == self._tree.place(node)
            } | {node for node, place in self._places.items() if place is not None and place.parent == parent}
        return self._inside[parent]

    def put(self, node: str, place: Place | None) -> None:
        before = self.place(node)
        if before is not None:
            self.children(before.parent).discard(node)
            self._names[before.parent, folded(before.name)] = None
        if place is not None:
            self.children(place.parent).add(node)
            self._names[place.parent, folded(place.name)] = node
        self._places[node] = place

    def ancestors(self, node: str) -> Iterator[str]:
        """The node and every folder above it, but the root."""
        while node != ROOT:
            yield node
            place = self.place(node)
            if place is None:
                return
            node = place.parent


class _Planner:
    def __init__(self, tree: _Overlay, wishes: dict[str, _Wish], gone: dict[str, Place | None]) -> None:
        self.tree, self.wishes, self.gone = tree, wishes, gone
        self.steps: list[Step] = []
        self.preview: dict[str, Counts] = {}
        self.revived: set[str] = set()
        self.waiting = {node for node, wish in wishes.items() if self._has_to_move(wish)}
        self.leaving = {
            node for node, wish in wishes.items() if not wish.exists and tree.place(node) is not None
        }

    def plan(self) -> Plan:
        for node in sorted(self.leaving):
            if not self.wishes[node].is_folder:
                self._remove(node)
        for node in sorted(self.waiting):
            if node in self.waiting:
                self._bring(node)
        self._remove_folders()
        for node, wish in self.wishes.items():
            self._content(node, wish)
        kept = frozenset(node for node, wish in self.wishes.items() if wish.exists)
        return Plan(tuple(self.steps), self.preview, kept)

    def _has_to_move(self, wish: _Wish) -> bool:
        now = self.tree.place(wish.node)
        if not wish.exists:
            return False
        return now is None or (wish.place is not None and wish.place != now)

    def _bring(self, node: str) -> None:
        """To its place; first the folders that have to be brought, the outermost first."""
        path = [node]
        while path:
            folder = self._folder(path[-1])
            if folder in self.waiting and folder not in path:
                path.append(folder)
            else:
                self._bring_one(path.pop())

    def _folder(self, node: str) -> str:
        """The folder of its place, or the nearest one above it that is there or will be."""
        place = self.wishes[node].place
        assert place is not None
        parent, seen = place.parent, set[str]()
        while parent not in self.waiting and not self.tree.is_there(parent):
            seen.add(parent)
            above = self.gone.get(parent)
            parent = above.parent if above is not None and above.parent not in seen else ROOT
        return parent

    def _bring_one(self, node: str) -> None:
        if node not in self.waiting:
            return
        self.waiting.discard(node)
        wish, now = self.wishes[node], self.tree.place(node)
        assert wish.place is not None
        parent = self._folder(node)
        if not self.tree.is_there(parent) or node in self.tree.ancestors(parent):
            if now is not None:
                return
            parent = ROOT
        if now == Place(parent, wish.place.name):
            return
        target = self._freed(node, Place(parent, wish.place.name))
        if now is None:
            self.steps.append(Revive(node, target.parent, target.name, wish.version or ""))
            self.revived.add(node)
            self._counts(target.parent).revived += 1
        else:
            self.steps.append(Move(node, target.parent, target.name))
            self._counts(target.parent).moved += 1
        self.tree.put(node, target)

    def _freed(self, node: str, target: Place) -> Place:
        """The place, after what leaves it anyway made room; or a name beside it."""
        other = self.tree.child(target)
        if other is None or other == node:
            return target
        if other in self.waiting or other in self.leaving or self._comes_and_goes(other):
            aside = self._free_name(target)
            self.steps.append(Move(other, aside.parent, aside.name))
            self.tree.put(other, aside)
            return target
        return self._free_name(target)

    def _comes_and_goes(self, node: str) -> bool:
        """The devices made it in a folder that they deleted: it comes back with that, and goes again."""
        wish = self.wishes.get(node)
        return wish is not None and not wish.exists and self.tree.place(node) is None

    def _free_name(self, place: Place) -> Place:
        return next(
            found
            for number in count(1)
            if self.tree.child(found := Place(place.parent, beside(place.name, number))) is None
        )

    def _remove(self, node: str) -> None:
        place = self.tree.place(node)
        assert place is not None
        self.leaving.discard(node)
        self.steps.append(Remove(node))
        self._counts(place.parent).removed += 1
        self.tree.put(node, None)

    def _remove_folders(self) -> None:
        """The innermost first; one that holds something else stays."""
        depth = Counter({node: sum(1 for _ in self.tree.ancestors(node)) for node in self.leaving})
        for node in sorted(self.leaving, key=lambda one: (-depth[one], one)):
            if self.tree.children(node):
                self.leaving.discard(node)
            else:
                self._remove(node)

    def _content(self, node: str, wish: _Wish) -> None:
        place = self.tree.place(node)
        if wish.is_folder or place is None:
            return
        if wish.version is not None and wish.exists and node not in self.revived:
            self.steps.append(Revert(node, wish.version))
            self._counts(place.parent).reverted += 1
        if wish.copy_of is not None and wish.copy_of != wish.version:
            beside = self._free_name(place)
            self.steps.append(Copy(node, wish.copy_of, beside.parent, beside.name))
            self.tree.put(f"{node} copy", beside)
            self._counts(place.parent).copied += 1

    def _counts(self, folder: str) -> Counts:
        return self.preview.setdefault(folder, Counts())


def beside(name: str, number: int = 1) -> str:
    """How what was there before is called beside a name: "budget (avant).xlsx", of at most NAME_BYTES."""
    stem, point, extension = name.rpartition(".")
    if not stem or len(extension.encode("utf-8", "surrogatepass")) > NAME_BYTES // 2:
        stem, point, extension = name, "", ""  # what is so long is none, and would leave no room
    words = "avant" if number == 1 else f"avant {number}"
    end = f" ({words}){point}{extension}".encode("utf-8", "surrogatepass")
    short = stem.encode("utf-8", "surrogatepass")[: max(0, NAME_BYTES - len(end))]
    return short.decode("utf-8", "ignore") + end.decode("utf-8", "ignore")
