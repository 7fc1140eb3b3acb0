"""Scrubbing finds each thing that is not as it should be, names the files, and mends what a copy can mend."""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Generator, Iterator
from pathlib import Path

import pytest
from beffroi.drive.store import refs, schema, scrub, tree, uploads
from beffroi.drive.store.collect import Stored
from beffroi.drive.store.database import Database
from beffroi.drive.store.manifest import Chunk
from beffroi.drive.store.model import Content

from tests.drive_trees import ME, NOW_S, folder, packed, require_whole
from tests.drive_trees import content as inline

pytest_plugins = ["tests.fixtures_drive_store"]
SEAL = b"sealed "


class Folder:
    """Objects in a directory. Seals by a word in front, names by BLAKE2s."""

    def __init__(self, place: Path) -> None:
        self.place, self.lists = place, list[bytes]()
        place.mkdir()

    def path(self, chunk_id: bytes) -> Path:
        return self.place / chunk_id.hex()

    def list(self) -> Iterator[Stored]:
        for one in sorted(self.place.iterdir()):
            yield Stored(bytes.fromhex(one.name), one.stat().st_size, 0.0)

    def judge(self, chunk_id: bytes, length: int, sealed: bytes | None) -> scrub.State:
        if sealed is None:
            if not self.path(chunk_id).exists():
                return "missing"
            sealed = self.path(chunk_id).read_bytes()
        data = sealed.removeprefix(SEAL)
        sound = len(data) == length and hashlib.blake2s(data).digest() == chunk_id
        return "sound" if sound else "damaged"

    def replace(self, chunk_id: bytes, sealed: bytes) -> None:
        self.path(chunk_id).write_bytes(sealed)

    def objects(self, wanted: Collection[bytes]) -> Iterator[tuple[bytes, bytes]]:
        for one in wanted:
            if self.path(one).exists():
                yield one, self.path(one).read_bytes()

    inline = objects

    def manifests(self, wanted: Collection[scrub.Kept]) -> Generator[tuple[scrub.Kept, bytes]]:
        for one in wanted:
            yield from ((one, each) for each in self.lists)


@pytest.fixture
def objects(tmp_path: Path) -> Folder:
    return Folder(tmp_path / "objects")


@pytest.fixture
def copies(tmp_path: Path) -> Folder:
    return Folder(tmp_path / "copies")


@pytest.fixture
def home(metadata: Database) -> int:
    return metadata.write(lambda w: tree.make_root(w, schema.COMMON, now_s=NOW_S)).id


def large(objects: Folder, data: bytes) -> Content:
    """One chunk that lies in the objects."""
    chunk_id = hashlib.blake2s(data).digest()
    objects.path(chunk_id).write_bytes(SEAL + data)
    return Content(len(data), "", "", packed((chunk_id, len(data))), stored={chunk_id: len(SEAL + data)})


def chunk(data: bytes) -> bytes:
    return hashlib.blake2s(data).digest()


def walked(scrubber: scrub.Scrub) -> tuple[list[scrub.Damage], list[scrub.Damage]]:
    light: list[scrub.Damage] = []
    cursor: scrub.Cursor | None = None
    while True:
        step = scrubber.light(cursor)
        light += step.damages
        cursor = step.cursor
        if cursor is None:
            break
    deep: list[scrub.Damage] = []
    at: bytes | None = b""
    while at is not None:
        opened = scrubber.deep(at, most=2)
        deep += opened.damages
        at = opened.cursor
    return light, deep


def waiting(metadata: Database) -> set[int]:
    """For the index of words."""
    with metadata.reading() as reading:
        return {row[0] for row in reading.all("SELECT node FROM word_due")}


@pytest.fixture
def scrubber(metadata: Database, objects: Folder, copies: Folder) -> scrub.Scrub:
    return scrub.Scrub("col_test", metadata, objects, copies)


@pytest.fixture
def filled(metadata: Database, home: int, objects: Folder) -> dict[str, int]:
    """a/x twice over (a version), a/copy of its first content, inline, a part of an upload."""
    a = folder(metadata, home, "a")
    x = metadata.write(lambda w: tree.put(w, ME, a.id, "x", large(objects, b"first")))[0]
    copy = metadata.write(lambda w: tree.copy(w, ME, x.id, a.id, "copy"))[0]
    metadata.write(lambda w: tree.put(w, ME, a.id, "x", large(objects, b"second")))
    small = metadata.write(lambda w: tree.put(w, ME, home, "small", inline(b"small")))[0]
    metadata.write(lambda w: uploads.begin(w, ME, "u"))
    metadata.write(lambda w: uploads.put_part(w, ME, "u", 1, large(objects, b"part")))
    return {"x": x.id, "first": x.etag, "copy": copy.id, "small": small.id}


def test_a_sound_store_has_nothing_to_tell(filled: dict[str, int], scrubber: scrub.Scrub) -> None:
    assert walked(scrubber) == ([], [])
    assert scrubber.deep(most=3).cursor is not None


