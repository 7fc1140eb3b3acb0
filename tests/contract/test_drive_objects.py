"""What every store of objects does: a local directory; a real S3 server, with ranges and without."""

from __future__ import annotations

import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import obstore
import pytest
from beffroi.drive.store import s3_listing
from beffroi.drive.store.local_objects import LocalObjects
from beffroi.drive.store.object_store import open_objects
from beffroi.drive.store.objects import (
    ObjectMissing,
    Objects,
    StoreUnavailable,
    chunk_of,
    object_name,
)
from beffroi.drive.store.s3_objects import S3Objects, S3Place
from beffroi.drive.store.sealing import MOST_SEALED_BYTES, ObjectDamaged
from beffroi.lib import ids
from beffroi.lib.config import Config

from tests.fixtures_drive import (
    noise,
    s3_server,
    with_others_keys,
    with_partial_answers,
    with_repeated_tokens,
)

COL = "col_" + "0" * 26  # the same in every worker: names of tests hold it


@pytest.fixture(scope="module")
def s3(tmp_path_factory: pytest.TempPathFactory) -> Iterator[S3Place]:
    with s3_server(tmp_path_factory.mktemp("s3") / "served") as place:
        yield place


@pytest.fixture(scope="module")
def s3_ranges(s3: S3Place) -> Iterator[S3Place]:
    with with_partial_answers(s3) as place:
        yield place


@pytest.fixture(params=["local", "s3", "s3_ranges"])
def objects(request: pytest.FixtureRequest, tmp_path: Path) -> Objects:
    if request.param == "local":
        return LocalObjects(tmp_path / "drive" / "objects")
    place: S3Place = request.getfixturevalue(request.param)
    return S3Objects(replace(place, folder=f"{place.folder}/{tmp_path.name}"))


def name(word: str, collectivite_id: str = COL) -> str:
    return object_name(collectivite_id, noise(32, word.encode()))


@pytest.mark.parametrize("size", [1, 100_000, MOST_SEALED_BYTES])
@pytest.mark.parametrize("kind", [bytes, bytearray, memoryview])
def test_what_is_put_is_got(objects: Objects, size: int, kind: type[bytes]) -> None:
    objects.put(name("a"), kind(noise(size)))
    assert bytes(objects.get(name("a"))) == noise(size)


def test_an_object_is_replaced_whole(objects: Objects) -> None:
    objects.put(name("a"), noise(5000, b"old"))
    objects.put(name("a"), noise(70, b"new"))
    assert bytes(objects.get(name("a"))) == noise(70, b"new")
    assert [one.size_bytes for one in objects.list(COL)] == [70]


def test_a_range_is_asked_for_as_a_range_where_the_service_knows_them(
    s3: S3Place, s3_ranges: S3Place
) -> None:
    for place, knows in ((s3, False), (s3_ranges, True)):
        objects = S3Objects(place)
        objects.put(name("ranges"), noise(1000))
        assert bytes(objects.get_range(name("ranges"), 5, 9)) == noise(1000)[5:9]
        assert objects._ranges is knows


@pytest.mark.parametrize(("start", "end"), [(0, 1), (0, 1000), (10, 20), (999, 1000)])
def test_a_range_is_got(objects: Objects, start: int, end: int) -> None:
    objects.put(name("a"), noise(1000))
    assert bytes(objects.get_range(name("a"), start, end)) == noise(1000)[start:end]


def test_a_range_that_passes_the_end_is_short(objects: Objects) -> None:
    objects.put(name("a"), noise(1000))
    assert bytes(objects.get_range(name("a"), 990, 2000)) == noise(1000)[990:]


def test_what_is_not_there_is_said_to_be_missing(objects: Objects) -> None:
    assert not objects.exists(name("a"))
    with pytest.raises(ObjectMissing, match=name("a")):
        objects.get(name("a"))
    with pytest.raises(ObjectMissing):
        objects.get_range(name("a"), 0, 10)
    objects.delete(name("a"))
    assert list(objects.list(COL)) == []


