"""Taking back what a device did, against a tree of plain dictionaries that devices change as they like."""

from __future__ import annotations

import copy
from collections.abc import Iterable
from dataclasses import dataclass, field

from beffroi.drive.guard.plan import restore
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
)
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

DEVICE, OTHER, ANOTHER = "device", "other", "another"


@dataclass
class Node:
    parent: str
    name: str
    version: str
    is_folder: bool = False
    is_there: bool = True


@dataclass
class Model:
    """A drive: nodes by id, and the journal of what devices did. Refuses what a store refuses."""

    nodes: dict[str, Node] = field(default_factory=dict)
    journal: list[Entry] = field(default_factory=list)

    def place(self, node: str) -> Place | None:
        found = self.nodes.get(node)
        return Place(found.parent, found.name) if found and found.is_there else None

    def child(self, parent: str, name: str) -> str | None:
        return next(
            (i for i, n in self.nodes.items() if n.is_there and (n.parent, n.name) == (parent, name)), None
        )

    def children(self, parent: str) -> list[str]:
        return [i for i, n in self.nodes.items() if n.is_there and n.parent == parent]

    def is_folder(self, node: str) -> bool:
        return node == ROOT or (self.nodes[node].is_there and self.nodes[node].is_folder)

    def is_inside(self, node: str, folder: str) -> bool:
        while node != ROOT:
            if node == folder:
                return True
            node = self.nodes[node].parent
        return folder == ROOT

    def path(self, node: str) -> str:
        found = self.nodes[node]
        return f"{self.path(found.parent)}/{found.name}" if found.parent else found.name

    def paths(self) -> dict[str, str]:
        return {self.path(i): n.version for i, n in self.nodes.items() if n.is_there}

    # -- what devices do; False where a store would refuse

    def create(
        self, device: str, node: str, parent: str, name: str, version: str, *, is_folder: bool = False
    ) -> bool:
        if not self.is_folder(parent) or self.child(parent, name) is not None:
            return False
        self.nodes[node] = Node(parent, name, version, is_folder)
        self.journal.append(
            Entry(device, node, "created", is_folder, parent=parent, name=name, version=version)
        )
        return True

    def change(self, device: str, node: str, version: str) -> bool:
        found = self.nodes[node]
        if not found.is_there or found.is_folder:
            return False
        self.journal.append(Entry(device, node, "changed", version_before=found.version, version=version))
        found.version = version
        return True

    def move(self, device: str, node: str, parent: str, name: str) -> bool:
        found = self.nodes[node]
        taken = self.child(parent, name) not in {None, node}
        if not found.is_there or not self.is_folder(parent) or taken or self.is_inside(parent, node):
            return False
        self.journal.append(
            Entry(
                device, node, "renamed", found.is_folder, found.parent, found.name, parent=parent, name=name
            )
        )
        found.parent, found.name = parent, name
        return True

    def delete(self, device: str, node: str) -> bool:
        found = self.nodes[node]
        if not found.is_there:
            return False
        for child in self.children(node):
            self.delete(device, child)
        self.journal.append(
            Entry(device, node, "deleted", found.is_folder, found.parent, found.name, found.version)
        )
        found.is_there = False
        return True

    # -- the steps of a plan, each of which has to be possible

    def apply(self, step: Step) -> None:
        match step:
            case Revert(node, version):
                assert self.nodes[node].is_there and not self.nodes[node].is_folder
                self.nodes[node].version = version
            case Remove(node):
                assert self.nodes[node].is_there and not self.children(node)
                self.nodes[node].is_there = False
            case Move(node, parent, name):
                assert (
                    self.nodes[node].is_there and self.is_folder(parent) and not self.is_inside(parent, node)
                )
                assert self.child(parent, name) in {None, node}
                self.nodes[node].parent, self.nodes[node].name = parent, name
            case Revive(node, parent, name, version):
                assert not self.nodes[node].is_there and self.is_folder(parent)
                assert self.child(parent, name) is None and not self.is_inside(parent, node)
                self.nodes[node] = Node(parent, name, version, self.nodes[node].is_folder)
            case Copy(node, version, parent, name):
                assert self.is_folder(parent) and self.child(parent, name) is None
                self.nodes[f"copy of {node}"] = Node(parent, name, version)

    def restored(self, devices: Iterable[str] = (DEVICE,)) -> Plan:
        found = restore(self.journal, frozenset(devices), self)
        for step in found.steps:
            self.apply(step)
        return found