def test_slices_together_see_each_chunk_once(
    filled: dict[str, int], scrubber: scrub.Scrub, objects: Folder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(scrub, "CHUNKS_A_SLICE", 1)
    for number in ("first", "second", "part"):
        objects.path(chunk(number.encode())).unlink()
    seen, cursor, steps = list[bytes](), None, 0
    while steps == 0 or cursor is not None:
        step = scrubber.light(cursor)
        seen += [one.chunk_id for one in step.damages]
        steps, cursor = steps + 1, step.cursor
    assert steps == 5 and sorted(seen) == sorted(map(chunk, (b"first", b"second", b"part")))


def test_lists_are_read_once_by_a_walk_of_many_slices_and_again_where_they_do_not_add_up(
    filled: dict[str, int], scrubber: scrub.Scrub, metadata: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(scrub, "CHUNKS_A_SLICE", 1)
    truly, read = scrub._listed, list[bytes]()

    def noted(manifest: bytes) -> tuple[Chunk, ...] | None:
        read.append(manifest)
        return truly(manifest)

    monkeypatch.setattr(scrub, "_listed", noted)
    assert walked(scrubber)[0] == []
    once = len(read)
    assert once == 5, "four files and versions, a part"
    metadata.write(lambda w: w.run("UPDATE chunk SET refs = refs + 1 WHERE id = ?", (chunk(b"first"),)))
    read.clear()
    (wrong,) = walked(scrubber)[0]
    assert (wrong.why, wrong.chunk_id, wrong.is_repaired) == ("references", chunk(b"first"), False)
    assert len(read) == 3 * once, "of the slice, and to name the files"


def test_what_is_damaged_is_named_by_its_files_and_its_version(
    filled: dict[str, int], scrubber: scrub.Scrub, objects: Folder
) -> None:
    objects.path(chunk(b"first")).write_bytes(SEAL + b"fIrst")
    objects.path(chunk(b"part")).unlink()
    light, deep = walked(scrubber)
    missing = scrub.Damage("col_test", chunk(b"part"), "missing", (scrub.Held(0, "", 0),), False)
    held = (scrub.Held(filled["copy"], "a/copy", 0), scrub.Held(filled["x"], "a/x", filled["first"]))
    damaged = scrub.Damage("col_test", chunk(b"first"), "damaged", held, False)
    assert light == [missing], "a change of a bit leaves the length"
    assert sorted(deep, key=lambda one: one.why) == [damaged, missing]


def test_a_cut_object_is_found_by_its_length(
    filled: dict[str, int], scrubber: scrub.Scrub, objects: Folder
) -> None:
    objects.path(chunk(b"second")).write_bytes(SEAL)
    light, _ = walked(scrubber)
    assert [(one.why, [held.path for held in one.held]) for one in light] == [("damaged", ["a/x"])]


def test_another_length_of_a_sound_object_is_no_damage(
    metadata: Database, home: int, scrubber: scrub.Scrub, objects: Folder
) -> None:
    content = large(objects, b"data")
    other = Content(4, "", "", content.manifest, stored={chunk(b"data"): 999})
    metadata.write(lambda w: tree.put(w, ME, home, "x", other))
    assert walked(scrubber) == ([], [])


def test_a_good_copy_takes_the_damaged_ones_place_and_a_bad_one_does_not(
    filled: dict[str, int], scrubber: scrub.Scrub, objects: Folder, copies: Folder, metadata: Database
) -> None:
    objects.path(chunk(b"first")).write_bytes(b"")
    objects.path(chunk(b"second")).unlink()
    metadata.write(lambda w: w.run("UPDATE chunk SET sealed = ? WHERE id = ?", (b"rot", chunk(b"small"))))
    for data in (b"first", b"small"):
        copies.path(chunk(data)).write_bytes(SEAL + data)
    copies.path(chunk(b"second")).write_bytes(SEAL + b"a lie")
    light, deep = walked(scrubber)
    assert {(one.chunk_id, one.why, one.is_repaired) for one in light} == {
        (chunk(b"first"), "damaged", True),
        (chunk(b"second"), "missing", False),
    }
    assert {(one.chunk_id, one.why, one.is_repaired) for one in deep} == {
        (chunk(b"small"), "damaged", True),
        (chunk(b"second"), "missing", False),
    }
    assert waiting(metadata) == {filled["copy"], filled["small"]}, (
        "what could not be read for the index can be now"
    )
    light, deep = walked(scrubber)
    assert {(one.chunk_id, one.why, one.is_repaired) for one in light + deep} == {
        (chunk(b"second"), "missing", False)
    }


def test_what_has_no_copy_is_whole_again_once_somebody_sends_it_again(
    metadata: Database, home: int, objects: Folder, scrubber: scrub.Scrub
) -> None:
    """Where only its row were believed, the same bytes would not be written, and the device told that they were."""
    body, small = b"large " * 20000, b"small"
    for name, one in (("large", large(objects, body)), ("small", inline(small))):
        metadata.write(lambda w, name=name, one=one: tree.put(w, ME, home, name, one))
    objects.path(chunk(body)).unlink()
    metadata.write(
        lambda w: w.run("UPDATE chunk SET sealed = ? WHERE id = ?", (b"sealed smal?", chunk(small)))
    )
    ids = [chunk(body), chunk(small)]
    for _ in range(2):
        _, deep = walked(scrubber)
        assert {one.chunk_id for one in deep if not one.is_repaired} == set(ids)
        with metadata.reading() as reading:
            assert refs.known(reading, ids) == set()
    for name, one in (("large", large(objects, body)), ("again", inline(small))):
        metadata.write(lambda w, name=name, one=one: tree.put(w, ME, home, name, one))
    with metadata.reading() as reading:
        assert refs.known(reading, ids) == set(ids)
        assert refs.sealed(reading, chunk(small)) == SEAL + small
        require_whole(reading)
    assert walked(scrubber) == ([], [])


def test_what_comes_back_by_itself_is_believed_again(
    metadata: Database, home: int, objects: Folder, scrubber: scrub.Scrub
) -> None:
    body = b"large " * 20000
    metadata.write(lambda w: tree.put(w, ME, home, "large", large(objects, body)))
    kept = objects.path(chunk(body)).read_bytes()
    objects.path(chunk(body)).unlink()
    light, _ = walked(scrubber)
    assert [one.why for one in light] == ["missing"]
    objects.replace(chunk(body), kept)
    assert walked(scrubber) == ([], [])
    assert len(waiting(metadata)) == 1
    with metadata.reading() as reading:
        assert refs.known(reading, [chunk(body)]) == {chunk(body)}


def test_references_that_lack_are_added_before_anything_is_collected(
    filled: dict[str, int], scrubber: scrub.Scrub, metadata: Database
) -> None:
    metadata.write(lambda w: w.run("UPDATE chunk SET refs = 0, loose_s = 1 WHERE id = ?", (chunk(b"first"),)))
    metadata.write(lambda w: w.run("UPDATE chunk SET refs = 5 WHERE id = ?", (chunk(b"second"),)))
    light, _ = walked(scrubber)
    told = {one.chunk_id: one.is_repaired for one in light}
    assert told == {chunk(b"first"): True, chunk(b"second"): False}
    light, _ = walked(scrubber)
    assert [one.chunk_id for one in light] == [chunk(b"second")], "too many keep it for longer, and are left"
    metadata.write(lambda w: w.run("UPDATE chunk SET refs = 1 WHERE id = ?", (chunk(b"second"),)))
    with metadata.reading() as reading:
        require_whole(reading)


def test_a_row_that_is_gone_is_told_with_the_files_that_need_it(
    filled: dict[str, int], scrubber: scrub.Scrub, metadata: Database
) -> None:
    metadata.write(lambda w: w.run("DELETE FROM chunk WHERE id = ?", (chunk(b"second"),)))
    light, _ = walked(scrubber)
    assert [(one.why, one.is_repaired) for one in light] == [("manifest", False)]
    assert [(one.path, one.version) for one in light[0].held] == [("a/x", 0)]


@pytest.mark.parametrize("at", range(37))
def test_a_list_of_chunks_with_a_flipped_bit_is_named_and_mended(
    filled: dict[str, int],
    scrubber: scrub.Scrub,
    copies: Folder,
    metadata: Database,
    at: int,
) -> None:
    whole = packed((chunk(b"second"), 6))
    flipped = bytes(each ^ (0x40 if n == at else 0) for n, each in enumerate(whole))
    metadata.write(lambda w: w.run("UPDATE node SET manifest = ? WHERE id = ?", (flipped, filled["x"])))
    light, _ = walked(scrubber)
    assert {(one.why, one.held, one.is_repaired) for one in light if one.why == "manifest"} == {
        ("manifest", (scrub.Held(filled["x"], "a/x", 0),), False)
    }
    copies.lists += [flipped, packed((chunk(b"first"), 5)), whole]
    light, _ = walked(scrubber)
    assert {one.is_repaired for one in light if one.why == "manifest"} == {True}
    assert waiting(metadata) == {filled["x"]}
    assert walked(scrubber) == ([], [])
    with metadata.reading() as reading:
        require_whole(reading)


def test_a_list_of_an_earlier_content_is_mended_in_its_version(
    filled: dict[str, int],
    scrubber: scrub.Scrub,
    copies: Folder,
    metadata: Database,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    metadata.write(lambda w: w.run("UPDATE version SET manifest = ?", (b"?",)))
    copies.lists.append(packed((chunk(b"first"), 5)))
    monkeypatch.setattr(scrub, "CHUNKS_A_SLICE", 1)
    light, _ = walked(scrubber)
    found = {(one.held[0].version, one.is_repaired) for one in light if one.why == "manifest"}
    assert found == {(filled["first"], True)}
    assert walked(scrubber) == ([], [])
