"""The drive's tree, its trash, its versions and its past against a plain model, in any order of changes."""

from __future__ import annotations

import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

import hypothesis
import pytest
from beffroi.drive.store import look, moments, refs, room, schema, trash, tree, versions
from beffroi.drive.store.model import Act, NameTaken, Node, Weight
from beffroi.drive.store.sqlite import SqliteDatabase
from beffroi.drive.store.writing import Reading
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from tests import drive_trees
from tests.drive_tree_model import Binned, Item, Refusal, Tree
from tests.drive_trees import NOW_S, chunk_ids, content, require_whole

NAMES = st.sampled_from(["a", "b", "A", "é.txt"])
DATA = st.binary(max_size=3)
PICK = st.integers(0, 1000)
DEVICES = st.sampled_from(["app_1", "app_2"])


class Was(NamedTuple):
    node: int
    data: bytes | None
    writing: int


class TreeMachine(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.place = tempfile.TemporaryDirectory(prefix="bftree-")
        self.pool = ThreadPoolExecutor(2)
        self.drive = SqliteDatabase(Path(self.place.name) / "metadata.db", self.pool)
        self.now_s = NOW_S

    def teardown(self) -> None:
        self.drive.close()
        self.pool.shutdown()
        self.place.cleanup()

    @initialize()
    def roots(self) -> None:
        def root(name: str) -> int:
            return self.drive.write(lambda w: tree.make_root(w, name, now_s=NOW_S)).id

        self.home, self.common, bin_ = root(schema.HOME + "per_me"), root(schema.COMMON), root(schema.TRASH)
        gone = root(schema.GONE)
        self.model = Tree({self.home: "home", self.common: "common", bin_: "trash"}, bin_)
        self.gone = gone
        self.etags, self.states = self._etags(), self.model.states()
        self.past: list[tuple[int, dict[int, dict[tuple[str, ...], Was]]]] = []
        self._remember()

    # -- changes ------------------------------------------------------------------------------------------------

    @rule(where=PICK, name=NAMES, data=DATA, device=DEVICES)
    def put(self, where: int, name: str, data: bytes, device: str) -> None:
        folder = self._folder(where)
        there = self.model.taken(folder, name)
        made = self._do(
            self.model.may_put(folder, name),
            lambda w: tree.put(w, self._act(device), folder, name, content(data))[0],
        )
        if made is None:
            return
        if there is None:
            self.model.add(made.id, folder, name, data)
        else:
            self.model.write(there, data, etag_before=self.etags[there])

    @rule(where=PICK, name=NAMES)
    def make_folder(self, where: int, name: str) -> None:
        folder = self._folder(where)
        refused = None if self.model.taken(folder, name) is None else NameTaken
        made = self._do(refused, lambda w: tree.make_folder(w, self._act(), folder, name))
        if made is not None:
            self.model.add(made.id, folder, name, None)

    @precondition(lambda self: self.model.live())
    @rule(which=PICK, where=PICK, name=NAMES, overwrite=st.booleans(), device=DEVICES)
    def move(self, which: int, where: int, name: str, overwrite: bool, device: str) -> None:
        key, folder = self._pick(self.model.live(), which), self._folder(where)
        same = (self.model.items[key].parent, self.model.items[key].name) == (folder, name)
        refused = None if same else self.model.may_place(key, folder, name, overwrite=overwrite, copied=False)
        moved = self._do(
            refused, lambda w: tree.move(w, self._act(device), key, folder, name, overwrite=overwrite)[0]
        )
        if moved is not None and not same:
            self.model.clear(folder, name, besides=key)
            self.model.place(key, folder, name)

    @precondition(lambda self: self.model.live())
    @rule(which=PICK, where=PICK, name=NAMES, overwrite=st.booleans())
    def copy(self, which: int, where: int, name: str, overwrite: bool) -> None:
        key, folder = self._pick(self.model.live(), which), self._folder(where)
        refused = self.model.may_place(key, folder, name, overwrite=overwrite, copied=True)
        originals = {self.model.path(one): self.model.items[one].data for one in self.model.below(key)}
        depth, data = len(self.model.path(key)), self.model.items[key].data
        made = self._do(
            refused, lambda w: tree.copy(w, self._act(), key, folder, name, overwrite=overwrite)[0]
        )
        if made is None:
            return
        self.model.clear(folder, name)
        self.model.add(made.id, folder, name, data)
        with self.drive.reading() as reading:
            for path in sorted(originals, key=len):
                found = look.walk(reading, made.id, path[depth:])
                assert found is not None
                self.model.add(found.id, found.parent, path[-1], originals[path])

    @precondition(lambda self: self.model.live())
    @rule(which=PICK, device=DEVICES)
    def delete(self, which: int, device: str) -> None:
        key = self._pick(self.model.live(), which)
        self._do(None, lambda w: tree.delete(w, self._act(device), key))
        self.model.discard(key)

    @precondition(lambda self: self.model.trash)
    @rule(which=PICK)
    def bring_back(self, which: int) -> None:
        key = self._pick(sorted(self.model.trash), which)
        item = self.model.trash[key]
        back = self._do(None, lambda w: trash.restore(w, self._act(), item.root, key))
        assert back is not None
        parent = self.model.items.get(item.parent)
        folder = item.parent
        if parent is None or self.model.root(folder) != item.root:
            folder = item.root
            for name in item.path[:-1]:
                there = self.model.children(folder).get(name)
                if there is None or self.model.items[there].data is not None:
                    free = self.model.free(folder, name)
                    with self.drive.reading() as reading:
                        found = look.child(reading, folder, free)
                    assert found is not None
                    there = found.id
                    self.model.add(there, folder, free, None)
                folder = there
        self.model.place(key, folder, self.model.free(folder, item.name))
        assert (back.parent, back.name) == (folder, self.model.items[key].name)

    @precondition(lambda self: self.model.trash)
    @rule(which=PICK)
    def delete_for_good(self, which: int) -> None:
        key = self._pick(sorted(self.model.trash), which)
        root = self.model.trash[key].root
        self.drive.write(lambda w: trash.forget(w, self._act(), root, key))
        trash.destroy_all(self.drive, self._act())
        self.model.destroy(key)

    @precondition(lambda self: self._versioned())
    @rule(which=PICK, version=PICK, kept=st.booleans())
    def use_version(self, which: int, version: int, kept: bool) -> None:
        key = self._pick(self._versioned(), which)
        one = self.model.items[key]
        etag = self._pick(sorted(one.versions), version)
        if kept:
            data = one.versions[etag][1]
            self._do(None, lambda w: versions.restore(w, self._act(), key, etag))
            self.model.write(key, data, etag_before=self.etags[key])
        else:
            self._do(None, lambda w: versions.delete(w, self._act(), key, etag))
            del one.versions[etag]

    @rule(when=PICK, root=st.booleans())
    def look_back(self, when: int, root: bool) -> None:
        at_s, trees = self._pick(self.past, when)
        top = self.home if root else self.common
        with self.drive.reading() as reading:
            assert self._view(moments.Moment(reading, at_s), top) == {
                path: (was.node, None if was.data is None else len(was.data), self._is_kept(was))
                for path, was in trees[top].items()
            }

    @rule(when=PICK)
    def go_back(self, when: int) -> None:
        at_s, trees = self._pick(self.past, when)
        was = trees[self.home]
        here = {key: self.model.items[key].data for key in self.model.below(self.home)}
        gone = {path: one.node for path, one in was.items() if not self._is_kept(one)}
        stayed = {path: here[key] for path, key in gone.items() if key in here}
        others = {
            key: (one.parent, one.name, one.data)
            for key, one in self.model.items.items()
            if self.model.root(key) == self.common
        }
        with self.drive.reading() as reading:
            plan = drive_trees.way_to(reading, self.home, at_s)
        assert (plan.stayed, plan.lost) == (len(stayed), len(gone) - len(stayed))
        self.now_s += 1
        drive_trees.go_back(self.drive, plan, self.now_s)
        self._look_again()
        expected = {path: one.data for path, one in was.items() if path not in gone} | stayed
        now = {self.model.path(one): self.model.items[one].data for one in self.model.below(self.home)}
        assert now == expected
        assert others == {
            key: (one.parent, one.name, one.data)
            for key, one in self.model.items.items()
            if self.model.root(key) == self.common
        }
        self.etags, self.states = self._etags(), self.model.states()

    # -- what must be true after each ---------------------------------------------------------------------------

    @invariant()
    def all_agrees(self) -> None:
        with self.drive.reading() as reading:
            require_whole(reading)
            nodes = self._nodes(reading)
            real = {key: (one.parent, one.name, one.size_bytes) for key, one in nodes.items() if one.parent}
            stored = {key: self._data(reading, one) for key, one in nodes.items()}
            rooms = {key: room.use(reading, key).weight for key in (self.home, self.common, self.model.bin)}
        sizes = self.model.sizes()
        assert rooms == {key: self._weight(key, sizes[key]) for key in rooms}
        assert real == {
            key: (one.parent, one.name, sizes[key]) for key, one in self.model.items.items() if one.parent
        }
        assert stored == {key: one.data for key, one in self.model.items.items()}
        etags, states = self._etags(), self.model.states()
        for key in states.keys() & self.states.keys():
            own = self.model.items[key].parent and etags[key] != self.etags[key]
            changed = states[key] != self.states[key]
            assert not changed or etags[key] > self.etags[key], "what is above a change is told"
            assert changed or own or etags[key] == self.etags[key], "and nothing else"
        self.etags, self.states = etags, states
        self._remember()

    # -- inside -------------------------------------------------------------------------------------------------

    def _act(self, device: str = "app_1") -> Act:
        return Act("per_me", device, self.now_s)

    def _do(self, refused: Refusal, change):  # type: ignore[no-untyped-def]
        self.now_s += 1
        if refused is None:
            return self.drive.write(change)
        with pytest.raises(refused):
            self.drive.write(change)
        return None

    def _folder(self, which: int) -> int:
        return self._pick(self.model.live(folders=True), which)

    @staticmethod
    def _pick[T](among: list[T], which: int) -> T:
        return among[which % len(among)]

    def _versioned(self) -> list[int]:
        return [key for key in self.model.live(folders=False) if self.model.items[key].versions]

    def _weight(self, root: int, size_bytes: int) -> Weight:
        below = [self.model.items[key] for key in self.model.below(root)]
        kept = [data for one in below for _, data in one.versions.values()]
        return Weight(size_bytes, len(below) + len(kept), sum(map(len, kept)))

    def _nodes(self, reading: Reading) -> dict[int, Node]:
        found = [Node(*row) for row in reading.all(look.NODES)]
        return {one.id: one for one in found if one.id != self.gone}

    def _etags(self) -> dict[int, int]:
        with self.drive.reading() as reading:
            return {key: one.etag for key, one in self._nodes(reading).items()}

    @staticmethod
    def _data(reading: Reading, one: Node) -> bytes | None:
        if one.is_folder:
            return None
        chunks = (refs.sealed(reading, chunk_id) for chunk_id in chunk_ids(one.manifest))
        return b"".join((chunk or b"?").removeprefix(b"sealed ") for chunk in chunks)

    def _remember(self) -> None:
        trees = {}
        for root in (self.home, self.common):
            items = {key: self.model.items[key] for key in self.model.below(root)}
            trees[root] = {
                self.model.path(key): Was(key, one.data, one.writing) for key, one in items.items()
            }
        self.past.append((self.now_s, trees))

    def _is_kept(self, was: Was) -> bool:
        one = self.model.items.get(was.node)
        if was.data is None:
            return True
        writings = {one.writing, *(writing for writing, _ in one.versions.values())} if one else set()
        return was.writing in writings

    @staticmethod
    def _view(moment: moments.Moment, top: int) -> dict[tuple[str, ...], tuple[int, int | None, bool]]:
        paths: dict[int, tuple[str, ...]] = {top: ()}
        out = {}
        for one in moment.below(top):
            paths[one.node] = (*paths[one.parent], one.name)
            size = None if one.is_folder else one.size_bytes
            out[paths[one.node]] = (one.node, size, one.is_kept)
        return out

    def _look_again(self) -> None:
        """After a way back the model takes over what is there: which nodes were copied is not its business."""
        with self.drive.reading() as reading:
            nodes = self._nodes(reading)
            before = self.model.items
            self.model.items = {}
            for key, one in nodes.items():
                old = before.get(key)
                data = self._data(reading, one)
                name = before[key].name if not one.parent else one.name
                item = Item(one.parent, name, data, self.model.step(), self.model.step())
                for version in versions.of(reading, key):
                    known = old.versions.get(version.etag) if old else None
                    kept = self._data(reading, one._replace(manifest=version.manifest)) or b""
                    # one new version of it at most: what it held before
                    assert old is not None
                    writing = known[0] if known else old.writing
                    item.versions[version.etag] = (writing, kept)
                if old is not None and not one.is_folder and old.data is not None:
                    same = set(item.versions) == set(old.versions)
                    item.writing = old.writing if same else item.writing
                self.model.items[key] = item
            binned = {
                row[0]: row[1:] for row in reading.all("SELECT node, parent, name, root, path FROM trash")
            }
        self.model.trash = {
            key: Binned(row[0], row[1], row[2], tuple(row[3].split("/"))) for key, row in binned.items()
        }


TestTree = TreeMachine.TestCase
TestTree.settings = hypothesis.settings(max_examples=40, stateful_step_count=30)
