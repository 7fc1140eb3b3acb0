"""A plain model of a drive's tree: dictionaries, no database. What the real one must say is computed here."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from beffroi.drive.store import names
from beffroi.drive.store.model import IntoItself, KindDiffers, NameTaken

type Refusal = type[IntoItself | KindDiffers | NameTaken] | None


@dataclass
class Item:
    """A file (``data``) or folder (None). ``writing``: which writing of content this is, never the same twice.
    ``state``: a number for each change of the item itself. ``versions``: etag to (writing, data)."""

    parent: int
    name: str
    data: bytes | None
    writing: int
    state: int
    versions: dict[int, tuple[int, bytes]] = field(default_factory=dict)


@dataclass(frozen=True)
class Binned:
    parent: int
    name: str
    root: int
    path: tuple[str, ...]


class Tree:
    def __init__(self, roots: dict[int, str], bin_: int) -> None:
        self.items = {key: Item(0, name, None, 0, 0) for key, name in roots.items()}
        self.bin = bin_
        self.trash: dict[int, Binned] = {}
        self.steps = 0

    def step(self) -> int:
        self.steps += 1
        return self.steps

    def children(self, folder: int) -> dict[str, int]:
        return {one.name: key for key, one in self.items.items() if one.parent == folder and key != folder}

    def above(self, key: int) -> list[int]:
        out = []
        while key:
            out.append(key)
            key = self.items[key].parent
        return out

    def root(self, key: int) -> int:
        return self.above(key)[-1]

    def path(self, key: int) -> tuple[str, ...]:
        return tuple(self.items[one].name for one in reversed(self.above(key)[:-1]))

    def below(self, folder: int) -> Iterator[int]:
        for key in self.children(folder).values():
            yield key
            yield from self.below(key)

    def live(self, *, folders: bool | None = None) -> list[int]:
        """What is not in the trash, roots left out unless folders are asked for."""
        return sorted(
            key
            for key, one in self.items.items()
            if self.root(key) != self.bin
            and (folders is None or (one.data is None) == folders)
            and (one.parent or folders)
        )

    def sizes(self) -> dict[int, int]:
        out = {key: len(one.data or b"") for key, one in self.items.items()}
        for key, one in self.items.items():
            for folder in self.above(key)[1:]:
                out[folder] += len(one.data or b"")
        return out

    def states(self) -> dict[int, frozenset[tuple[int, int]]]:
        """Of each folder what is below it: differs exactly when something there changed."""
        return {
            key: frozenset((under, self.items[under].state) for under in self.below(key))
            for key, one in self.items.items()
            if one.data is None
        }

    def taken(self, folder: int, name: str) -> int | None:
        folded = names.folded(name)
        return next((key for one, key in self.children(folder).items() if names.folded(one) == folded), None)

    # -- what may be done; each returns why not, and changes nothing then ----------------------------------------

    def may_put(self, folder: int, name: str) -> Refusal:
        there = self.taken(folder, name)
        if there is None:
            return None
        if self.items[there].name != name:
            return NameTaken
        return KindDiffers if self.items[there].data is None else None

    def may_place(self, key: int, folder: int, name: str, *, overwrite: bool, copied: bool) -> Refusal:
        if key in self.above(folder):
            return IntoItself
        there = self.taken(folder, name)
        if there is None or (there == key and not copied):
            return None
        if there == key or not overwrite or self.items[there].name != name:
            return NameTaken
        return None

    # -- what happens -------------------------------------------------------------------------------------------

    def add(self, key: int, folder: int, name: str, data: bytes | None) -> None:
        self.items[key] = Item(folder, name, data, self.step(), self.step())

    def write(self, key: int, data: bytes, *, etag_before: int) -> None:
        one = self.items[key]
        assert one.data is not None
        one.versions[etag_before] = (one.writing, one.data)
        one.data, one.writing, one.state = data, self.step(), self.step()

    def clear(self, folder: int, name: str, *, besides: int = 0) -> None:
        there = self.taken(folder, name)
        if there is not None and there != besides:
            self.discard(there)

    def place(self, key: int, folder: int, name: str) -> None:
        one = self.items[key]
        one.parent, one.name, one.state = folder, name, self.step()
        self.trash.pop(key, None)

    def discard(self, key: int) -> None:
        one = self.items[key]
        binned = Binned(one.parent, one.name, self.root(key), self.path(key))
        self.place(key, self.bin, str(key))
        self.trash[key] = binned

    def free(self, folder: int, name: str) -> str:
        candidate, number = name, 1
        while self.taken(folder, candidate) is not None:
            number += 1
            candidate = names.numbered(name, number)
        return candidate

    def destroy(self, key: int) -> None:
        for one in [*self.below(key), key]:
            del self.items[one]
        del self.trash[key]