def test_what_is_deleted_is_gone_and_the_rest_is_not(objects: Objects) -> None:
    for word in ("a", "b"):
        objects.put(name(word), b"body")
    assert objects.exists(name("a"))
    objects.delete(name("a"))
    assert not objects.exists(name("a")) and objects.exists(name("b"))


def test_a_list_is_of_one_commune_with_sizes_and_ages(objects: Objects) -> None:
    other = ids.new_id("col")
    sizes = {name(str(n)): 100 + n for n in range(30)}
    for one, size in sizes.items():
        objects.put(one, noise(size))
    objects.put(name("a", other), b"theirs")
    found = list(objects.list(COL))
    assert {one.name: one.size_bytes for one in found} == sizes
    assert all(0 <= one.age_s < 600 for one in found)
    assert {object_name(COL, chunk_of(one.name)) for one in found} == set(sizes)
    assert [one.size_bytes for one in objects.list(other)] == [6]


def test_many_put_and_get_at_once(objects: Objects) -> None:
    words = [str(n) for n in range(40)]
    with ThreadPoolExecutor(8) as threads:
        list(threads.map(lambda word: objects.put(name(word), noise(3000, word.encode())), words))
        # Some at the same name: the last one wins, whole.
        list(threads.map(lambda word: objects.put(name("same"), noise(3000, word.encode())), words))
        got = list(threads.map(lambda word: bytes(objects.get(name(word))), words))
    assert got == [noise(3000, word.encode()) for word in words]
    assert bytes(objects.get(name("same"))) in got


@pytest.mark.parametrize(
    "bad", ["", "a", "../x", f"{COL}/../../secrets/x", f"/{COL}/aa/{'b' * 62}", f"{COL}/aa/{'B' * 62}"]
)
def test_names_that_are_not_ours_reach_nothing(objects: Objects, bad: str) -> None:
    for act in (objects.get, objects.exists, objects.delete, lambda one: objects.put(one, b"x")):
        with pytest.raises(ObjectMissing):
            act(bad)


def planted(objects: Objects, there: str, data: bytes = b"x") -> None:
    """As somebody puts it there who may write in the store."""
    if isinstance(objects, S3Objects):
        obstore.put(objects.store, objects._folder + there, data)
    else:
        assert isinstance(objects, LocalObjects)
        (objects._root / there).parent.mkdir(parents=True, exist_ok=True)
        (objects._root / there).write_bytes(data)


def test_what_has_no_name_of_ours_is_not_listed(objects: Objects) -> None:
    objects.put(name("a"), b"body")
    for there in ("LISEZMOI.txt", "aa/short", f"aa/{'B' * 62}", f"ab/{'c' * 63}", f"ab/c/{'d' * 61}", ".x/y"):
        planted(objects, f"{COL}/{there}")
    assert [one.name for one in objects.list(COL)] == [name("a")]


def test_what_is_no_file_is_neither_listed_nor_waited_for(tmp_path: Path) -> None:
    objects = LocalObjects(tmp_path / "objects")
    for word in ("a", "folder", "link", "pipe"):
        objects.put(name(word), b"body")
    folder, link, pipe = (tmp_path / "objects" / name(word) for word in ("folder", "link", "pipe"))
    for one in (folder, link, pipe):
        one.unlink()
    folder.mkdir()
    link.symlink_to("/dev/zero")
    os.mkfifo(pipe)
    assert [one.name for one in objects.list(COL)] == [name("a")]
    for word in ("folder", "link", "pipe"):
        with pytest.raises(ObjectMissing):
            objects.get(name(word))
        with pytest.raises(ObjectMissing):
            objects.get_range(name(word), 0, 9)


def test_what_is_longer_than_a_chunk_is_not_read(objects: Objects) -> None:
    planted(objects, name("long"), bytes(MOST_SEALED_BYTES + 1))
    with pytest.raises(ObjectDamaged):
        objects.get(name("long"))
    planted(objects, name("long"), bytes(MOST_SEALED_BYTES))
    assert len(objects.get(name("long"))) == MOST_SEALED_BYTES


def test_a_sweep_takes_nothing_that_is_whole(objects: Objects) -> None:
    objects.put(name("a"), b"body")
    assert objects.sweep(0) == 0
    assert objects.exists(name("a"))


