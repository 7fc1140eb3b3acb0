"""Trash, versions and uploads in parts keep their promises on every database."""

from __future__ import annotations

import hashlib

import pytest
from beffroi.drive.store import look, names, refs, schema, trash, tree, uploads, versions
from beffroi.drive.store.database import Database, Writing
from beffroi.drive.store.manifest import Manifest
from beffroi.drive.store.model import AbsentNode, Changed, Node, QuotaFull

from tests.drive_trees import ME, NOW_S, OTHER, at, content, folder, listing, loose, put, require_whole, seen

pytest_plugins = ["tests.fixtures_drive_store"]
DAY_S = 86400


def delete(drive: Database, node_id: int, now_s: int = NOW_S) -> None:
    drive.write(lambda w: tree.delete(w, at(now_s), node_id))


def restored(drive: Database, home: Node, node_id: int) -> str:
    one = drive.write(lambda w: trash.restore(w, ME, home.id, node_id))
    with drive.reading() as reading:
        require_whole(reading)
        return look.path_of(reading, one.id)


def test_trash_is_shown_newest_first_page_by_page_and_each_root_its_own(drive: Database, home: Node) -> None:
    common = drive.write(lambda w: tree.make_root(w, schema.COMMON, now_s=NOW_S))
    other = put(drive, common.id, "other", b"1")
    delete(drive, other.id)
    made = [put(drive, home.id, f"f{n}", b"x" * n) for n in range(5)]
    for n, one in enumerate(made):
        delete(drive, one.id, NOW_S + n // 2)
    shown: list[str] = []
    after = None
    with drive.reading() as reading:
        while page := trash.page(reading, home.id, after=after, most=2):
            shown += [f"{one.path} {one.size_bytes} {one.person_id}" for one in page]
            after = (page[-1].deleted_s, page[-1].node)
        assert [one.node for one in trash.page(reading, common.id)] == [other.id]
    assert shown == [f"f{n} {n} per_me" for n in (4, 3, 2, 1, 0)]
    with pytest.raises(AbsentNode):
        drive.write(lambda w: trash.restore(w, ME, home.id, other.id))
    with pytest.raises(AbsentNode):
        drive.write(lambda w: trash.forget(w, ME, home.id, other.id))


def test_what_is_brought_back_lies_where_it_lay(drive: Database, home: Node) -> None:
    a = folder(drive, home.id, "a")
    b = folder(drive, a.id, "b")
    x = put(drive, b.id, "x.pdf", b"12345")
    delete(drive, x.id)
    drive.write(lambda w: tree.move(w, ME, b.id, home.id, "renamed"))
    assert restored(drive, home, x.id) == "renamed/x.pdf"
    delete(drive, x.id)
    put(drive, b.id, "X.pdf", b"1")
    assert restored(drive, home, x.id) == "renamed/x (2).pdf"
    assert listing(drive, home.id) == {
        "a": 0,
        "renamed": 6,
        "renamed/X.pdf": 1,
        "renamed/x (2).pdf": 5,
    }


def test_folders_that_are_gone_are_made_again_for_what_is_brought_back(drive: Database, home: Node) -> None:
    a = folder(drive, home.id, "a")
    b = folder(drive, a.id, "b")
    x = put(drive, b.id, "x", b"12345")
    delete(drive, x.id)
    delete(drive, a.id)
    put(drive, home.id, "a", b"a file now")
    assert restored(drive, home, x.id) == "a (2)/b/x"
    assert restored(drive, home, a.id) == "a (3)"
    assert listing(drive, home.id) == {
        "a": 10,
        "a (2)": 5,
        "a (2)/b": 5,
        "a (2)/b/x": 5,
        "a (3)": 0,
        "a (3)/b": 0,
    }


def test_what_is_deleted_for_good_takes_its_versions_along(drive: Database, home: Node) -> None:
    a = folder(drive, home.id, "a")
    b = folder(drive, a.id, "b")
    for data in (b"one", b"two", b"three"):
        put(drive, b.id, "x", data)
    kept = put(drive, home.id, "kept", b"two")
    delete(drive, a.id)
    drive.write(lambda w: trash.forget(w, ME, home.id, a.id))
    with drive.reading() as reading:
        assert trash.page(reading, home.id) == []
    with pytest.raises(AbsentNode):
        drive.write(lambda w: trash.restore(w, ME, home.id, a.id))
    assert loose(drive) == 0, "decided, not carried out yet"
    steps = 0
    while drive.write(lambda w: trash.destroy(w, ME, most=1)):
        steps += 1
        with drive.reading() as reading:
            require_whole(reading)
    assert (steps, loose(drive)) == (2, 2)
    with drive.reading() as reading:
        require_whole(reading)
        assert look.room(reading, 0)[0] == kept.size_bytes
        assert reading.one("SELECT COUNT(*) FROM version") == (0,)


def test_a_folder_is_destroyed_whole_also_in_one_moment(drive: Database, home: Node) -> None:
    a = folder(drive, home.id, "a")
    b = folder(drive, a.id, "b")
    put(drive, b.id, "x", b"12345")
    put(drive, a.id, "y", b"123")

    def at_once(writing: Writing) -> bool:
        put_late = tree.put(writing, ME, b.id, "late", content(b"1234567"))[0]
        tree.delete(writing, ME, a.id)
        trash.forget(writing, ME, home.id, a.id)
        assert put_late.size_bytes == 7
        return trash.destroy(writing, ME)

    assert drive.write(at_once) is False
    with drive.reading() as reading:
        require_whole(reading)
        assert look.room(reading, 0)[0] == 0


def test_trash_is_emptied_of_one_root_and_expires_in_all(drive: Database, home: Node) -> None:
    common = drive.write(lambda w: tree.make_root(w, schema.COMMON, now_s=NOW_S))
    for n in range(3):
        delete(drive, put(drive, home.id, f"h{n}", b"%d" % n).id, NOW_S + n * DAY_S)
        delete(drive, put(drive, common.id, f"c{n}", b"c%d" % n).id, NOW_S + n * DAY_S)

    def left() -> list[str]:
        with drive.reading() as reading:
            return sorted(row[0] for row in reading.all("SELECT name FROM trash"))

    assert drive.write(lambda w: trash.expire(w, ME, before_s=NOW_S + DAY_S, most=1))
    assert not drive.write(lambda w: trash.expire(w, ME, before_s=NOW_S + DAY_S))
    assert left() == ["c1", "c2", "h1", "h2"]
    assert not drive.write(lambda w: trash.empty(w, ME, home.id))
    assert left() == ["c1", "c2"]
    trash.destroy_all(drive, ME)
    assert loose(drive) == 4


def test_a_number_goes_before_the_ending_and_no_name_grows_too_long() -> None:
    assert names.numbered("a.pdf", 2) == "a (2).pdf"
    assert names.numbered(".profile", 2) == ".profile (2)"
    assert names.numbered("Plan v1.0 du centre-bourg", 3) == "Plan v1.0 du centre-bourg (3)"
    long = names.numbered("é" * 125 + ".docx", 12)
    assert long.endswith("é (12).docx") and 253 <= len(long.encode()) <= 255


def test_a_version_that_is_brought_back_leaves_all_others_there(drive: Database, home: Node) -> None:
    written = [put(drive, home.id, "x", data, at(NOW_S + n)) for n, data in enumerate((b"1", b"22", b"333"))]
    back = drive.write(lambda w: versions.restore(w, at(NOW_S + 9), written[0].id, written[0].etag))
    assert (back.sha1, back.size_bytes, back.mtime_s) == (written[0].sha1, 1, NOW_S)
    with drive.reading() as reading:
        kept = versions.of(reading, back.id)
        require_whole(reading)
    assert [(one.etag, one.replaced_s) for one in kept] == [
        (written[2].etag, NOW_S + 9),
        (written[1].etag, NOW_S + 2),
        (written[0].etag, NOW_S + 1),
    ]
    assert listing(drive, home.id) == {"x": 1}
    for one in kept:
        drive.write(lambda w, etag=one.etag: versions.delete(w, ME, back.id, etag))  # type: ignore[misc]
    assert loose(drive) == 2, "the present content keeps its chunk"
    with pytest.raises(AbsentNode):
        drive.write(lambda w: versions.restore(w, ME, back.id, written[1].etag))


def test_a_version_is_only_brought_back_where_there_is_room(drive: Database, home: Node) -> None:
    first = put(drive, home.id, "x", b"0123456789")
    put(drive, home.id, "x", b"1")
    drive.write(lambda w: tree.set_limit(w, home.id, 9))
    with pytest.raises(QuotaFull):
        drive.write(lambda w: versions.restore(w, ME, first.id, first.etag))


def test_versions_are_thinned_file_by_file(drive: Database, home: Node) -> None:
    files = [home.id]
    for name in ("a", "b", "c"):
        for n in range(4):
            files.append(put(drive, home.id, name, f"{name}{n}".encode(), at(NOW_S + n)).id)
    later = NOW_S + 2 * DAY_S
    after: int | None = 0
    seen_nodes = []
    while after is not None:
        after = drive.write(
            lambda w, start=after: versions.thin(w, now_s=later, keep_s=10**9, after=start, most=1)  # type: ignore[misc]
        )
        seen_nodes.append(after)
    assert seen_nodes == [*sorted(set(files[1:])), None]
    with drive.reading() as reading:
        assert [len(versions.of(reading, one)) for one in sorted(set(files[1:]))] == [1, 1, 1]
        require_whole(reading)
    versions.thin_all(drive, now_s=later, keep_s=DAY_S)
    with drive.reading() as reading:
        assert reading.one("SELECT COUNT(*) FROM version") == (0,)


def test_parts_become_one_file_in_their_order(drive: Database, home: Node) -> None:
    drive.write(lambda w: uploads.begin(w, ME, "u1"))
    with pytest.raises(uploads.UploadExists):
        drive.write(lambda w: uploads.begin(w, ME, "u1"))
    for number, data in ((10, b"ten"), (2, b"old"), (1, b"one"), (2, b"two")):
        drive.write(lambda w, n=number, d=data: uploads.put_part(w, ME, "u1", n, content(d)))  # type: ignore[misc]
    assert loose(drive) == 1, "the part that was sent anew let go of its first content"
    with drive.reading() as reading:
        assert [(one.number, one.size_bytes) for one in uploads.parts(reading, "per_me", "u1")] == [
            (1, 3),
            (2, 3),
            (10, 3),
        ]
        joined = uploads.join(reading, "per_me", "u1")
        read_back = b"".join(
            bytes(refs.sealed(reading, chunk_id) or b"").removeprefix(b"sealed ")
            for chunk_id, _ in Manifest.unpack(joined.manifest).chunks
        )
    assert (joined.size_bytes, read_back) == (9, b"onetwoten")
    sha1, sha256 = hashlib.sha1(read_back).hexdigest(), hashlib.sha256(read_back).hexdigest()
    uploads.require_checksum(f"SHA1:{sha1.upper()}", sha1=sha1, sha256=sha256)
    with pytest.raises(uploads.ChecksumDiffers):
        uploads.require_checksum("SHA1:00", sha1=sha1, sha256=sha256)
    made, fresh = drive.write(
        lambda w: uploads.finish(w, ME, "u1", joined, parent=home.id, name="x", sha1=sha1, sha256=sha256)
    )
    assert (fresh, made.size_bytes, made.sha256) == (True, 9, sha256)
    with drive.reading() as reading:
        require_whole(reading)
    with pytest.raises(uploads.AbsentUpload):
        drive.write(lambda w: uploads.abort(w, ME, "u1"))


def test_a_part_that_is_sent_anew_after_the_reading_back_is_not_put_unread(
    drive: Database, home: Node
) -> None:
    drive.write(lambda w: uploads.begin(w, ME, "u"))
    drive.write(lambda w: uploads.put_part(w, ME, "u", 1, content(b"one")))
    with drive.reading() as reading:
        joined = uploads.join(reading, "per_me", "u")
    drive.write(lambda w: uploads.put_part(w, ME, "u", 1, content(b"two")))
    with pytest.raises(Changed):
        drive.write(
            lambda w: uploads.finish(w, ME, "u", joined, parent=home.id, name="x", sha1="", sha256="")
        )
    assert listing(drive, home.id) == {}


def test_an_upload_is_its_persons_own_and_ends_after_two_days(drive: Database, home: Node) -> None:
    drive.write(lambda w: uploads.begin(w, ME, "u"))
    drive.write(lambda w: uploads.put_part(w, ME, "u", 1, content(b"one")))
    for refused in (
        lambda w: uploads.put_part(w, OTHER, "u", 2, content(b"two")),
        lambda w: uploads.abort(w, OTHER, "u"),
        lambda w: uploads.join(w, "per_other", "u"),
    ):
        with pytest.raises(uploads.AbsentUpload):
            drive.write(refused)
    for number in (0, 10_001):
        with pytest.raises(uploads.PartRefused):
            drive.write(lambda w, n=number: uploads.put_part(w, ME, "u", n, content(b"x")))  # type: ignore[misc]
    drive.write(lambda w: uploads.begin(w, at(NOW_S + DAY_S, OTHER), "u"))
    assert not drive.write(lambda w: uploads.expire(w, now_s=NOW_S + 2 * DAY_S + 1))
    assert loose(drive) == 1
    with drive.reading() as reading:
        assert uploads.parts(reading, "per_other", "u") == []
        require_whole(reading)
        with pytest.raises(uploads.AbsentUpload):
            uploads.parts(reading, "per_me", "u")


def test_the_root_shows_what_lies_in_it_after_all_this(drive: Database, home: Node) -> None:
    x = put(drive, home.id, "x", b"1")
    before = seen(drive, home.id).etag
    delete(drive, x.id)
    between = seen(drive, home.id).etag
    restored(drive, home, x.id)
    assert before < between < seen(drive, home.id).etag
