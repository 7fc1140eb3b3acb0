"""A picture of a drive's metadata and the way back, on each database; a picture of one opens in the other."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from beffroi.drive.backup import pictures
from beffroi.drive.store import favourites, look, room, schema, tree, uploads, versions
from beffroi.drive.store.commune import open_communes
from beffroi.drive.store.database import Database
from beffroi.drive.store.keys import KeysErased
from beffroi.drive.store.model import NO_LIMIT, AbsentNode, Limits
from beffroi.drive.store.sqlite import MetadataDamaged, SqliteDatabase
from beffroi.drive.store.writing import Writing
from beffroi.lib.ids import new_id

from tests.drive_server import who
from tests.drive_trees import ME, Open, content, folder, listing, loose, put, require_whole
from tests.fixtures_drive import erase, new_config
from tests.fixtures_drive_store import in_one_file
from tests.waiting import PATIENCE_S

WHO = who("me", "col_me")
pytest_plugins = ["tests.fixtures_drive_store"]


def filled(metadata: Database) -> int:
    home = metadata.write(lambda w: tree.make_root(w, schema.HOME + ME.person_id, now_s=ME.now_s))
    box = folder(metadata, home.id, "Été")
    for data in (b"1", b"22", b"333"):
        put(metadata, box.id, "a.txt", data)
    many = pictures.PAGE + 5
    metadata.write(lambda w: [tree.put(w, ME, box.id, f"n{n}", content(b"%d" % n)) for n in range(many)])
    metadata.write(lambda w: uploads.begin(w, ME, "u"))
    metadata.write(lambda w: uploads.put_part(w, ME, "u", 1, content(b"part")))
    metadata.write(lambda w: favourites.set_star(w, WHO, ("col_me", box.id), starred=True))
    metadata.write(lambda w: tree.set_limit(w, home.id, 10**6))
    return home.id


def rows(metadata: Database) -> dict[str, list[Any]]:
    with metadata.reading() as reading:
        out = {
            table: sorted(reading.all(pictures._sql(f"SELECT * FROM {table}")), key=repr)
            for table in pictures._TABLES
            if table != "meta"
        }
        require_whole(reading)
    return out


def test_all_comes_back_and_is_told_apart_from_what_was(opens: Open, tmp_path: Path) -> None:
    metadata = opens()
    home, path = filled(metadata), tmp_path / "picture"
    before = rows(metadata)
    number = pictures.take(metadata, path)
    late = put(metadata, home, "after the picture", b"4444")
    highest = late.etag
    with metadata.reading() as reading:
        (one,) = reading.all("SELECT id FROM node WHERE name = 'a.txt'")
    metadata.write(lambda w: tree.delete(w, ME, one[0]))
    fingerprints = {metadata.write(lambda w: pictures.load(w, path)) for _ in range(2)}
    assert len(fingerprints) == 2
    assert rows(metadata) == before
    with metadata.reading() as reading:
        (said,) = reading.all("SELECT value FROM meta WHERE name = 'fingerprint'")
        assert said[0] in fingerprints
        with pytest.raises(AbsentNode):
            versions.find(reading, late.id, highest)
    assert "after the picture" not in listing(metadata, home)
    assert put(metadata, home, "x", b"5").etag > max(number, highest), "no number comes twice"
    again = opens()
    assert "x" in listing(again, home)
    with again.reading() as reading:
        assert room.limit(reading, home) == 10**6


def test_no_number_of_what_is_lost_with_a_disk_comes_twice(tmp_path: Path) -> None:
    """Its files may lie on devices, which know them by these numbers."""
    path = tmp_path / "picture"
    with in_one_file(tmp_path / "lost.db") as lost, in_one_file(tmp_path / "new.db") as new:
        home = filled(lost)
        pictures.take(lost, path)
        late = lost.write(
            lambda w: [tree.put(w, ME, home, f"late {n}", content(b"1"))[0] for n in range(1500)]
        )
        new.write(lambda w: pictures.load(w, path))
        assert put(new, home, "x", b"5").id > late[-1].etag


def test_what_is_usual_stays_as_the_settings_say_today(opens: Open, tmp_path: Path) -> None:
    metadata, today = opens(), Limits(10, 20, 30)
    home, path = filled(metadata), tmp_path / "picture"
    metadata.write(lambda w: tree.set_limit(w, home, NO_LIMIT))
    pictures.take(metadata, path)
    metadata.write(lambda w: room.keep_usual(w, today))
    metadata.write(lambda w: pictures.load(w, path))
    with metadata.reading() as reading:
        assert room.usual(reading) == today
        assert (room.limit(reading, home), room.limit(reading, room.WHOLE)) == (10, 20)


def test_a_picture_opens_in_the_other_database_too(opens: Open, tmp_path: Path) -> None:
    metadata = opens()
    home, path = filled(metadata), tmp_path / "picture"
    pictures.take(metadata, path)
    with ThreadPoolExecutor(1) as pool:
        other = SqliteDatabase(tmp_path / "other.db", pool)
        other.write(lambda w: pictures.load(w, path))
        assert (listing(other, home), rows(other)) == (listing(metadata, home), rows(metadata))
        pictures.take(other, tmp_path / "back")
        other.close()
    metadata.write(lambda w: pictures.load(w, tmp_path / "back"))
    assert put(metadata, home, "y", b"6").size_bytes == 1
    assert loose(metadata) == 0
    with metadata.reading() as reading:
        assert look.root(reading, schema.HOME + ME.person_id) is not None


def test_a_damaged_picture_is_told_apart_from_a_full_disk(tmp_path: Path) -> None:
    path = tmp_path / "picture"
    with in_one_file(tmp_path / "metadata.db") as metadata:
        filled(metadata)
        pictures.take(metadata, path)
    whole = path.read_bytes()
    for damaged in (
        whole[:100] + b"\xff" * 4000 + whole[4100:],
        whole[: len(whole) // 2],
        b"no database" * 999,
    ):
        path.write_bytes(damaged)
        with pytest.raises(MetadataDamaged):
            pictures.bring_forward(path)
    path.write_bytes(whole)
    pictures.bring_forward(path)


def test_what_was_written_in_the_moment_of_a_restore_is_gone_or_there_whole(
    opens: Open, tmp_path: Path
) -> None:
    metadata = opens()
    home, path = filled(metadata), tmp_path / "picture"
    pictures.take(metadata, path)
    before = listing(metadata, home)
    hold = threading.Event()
    metadata.submit(lambda w: hold.wait(PATIENCE_S))
    early = metadata.submit(lambda w: tree.put(w, ME, home, "early", content(b"55555")))

    def fails(writing: Writing) -> None:
        pictures.load(writing, path)
        raise ZeroDivisionError

    failing = metadata.submit(fails)
    loaded = metadata.submit(lambda w: pictures.load(w, path))
    late = metadata.submit(lambda w: tree.put(w, ME, home, "late", content(b"666666")))
    hold.set()
    assert early.result(10) and loaded.result(10) and late.result(10)
    assert isinstance(failing.exception(10), ZeroDivisionError)
    assert listing(metadata, home) == before | {"late": 6}
    with metadata.reading() as reading:
        require_whole(reading)


def test_what_is_erased_is_not_there_any_more(backend_url: str, tmp_path: Path) -> None:
    made = new_config(tmp_path / "state")
    config = replace(made, database_url=backend_url, drive_on_server=bool(backend_url))
    owner = new_id("col")
    with ThreadPoolExecutor(1) as pool:
        communes = open_communes(config, pool)
        filled(communes.metadata(owner))
        erase(config, owner)
        with pytest.raises(KeysErased):
            communes.metadata(owner)
        assert communes.ids() == []
        (config.state / "drive" / owner / "erased.json").unlink()  # to look behind it
        with communes.metadata(owner, begins=True).reading() as reading:
            assert reading.all("SELECT name FROM node") == []
        communes.close()