def town_hall() -> Model:
    tree = Model()
    for node, parent, name, is_folder in (
        ("a", ROOT, "budget", True),
        ("b", ROOT, "voirie", True),
        ("c", "a", "2026", True),
        ("f1", "a", "annexe.xlsx", False),
        ("f2", "a", "note.docx", False),
        ("f3", "c", "plan.pdf", False),
        ("f4", "b", "route.dwg", False),
        ("f5", ROOT, "lisez-moi.txt", False),
    ):
        tree.nodes[node] = Node(parent, name, "" if is_folder else f"{node} v0", is_folder)
    return tree


def test_files_encrypted_in_place_get_their_versions_back() -> None:
    tree = town_hall()
    for number, node in enumerate(("f1", "f2", "f3", "f4")):
        assert tree.change(DEVICE, node, f"rubbish {number}")
    found = tree.restored()
    assert tree.paths() == town_hall().paths() and not found.conflicts
    assert found.preview == {"a": Counts(reverted=2), "c": Counts(reverted=1), "b": Counts(reverted=1)}


def test_copies_go_and_deleted_originals_come_back_with_their_folders() -> None:
    tree = town_hall()
    assert tree.create(DEVICE, "x1", "a", "annexe.xlsx.k9x2", "rubbish") and tree.delete(DEVICE, "a")
    assert tree.create(DEVICE, "x2", ROOT, "budget", "rubbish")
    found = tree.restored()
    assert tree.paths() == town_hall().paths() and not found.conflicts


def test_names_that_were_swapped_are_swapped_back() -> None:
    tree = town_hall()
    assert tree.move(DEVICE, "f1", "a", "t") and tree.move(DEVICE, "f2", "a", "annexe.xlsx")
    assert tree.move(DEVICE, "f1", "a", "note.docx")
    assert not tree.restored().conflicts and tree.paths() == town_hall().paths()


def test_folders_that_were_put_into_each_other_come_apart() -> None:
    tree = town_hall()
    assert tree.move(DEVICE, "c", ROOT, "2026") and tree.move(DEVICE, "a", "c", "budget")
    assert not tree.restored().conflicts and tree.paths() == town_hall().paths()


def test_what_another_device_wrote_since_stays_and_the_version_before_lies_beside_it() -> None:
    tree = town_hall()
    assert tree.change(DEVICE, "f2", "rubbish") and tree.change(OTHER, "f2", "written anew")
    found = tree.restored()
    assert tree.paths() == {
        **town_hall().paths(),
        "budget/note.docx": "written anew",
        "budget/note (avant).docx": "f2 v0",
    }
    assert [(one.node, one.kind) for one in found.conflicts] == [("f2", "changed since")]


def test_a_file_that_another_device_wrote_before_keeps_that_version() -> None:
    tree = town_hall()
    assert (
        tree.change(OTHER, "f2", "f2 v1")
        and tree.change(DEVICE, "f2", "rubbish")
        and tree.change(DEVICE, "f2", "more")
    )
    assert not tree.restored().conflicts and tree.paths()["budget/note.docx"] == "f2 v1"


def test_a_folder_of_the_device_stays_where_somebody_put_a_file_into_it() -> None:
    tree = town_hall()
    assert tree.create(DEVICE, "x", ROOT, "nouveau", "", is_folder=True) and tree.create(
        DEVICE, "y", "x", "rubbish", "rubbish"
    )
    assert tree.create(OTHER, "z", "x", "mine.txt", "mine")
    found = tree.restored()
    assert tree.paths() == {**town_hall().paths(), "nouveau": "", "nouveau/mine.txt": "mine"}
    assert [(one.node, one.kind) for one in found.conflicts] == [("x", "used since")]


def test_a_name_that_somebody_took_since_is_left_to_them() -> None:
    tree = town_hall()
    assert tree.delete(DEVICE, "f1") and tree.create(OTHER, "z", "a", "annexe.xlsx", "mine")
    found = tree.restored()
    assert tree.paths() == {
        **town_hall().paths(),
        "budget/annexe.xlsx": "mine",
        "budget/annexe (avant).xlsx": "f1 v0",
    }
    assert [one.kind for one in found.conflicts] == ["name taken"]


