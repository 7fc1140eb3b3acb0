"""A tree of files as the drive's metadata hold one, in memory, with a journal: what plans of the guard work on."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from beffroi.drive.guard.plan import restore
from beffroi.drive.guard.steps import (
    ROOT,
    Copy,
    Entry,
    Move,
    Place,
    Plan,
    Remove,
    Revert,
    Revive,
    Step,
)

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

    def delete(self, device: str, node: str, *, with_folder: bool = False) -> bool:
        found = self.nodes[node]
        if not found.is_there:
            return False
        for child in self.children(node):
            self.delete(device, child, with_folder=True)
        self.journal.append(
            Entry(
                device,
                node,
                "deleted",
                found.is_folder,
                found.parent,
                found.name,
                found.version,
                with_folder=with_folder,
            )
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
