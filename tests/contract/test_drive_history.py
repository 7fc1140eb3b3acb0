"""Trash, versions, uploads in parts, points in time and collection keep their promises on every database."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from functools import partial

import pytest
from beffroi.drive.store import (
    collect,
    look,
    moments,
    names,
    part_names,
    refs,
    room,
    schema,
    trash,
    tree,
    uploads,
    versions,
)
from beffroi.drive.store.database import Database
from beffroi.drive.store.manifest import Manifest
from beffroi.drive.store.model import EMPTY, AbsentNode, Changed, Content, Node, QuotaFull
from beffroi.drive.store.writing import Writing

from tests.drive_trees import (
    ME,
    NOW_S,
    OTHER,
    at,
    content,
    folder,
    go_back,
    listing,
    loose,
    packed,
    put,
    require_whole,
    seen,
    way_to,
)

pytest_plugins = ["tests.fixtures_drive_store"]
DAY_S = 86400


def delete(metadata: Database, node_id: int, now_s: int = NOW_S) -> None:
    metadata.write(lambda w: tree.delete(w, at(now_s), node_id))


def restored(metadata: Database, home: Node, node_id: int) -> str:
    one = metadata.write(lambda w: trash.restore(w, ME, home.id, node_id))
    with metadata.reading() as reading:
        require_whole(reading)
        return look.path_of(reading, one.id)


def test_trash_is_shown_newest_first_page_by_page_and_each_root_its_own(
    metadata: Database, home: Node
) -> None:
    common = metadata.write(lambda w: tree.make_root(w, schema.COMMON, now_s=NOW_S))
    other = put(metadata, common.id, "other", b"1")
    delete(metadata, other.id)
    made = [put(metadata, home.id, f"f{n}", b"x" * n) for n in range(5)]
    for n, one in enumerate(made):
        delete(metadata, one.id, NOW_S + n // 2)
    shown: list[str] = []
    after = None
    with metadata.reading() as reading:
        while page := trash.page(reading, home.id, after=after, most=2):
            shown += [f"{one.path} {one.size_bytes} {one.person_id}" for one in page]
            after = (page[-1].deleted_s, page[-1].node)
        assert [one.node for one in trash.page(reading, common.id)] == [other.id]
    assert shown == [f"f{n} {n} per_me" for n in (4, 3, 2, 1, 0)]
    with pytest.raises(AbsentNode):
        metadata.write(lambda w: trash.restore(w, ME, home.id, other.id))
    with pytest.raises(AbsentNode):
        metadata.write(lambda w: trash.forget(w, ME, home.id, other.id))


def test_what_is_brought_back_lies_where_it_lay(metadata: Database, home: Node) -> None:
    a = folder(metadata, home.id, "a")
    b = folder(metadata, a.id, "b")
    x = put(metadata, b.id, "x.pdf", b"12345")
    delete(metadata, x.id)
    metadata.write(lambda w: tree.move(w, ME, b.id, home.id, "renamed"))
    assert restored(metadata, home, x.id) == "renamed/x.pdf"
    delete(metadata, x.id)
    put(metadata, b.id, "X.pdf", b"1")
    assert restored(metadata, home, x.id) == "renamed/x (2).pdf"
    assert listing(metadata, home.id) == {
        "a": 0,
        "renamed": 6,
        "renamed/X.pdf": 1,
        "renamed/x (2).pdf": 5,
    }


def test_folders_that_are_gone_are_made_again_for_what_is_brought_back(
    metadata: Database, home: Node
) -> None:
    a = folder(metadata, home.id, "a")
    b = folder(metadata, a.id, "b")
    x = put(metadata, b.id, "x", b"12345")
    delete(metadata, x.id)
    delete(metadata, a.id)
    put(metadata, home.id, "a", b"a file now")
    assert restored(metadata, home, x.id) == "a (2)/b/x"
    assert restored(metadata, home, a.id) == "a (3)"
    assert listing(metadata, home.id) == {
        "a": 10,
        "a (2)": 5,
        "a (2)/b": 5,
        "a (2)/b/x": 5,
        "a (3)": 0,
        "a (3)/b": 0,
    }


def test_what_is_deleted_for_good_takes_its_versions_along(metadata: Database, home: Node) -> None:
    a = folder(metadata, home.id, "a")
    b = folder(metadata, a.id, "b")
    for data in (b"one", b"two", b"three"):
        put(metadata, b.id, "x", data)
    kept = put(metadata, home.id, "kept", b"two")
    delete(metadata, a.id)
    metadata.write(lambda w: trash.forget(w, ME, home.id, a.id))
    with metadata.reading() as reading:
        assert trash.page(reading, home.id) == []
    with pytest.raises(AbsentNode):
        metadata.write(lambda w: trash.restore(w, ME, home.id, a.id))
    assert loose(metadata) == 0, "decided, not carried out yet"
    steps = 0
    while metadata.write(lambda w: trash.destroy(w, ME, most=1)):
        steps += 1
        with metadata.reading() as reading:
            require_whole(reading)
    assert (steps, loose(metadata)) == (2, 2)
    with metadata.reading() as reading:
        require_whole(reading)
        assert room.room(reading, 0)[0] == kept.size_bytes
        assert reading.one("SELECT COUNT(*) FROM version") == (0,)


def test_a_folder_is_destroyed_whole_also_in_one_moment(metadata: Database, home: Node) -> None:
    a = folder(metadata, home.id, "a")
    b = folder(metadata, a.id, "b")
    put(metadata, b.id, "x", b"12345")
    put(metadata, a.id, "y", b"123")

    def at_once(writing: Writing) -> bool:
        put_late = tree.put(writing, ME, b.id, "late", content(b"1234567"))[0]
        tree.delete(writing, ME, a.id)
        trash.forget(writing, ME, home.id, a.id)
        assert put_late.size_bytes == 7
        return trash.destroy(writing, ME)

    assert metadata.write(at_once) is False
    with metadata.reading() as reading:
        require_whole(reading)
        assert room.room(reading, 0)[0] == 0


def test_trash_is_emptied_of_one_root_and_expires_in_all(metadata: Database, home: Node) -> None:
    common = metadata.write(lambda w: tree.make_root(w, schema.COMMON, now_s=NOW_S))
    for n in range(3):
        delete(metadata, put(metadata, home.id, f"h{n}", b"%d" % n).id, NOW_S + n * DAY_S)
        delete(metadata, put(metadata, common.id, f"c{n}", b"c%d" % n).id, NOW_S + n * DAY_S)

    def left() -> list[str]:
        with metadata.reading() as reading:
            return sorted(row[0] for row in reading.all("SELECT name FROM trash"))

    assert metadata.write(lambda w: trash.expire(w, ME, before_s=NOW_S + DAY_S, most=1))
    assert not metadata.write(lambda w: trash.expire(w, ME, before_s=NOW_S + DAY_S))
    assert left() == ["c1", "c2", "h1", "h2"]
    assert not metadata.write(lambda w: trash.empty(w, ME, home.id))
    assert left() == ["c1", "c2"]
    trash.destroy_all(metadata, ME)
    assert loose(metadata) == 4


def test_a_number_goes_before_the_ending_and_no_name_grows_too_long() -> None:
    assert names.numbered("a.pdf", 2) == "a (2).pdf"
    assert names.numbered(".profile", 2) == ".profile (2)"
    assert names.numbered("Plan v1.0 du centre-bourg", 3) == "Plan v1.0 du centre-bourg (3)"
    long = names.numbered("é" * 125 + ".docx", 12)
    assert long.endswith("é (12).docx") and 253 <= len(long.encode()) <= 255


def test_a_version_that_is_brought_back_leaves_all_others_there(metadata: Database, home: Node) -> None:
    written = [
        put(metadata, home.id, "x", data, at(NOW_S + n)) for n, data in enumerate((b"1", b"22", b"333"))
    ]
    back = metadata.write(lambda w: versions.restore(w, at(NOW_S + 9), written[0].id, written[0].etag))
    assert (back.sha1, back.size_bytes, back.mtime_s) == (written[0].sha1, 1, NOW_S)
    with metadata.reading() as reading:
        kept = versions.of(reading, back.id)
        require_whole(reading)
    assert [(one.etag, one.replaced_s) for one in kept] == [
        (written[2].etag, NOW_S + 9),
        (written[1].etag, NOW_S + 2),
        (written[0].etag, NOW_S + 1),
    ]
    assert listing(metadata, home.id) == {"x": 1}
    for one in kept:
        metadata.write(lambda w, etag=one.etag: versions.delete(w, ME, back.id, etag))
    assert loose(metadata) == 2, "the present content keeps its chunk"
    with pytest.raises(AbsentNode):
        metadata.write(lambda w: versions.restore(w, ME, back.id, written[1].etag))


def test_a_version_is_only_brought_back_where_there_is_room(metadata: Database, home: Node) -> None:
    first = put(metadata, home.id, "x", b"0123456789")
    put(metadata, home.id, "x", b"1")
    metadata.write(lambda w: tree.set_limit(w, home.id, 9))
    with pytest.raises(QuotaFull):
        metadata.write(lambda w: versions.restore(w, ME, first.id, first.etag))


def test_versions_are_thinned_file_by_file(metadata: Database, home: Node) -> None:
    files = [home.id]
    for name in ("a", "b", "c"):
        for n in range(4):
            files.append(put(metadata, home.id, name, f"{name}{n}".encode(), at(NOW_S + n)).id)
    later = NOW_S + 2 * DAY_S
    thin_one = partial(versions.thin, now_s=later, keep_s=10**9, till_s=later, since=versions.Since(), most=1)
    after: int | None = 0
    seen_nodes = []
    while after is not None:
        after = metadata.write(partial(thin_one, after=after))
        seen_nodes.append(after)
    assert seen_nodes == [*sorted(set(files[1:])), None]
    with metadata.reading() as reading:
        assert [len(versions.of(reading, one)) for one in sorted(set(files[1:]))] == [1, 1, 1]
        require_whole(reading)
    versions.thin_all(metadata, now_s=later, keep_s=DAY_S)
    with metadata.reading() as reading:
        assert reading.one("SELECT COUNT(*) FROM version") == (0,)


def test_parts_become_one_file_in_their_order(metadata: Database, home: Node) -> None:
    metadata.write(lambda w: uploads.begin(w, ME, "u1"))
    with pytest.raises(uploads.UploadExists):
        metadata.write(lambda w: uploads.begin(w, ME, "u1"))
    for number, data in ((10, b"ten"), (2, b"old"), (1, b"one"), (2, b"two")):
        metadata.write(lambda w, n=number, d=data: uploads.put_part(w, ME, "u1", n, content(d)))
    assert loose(metadata) == 1, "the part that was sent anew let go of its first content"
    with metadata.reading() as reading:
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
    whole = Content(joined.size_bytes, sha1, sha256, joined.manifest)
    assert not any(
        whole.differs_from(one) for one in ("", f"SHA1:{sha1.upper()}", f"sha256: {sha256}", "MD5:00")
    )
    assert whole.differs_from("SHA1:00") and whole.differs_from(f"SHA256:{sha1}")
    made, fresh = metadata.write(
        lambda w: uploads.finish(w, ME, "u1", joined, whole, parent=home.id, name="x")
    )
    assert (fresh, made.size_bytes, made.sha256) == (True, 9, sha256)
    with metadata.reading() as reading:
        require_whole(reading)
    with pytest.raises(uploads.AbsentUpload):
        metadata.write(lambda w: uploads.abort(w, ME, "u1"))


def test_parts_that_have_names_are_joined_in_the_order_of_these(metadata: Database) -> None:
    metadata.write(lambda w: uploads.begin(w, ME, "u1"))
    for name in ("9-18", "1", "b", "000000000000018-27", "é", "00001", "b"):
        metadata.write(lambda w, n=name: uploads.put_named(w, ME, "u1", n, content(n.encode())))
    for name in ("", ".", "..", ".file", "a/b", "x" * 256, "a\x00"):
        with pytest.raises(part_names.PartRefused):
            metadata.write(lambda w, n=name: uploads.put_named(w, ME, "u1", n, content(b"x")))
    with metadata.reading() as reading:
        found = uploads.parts(reading, "per_me", "u1")
    assert [one.name or str(one.number) for one in found] == ["1", "9-18", "000000000000018-27", "b", "é"]
    assert [one.size_bytes for one in found] == [5, 4, 18, 1, 2], "a number in both spellings is one part"
    metadata.write(lambda w: w.run("UPDATE part_name SET number = 20000 WHERE name = 'b'"))
    with pytest.raises(part_names.PartRefused):
        metadata.write(lambda w: uploads.put_named(w, ME, "u1", "one more", content(b"x")))
    metadata.write(lambda w: uploads.abort(w, ME, "u1"))
    with metadata.reading() as reading:
        assert reading.one("SELECT COUNT(*) FROM part_name") == (0,)
        require_whole(reading)


def test_a_part_that_is_sent_anew_after_the_reading_back_is_not_put_unread(
    metadata: Database, home: Node
) -> None:
    metadata.write(lambda w: uploads.begin(w, ME, "u"))
    metadata.write(lambda w: uploads.put_part(w, ME, "u", 1, content(b"one")))
    with metadata.reading() as reading:
        joined = uploads.join(reading, "per_me", "u")
    metadata.write(lambda w: uploads.put_part(w, ME, "u", 1, content(b"two")))
    with pytest.raises(Changed):
        metadata.write(lambda w: uploads.finish(w, ME, "u", joined, EMPTY, parent=home.id, name="x"))
    with pytest.raises(Changed):  # of what went to another collectivité
        metadata.write(lambda w: uploads.end(w, ME, "u", joined))
    with metadata.reading() as reading:
        assert len(uploads.parts(reading, "per_me", "u")) == 1
    assert listing(metadata, home.id) == {}


def test_an_upload_is_its_persons_own_and_ends_two_days_after_its_last_part(
    metadata: Database, home: Node
) -> None:
    metadata.write(lambda w: uploads.begin(w, ME, "u"))
    metadata.write(lambda w: uploads.put_part(w, ME, "u", 1, content(b"one")))
    for refused in (
        lambda w: uploads.put_part(w, OTHER, "u", 2, content(b"two")),
        lambda w: uploads.abort(w, OTHER, "u"),
        lambda w: uploads.join(w, "per_other", "u"),
    ):
        with pytest.raises(uploads.AbsentUpload):
            metadata.write(refused)
    for number in (-1, 10_001):
        with pytest.raises(part_names.PartRefused):
            metadata.write(lambda w, n=number: uploads.put_part(w, ME, "u", n, content(b"x")))
    metadata.write(lambda w: uploads.begin(w, at(NOW_S + DAY_S, OTHER), "u"))
    later = at(NOW_S + 2 * DAY_S - 1)
    metadata.write(lambda w: uploads.put_part(w, later, "u", 2, content(b"two")))
    assert not metadata.write(lambda w: uploads.expire(w, before_s=NOW_S + 1, now_s=later.now_s))
    assert loose(metadata) == 0, "a long file over a slow line"
    metadata.write(lambda w: uploads.begin(w, at(NOW_S + 4 * DAY_S, OTHER), "v"))
    assert not metadata.write(
        lambda w: uploads.expire(w, before_s=NOW_S + 2 * DAY_S, now_s=NOW_S + 4 * DAY_S)
    )
    assert loose(metadata) == 2
    with metadata.reading() as reading:
        assert uploads.parts(reading, "per_other", "v") == []
        require_whole(reading)
        with pytest.raises(uploads.AbsentUpload):
            uploads.parts(reading, "per_me", "u")


def test_the_root_shows_what_lies_in_it_after_all_this(metadata: Database, home: Node) -> None:
    x = put(metadata, home.id, "x", b"1")
    before = seen(metadata, home.id).etag
    delete(metadata, x.id)
    between = seen(metadata, home.id).etag
    restored(metadata, home, x.id)
    assert before < between < seen(metadata, home.id).etag


def test_a_folder_is_seen_and_brought_back_as_it_was(metadata: Database, home: Node) -> None:
    a = folder(metadata, home.id, "a")
    for name in ("kept", "rewritten", "deleted", "renamed", "taken", "destroyed"):
        put(metadata, a.id, name, name.encode())
    elsewhere = metadata.write(lambda w: tree.make_root(w, schema.COMMON, now_s=NOW_S))
    was = listing(metadata, home.id)
    with metadata.reading() as reading:
        ids = {one.name: one.id for one in look.children(reading, a.id)}
    attack = at(NOW_S + 60, OTHER)
    put(metadata, a.id, "rewritten", b"\xff" * 99, attack)
    put(metadata, a.id, "ransom.txt", b"pay", attack)
    metadata.write(lambda w: tree.delete(w, attack, ids["deleted"]))
    metadata.write(lambda w: tree.move(w, attack, ids["renamed"], a.id, "renamed.locked"))
    metadata.write(lambda w: tree.move(w, attack, ids["taken"], elsewhere.id, "taken"))
    metadata.write(lambda w: tree.delete(w, attack, ids["destroyed"]))
    metadata.write(lambda w: trash.forget(w, attack, home.id, ids["destroyed"]))
    trash.destroy_all(metadata, attack)
    with metadata.reading() as reading:
        moment = moments.Moment(reading, NOW_S + 59)
        seen_then = {one.name: (one.size_bytes, one.is_kept) for one in moment.children(a.id)}
        plan = way_to(reading, home.id, NOW_S + 59)
    assert seen_then == {name: (len(name), name != "destroyed") for name in ids}
    counts = (plan.removed, plan.returned, plan.copied, plan.moved, plan.rewritten, plan.lost)
    assert counts == (1, 1, 1, 1, 1, 1)
    go_back(metadata, plan, NOW_S + 120)
    lost = len("destroyed")
    assert listing(metadata, home.id) == {
        path: size - lost if path == "a" else size for path, size in was.items() if path != "a/destroyed"
    }
    assert listing(metadata, elsewhere.id) == {"taken": 5}, "it stays with whoever has it now"
    with metadata.reading() as reading:
        require_whole(reading)
        assert [one.name for one in trash.page(reading, home.id)] == ["ransom.txt"]
        again = way_to(reading, home.id, NOW_S + 119)
    assert again.returned == 1, "the way back can be taken back"


def test_a_time_of_which_nothing_is_known_any_more_is_refused(metadata: Database, home: Node) -> None:
    for n in range(5):
        put(metadata, home.id, f"f{n}", b"x", at(NOW_S + n))
    assert metadata.write(lambda w: moments.forget(w, before_s=NOW_S + 3, most=2))
    assert not metadata.write(lambda w: moments.forget(w, before_s=NOW_S + 3, most=2))
    with metadata.reading() as reading:
        with pytest.raises(moments.MomentForgotten):
            moments.Moment(reading, NOW_S + 2)
        assert len(moments.Moment(reading, NOW_S + 3).children(home.id)) == 4
        with pytest.raises(AbsentNode):
            way_to(reading, 10**9, NOW_S + 3)


def test_collection_takes_what_is_loose_for_a_day_and_what_nobody_knows(
    metadata: Database, home: Node
) -> None:
    class Objects:
        def __init__(self) -> None:
            self.ages_s = {b"known" * 7: 2.0 * DAY_S, b"loose" * 7: 2.0 * DAY_S, b"young" * 7: 10.0}
            self.ages_s[b"never" * 7] = 2.0 * DAY_S

        def list(self) -> Iterator[collect.Stored]:
            yield from [collect.Stored(one[:32], 1, age_s) for one, age_s in self.ages_s.items()]

        def delete(self, chunk_id: bytes) -> None:
            del self.ages_s[next(one for one in self.ages_s if one[:32] == chunk_id)]

    def stored(name: bytes) -> Content:
        chunk_id = (name * 7)[:32]
        return Content(1, "", "", packed((chunk_id, 1)), stored={chunk_id: 1})

    objects = Objects()
    metadata.write(lambda w: tree.put(w, ME, home.id, "known", stored(b"known")))
    x = metadata.write(lambda w: tree.put(w, ME, home.id, "x", stored(b"loose")))[0]
    small = put(metadata, home.id, "small", b"small")
    for one in (x, small):
        delete(metadata, one.id)
    metadata.write(lambda w: trash.empty(w, ME, home.id))
    trash.destroy_all(metadata, ME)
    kept = objects.ages_s.pop(b"loose" * 7)
    assert collect.run(metadata, objects, now_s=NOW_S + 60) == collect.Collected(0, 1)
    objects.ages_s[b"loose" * 7] = kept
    later = NOW_S + DAY_S + 60
    assert collect.run(metadata, objects, now_s=later) == collect.Collected(1, 1)
    assert sorted(one[:5] for one in objects.ages_s) == [b"known", b"young"]
    with pytest.raises(refs.ChunkVanished):
        metadata.write(lambda w: tree.put(w, ME, home.id, "late", stored(b"loose")))
    collect.run(metadata, objects, now_s=later + 8 * DAY_S)
    with metadata.reading() as reading:
        assert reading.all("SELECT id FROM doomed") == []
    with pytest.raises(refs.ChunkVanished):
        metadata.write(lambda w: tree.put(w, ME, home.id, "late", stored(b"loose")))