def test_a_file_whose_folder_somebody_deleted_comes_back_above_it() -> None:
    tree = town_hall()
    assert tree.delete(DEVICE, "f3") and tree.delete(OTHER, "c")
    found = tree.restored()
    assert tree.paths()["budget/plan.pdf"] == "f3 v0" and [one.kind for one in found.conflicts] == [
        "folder gone"
    ]


def test_a_file_that_somebody_deleted_after_the_device_spoiled_it_is_named() -> None:
    tree = town_hall()
    assert tree.change(DEVICE, "f4", "rubbish") and tree.delete(OTHER, "f4")
    found = tree.restored()
    assert "voirie/route.dwg" not in tree.paths()
    assert [(one.node, one.kind) for one in found.conflicts] == [("f4", "deleted since")]


def test_a_file_taken_out_of_the_trash_elsewhere_goes_back_to_its_place() -> None:
    tree = town_hall()
    assert tree.delete(DEVICE, "f4")
    assert tree.create(DEVICE, "f4", ROOT, "elsewhere.dwg", "rubbish")
    assert not tree.restored().conflicts and tree.paths() == town_hall().paths()


def test_several_devices_are_taken_back_in_one_plan() -> None:
    tree = town_hall()
    assert (
        tree.change(DEVICE, "f2", "rubbish")
        and tree.change(ANOTHER, "f2", "more rubbish")
        and tree.delete(ANOTHER, "f1")
    )
    assert not tree.restored((DEVICE, ANOTHER)).conflicts and tree.paths() == town_hall().paths()


def test_a_long_name_beside_another_stays_within_255_bytes() -> None:
    tree = town_hall()
    name = "é" * 125 + ".pdf"
    tree.nodes["long"] = Node("a", name, "long v0")
    assert tree.change(DEVICE, "long", "rubbish") and tree.change(OTHER, "long", "mine")
    tree.restored()
    assert max(len(node.name.encode()) for node in tree.nodes.values()) <= 255
    assert sorted(n.version for n in tree.nodes.values() if n.name.startswith("éé")) == ["long v0", "mine"]


def test_a_name_that_is_nearly_all_extension_stays_within_255_bytes_too() -> None:
    tree = town_hall()
    tree.nodes["long"] = Node("a", "a." + "é" * 125, "long v0")
    assert tree.change(DEVICE, "long", "rubbish") and tree.change(OTHER, "long", "mine")
    tree.restored()
    assert max(len(node.name.encode()) for node in tree.nodes.values()) <= 255
    assert sorted(n.version for n in tree.nodes.values() if n.name.startswith("a.é")) == ["long v0", "mine"]


# -- any tree, any changes -------------------------------------------------------------------------------

NAMES = ("n1", "n2", "n3", "n4")
Change = tuple[str, str, int, int, int]
changes = st.lists(
    st.tuples(
        st.sampled_from((DEVICE, DEVICE, OTHER)),
        st.sampled_from(("create", "folder", "change", "move", "delete", "delete")),
        st.integers(0, 30),
        st.integers(0, 30),
        st.integers(0, len(NAMES) - 1),
    ),
    max_size=25,
)


def grown(steps: list[Change]) -> Model:
    """A tree that grew by these changes, as if they were long ago."""
    tree = Model()
    for number, step in enumerate(steps):
        play(tree, step, f"old {number}")
    tree.journal.clear()
    for node in [node for node, found in tree.nodes.items() if not found.is_there]:
        del tree.nodes[node]
    return tree


def play(tree: Model, step: Change, new: str, prefix: str = "") -> bool:
    device, what, first, second, third = step
    name = prefix + NAMES[third]
    places = [ROOT, *(node for node in tree.nodes if tree.is_folder(node))]
    living = [node for node, found in tree.nodes.items() if found.is_there]
    parent = places[second % len(places)]
    if what in {"create", "folder"}:
        return tree.create(
            device, new, parent, name, "" if what == "folder" else f"{new} v", is_folder=what == "folder"
        )
    if not living:
        return False
    node = living[first % len(living)]
    if what == "change":
        return tree.change(device, node, f"{new} v")
    if what == "move":
        return tree.move(device, node, parent, name)
    return tree.delete(device, node)


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(changes, changes)
def test_what_one_device_alone_did_is_undone_to_the_byte(past: list[Change], since: list[Change]) -> None:
    tree = grown(past)
    before = copy.deepcopy(tree)
    for number, step in enumerate(since):
        play(tree, (DEVICE, *step[1:]), f"new {number}")
    found = tree.restored()
    assert tree.paths() == before.paths()
    assert {node: tree.place(node) for node in before.nodes} == {
        node: before.place(node) for node in before.nodes
    }
    assert not found.conflicts