def test_a_wrong_key_or_an_absent_service_is_unavailable(s3: S3Place) -> None:
    for place in (
        replace(s3, secret_key="wrong"),
        replace(s3, bucket="another"),
    ):
        with pytest.raises(StoreUnavailable) as failed:
            S3Objects(place).put(name("a"), b"body")
        assert s3.secret_key not in str(failed.value)


def test_keys_of_others_that_are_no_paths_are_passed_over_and_counted(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    others = "/private", "00/../private", "ff/private&#10;name"
    with s3_server(tmp_path / "served") as real, with_others_keys(real, *others) as place:
        mine = {name(f"{number}") for number in range(1200)}
        for one in mine:
            S3Objects(real).put(one, b"body")
        found = list(S3Objects(place).list(COL))
        assert {one.name for one in found} == mine
        assert {(one.size_bytes, one.age_s < 600) for one in found} == {(4, True)}
        (line,) = (one for one in caplog.messages if "passed over" in one)
        assert f"{COL}: 6 keys" in line, "three in each of two parts"
        assert "private" not in caplog.text
        with pytest.raises(StoreUnavailable, match="403"):
            list(s3_listing._pages(replace(place, secret_key="wrong"), {"prefix": f"a/{COL}/"}))


@pytest.mark.parametrize("turns", [1, 3])
def test_a_service_that_gives_the_same_part_again_and_again_ends_in_an_error(
    tmp_path: Path, turns: int
) -> None:
    with s3_server(tmp_path / "served") as real:
        for number in range(7):
            S3Objects(real).put(name(f"{number}"), b"body")
        with with_repeated_tokens(real, turns=turns) as place, pytest.raises(StoreUnavailable, match="again"):
            for number, _ in enumerate(s3_listing._pages(place, {"prefix": ""})):
                assert number <= turns
        with with_repeated_tokens(real, turns=turns) as place, pytest.raises(StoreUnavailable, match="again"):
            for number, _ in enumerate(S3Objects(place).list(COL)):
                assert number < 1000
        with with_repeated_tokens(real, turns=turns) as place, pytest.raises(StoreUnavailable, match="again"):
            s3_listing.folders(place, "")


ANSWER = """<?xml version="1.0" encoding="UTF-8"?>
<ListBucketResult xmlns="http://s3.amazonaws.com/doc/2006-03-01/"><IsTruncated>true</IsTruncated>
<EncodingType>url</EncodingType><NextContinuationToken>next%2Bone</NextContinuationToken>
<Contents><Key>a/{col}//x%0A+y</Key><LastModified>2026-11-28T04:00:00.000Z</LastModified><Size>7</Size></Contents>
<Contents><Key>a%2Fb</Key><LastModified>2026-11-28T04:00:01.500Z</LastModified><Size>0</Size></Contents>
<CommonPrefixes><Prefix>a/{col}/</Prefix></CommonPrefixes><CommonPrefixes><Prefix>a//</Prefix></CommonPrefixes>
</ListBucketResult>"""


def test_an_answer_of_a_service_is_read_as_its_protocol_says() -> None:
    found, folders, token = s3_listing.page(ANSWER.format(col=COL).encode())
    assert (folders, token) == ([f"a/{COL}/", "a//"], "next%2Bone")
    assert [one.path for one in found] == [f"a/{COL}//x\n y", "a/b"]
    assert found[1].written - found[0].written == 1.5
    for broken in (b"", b"<html>", b"<a><Contents><Key>x</Key></Contents></a>", ANSWER.encode()[:300]):
        with pytest.raises(StoreUnavailable):
            s3_listing.page(broken)


def test_the_settings_lead_to_a_bucket(s3: S3Place, tmp_path: Path) -> None:
    (tmp_path / "secrets").mkdir()
    (tmp_path / "secrets" / "drive-objects.key").write_text(f"{s3.access_key}\n{s3.secret_key}\n")
    objects = open_objects(
        Config(state=tmp_path, drive_objects=f"s3://coffre/by/setting?endpoint={s3.endpoint}")
    )
    objects.put(name("a"), b"body")
    assert [one.name for one in objects.list(COL)] == [name("a")]
    assert s3.secret_key not in repr(s3)
