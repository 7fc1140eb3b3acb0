"""Taking back what devices did: any tree, any changes, and a deep one."""

from __future__ import annotations

import copy

from beffroi.drive.guard.steps import (
    ROOT,
    Entry,
    Move,
)
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from tests.drive_guard_tree import DEVICE, OTHER, Model, Node

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
    tree.restored()
    assert tree.paths() == before.paths()
    assert {node: tree.place(node) for node in before.nodes} == {
        node: before.place(node) for node in before.nodes
    }


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
    tree.restored()
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
@example([], [(DEVICE, "create", 0, 0, 0), (OTHER, "move", 0, 0, 0), (DEVICE, "delete", 0, 0, 0)])
@example(
    [(OTHER, "folder", 0, 0, 0)],
    [
        (DEVICE, "folder", 0, 0, 1),
        (DEVICE, "move", 0, 2, 0),
        (OTHER, "create", 0, 1, 0),
        (OTHER, "delete", 1, 0, 0),
    ],
)
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
    others = {one.node for one in journal if one.device == OTHER}
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
            assert node in others, "what the device made stays as somebody else left it who worked on it"
    untouched = {
        node
        for node in at_alarm.nodes
        if not any(one.node == node and one.device == DEVICE for one in journal)
    }
    moved_aside = {step.node for step in found.steps if isinstance(step, Move)}
    assert not moved_aside & untouched
    # The device's folder was deleted, with a folder in it that the device had taken there: that one comes back, and
    # what somebody else had put into it.
    along = {one.node for one in journal if one.what == "deleted" and one.with_folder}
    for node in untouched:
        assert tree.nodes[node].version == at_alarm.nodes[node].version
        here = at_alarm.place(node)
        assert tree.place(node) == here or (here is None and node in along)


def test_a_tree_of_a_thousand_folders_in_each_other_comes_back() -> None:
    tree, parent = Model(), ROOT
    for number in range(1000):
        tree.nodes[f"d{number}"] = Node(parent, "d", "", is_folder=True)
        parent = f"d{number}"
    for number in range(999, -1, -1):
        assert tree.delete(DEVICE, f"d{number}")
    tree.restored()
    assert all(node.is_there for node in tree.nodes.values())