@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(changes, changes)
def test_what_others_did_elsewhere_stays_as_if_the_device_had_done_nothing(
    past: list[Change], since: list[Change]
) -> None:
    """Others work with names of their own, on nodes that the device did not touch and the reverse; what they did is
    then played alone on the tree from before."""
    tree = grown(past)
    before = copy.deepcopy(tree)
    touched: dict[str, set[str]] = {DEVICE: set(), OTHER: set()}
    for number, step in enumerate(since):
        trial, count = copy.deepcopy(tree), len(tree.journal)
        if not play(trial, step, f"new {number}", "" if step[0] == DEVICE else "o"):
            continue
        entries = trial.journal[count:]
        used = (
            {one.node for one in entries}
            | {one.parent for one in entries}
            | {one.parent_before for one in entries}
        )
        used.discard(ROOT)
        if used & touched[OTHER if step[0] == DEVICE else DEVICE]:
            continue
        touched[step[0]] |= used
        tree = trial
    alone = copy.deepcopy(before)
    for entry in tree.journal:
        if entry.device == OTHER:
            _again(alone, entry)
    assert not tree.restored().conflicts
    assert tree.paths() == alone.paths()


def _again(tree: Model, entry: Entry) -> None:
    match entry.what:
        case "created":
            assert tree.create(
                OTHER, entry.node, entry.parent, entry.name, entry.version, is_folder=entry.is_folder
            )
        case "changed":
            assert tree.change(OTHER, entry.node, entry.version)
        case "renamed":
            assert tree.move(OTHER, entry.node, entry.parent, entry.name)
        case "deleted":
            assert tree.delete(OTHER, entry.node)


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(changes, changes)
def test_nothing_from_before_and_nothing_of_others_is_lost(past: list[Change], since: list[Change]) -> None:
    """Both work on the same things: each step is possible, and each content is still there."""
    tree = grown(past)
    before = copy.deepcopy(tree)
    for number, step in enumerate(since):
        play(tree, step, f"new {number}")
    at_alarm = copy.deepcopy(tree)
    journal = list(tree.journal)
    deleted = {one.node for one in journal if one.what == "deleted" and one.device == OTHER}
    spoiled = {one.version for one in journal if one.device == DEVICE and one.version}
    theirs = {one.version for one in journal if one.device == OTHER and one.version}
    overwritten = {one.version_before for one in journal if one.device == OTHER and one.what == "changed"}
    found = tree.restored()
    kept = {node.version for node in tree.nodes.values() if node.is_there}
    for node, was in before.nodes.items():
        if not was.is_folder and node not in deleted and was.version not in overwritten:
            assert was.version in kept
    for now in at_alarm.nodes.values():
        if now.is_there and now.version in theirs:
            assert now.version in kept
    for node, now in tree.nodes.items():
        if now.is_there and now.version in spoiled:
            assert any(one.node == node and one.kind == "used since" for one in found.conflicts)
    untouched = {
        node
        for node in at_alarm.nodes
        if not any(one.node == node and one.device == DEVICE for one in journal)
    }
    moved_aside = {step.node for step in found.steps if isinstance(step, Move)}
    assert not moved_aside & untouched
    for node in untouched:
        assert tree.nodes[node].version == at_alarm.nodes[node].version
        assert tree.place(node) == at_alarm.place(node)
    # What nobody else touched, and of which no conflict speaks, is as it was.
    others = {one.node for one in journal if one.device == OTHER}
    spoken = {one.node for one in found.conflicts}
    for node, was in before.nodes.items():
        if node not in others | spoken:
            assert tree.place(node) == Place(was.parent, was.name) and tree.nodes[node].version == was.version


def test_a_tree_of_a_thousand_folders_in_each_other_comes_back() -> None:
    tree, parent = Model(), ROOT
    for number in range(1000):
        tree.nodes[f"d{number}"] = Node(parent, "d", "", is_folder=True)
        parent = f"d{number}"
    for number in range(999, -1, -1):
        assert tree.delete(DEVICE, f"d{number}")
    assert not tree.restored().conflicts
    assert all(node.is_there for node in tree.nodes.values())
