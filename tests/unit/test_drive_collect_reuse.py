"""What a writer found there, or wrote, and collection took before its commit, is not taken for there."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest
from beffroi.drive.store import collect, refs, schema, tree, uploads
from beffroi.drive.store.sqlite import SqliteDatabase

from tests.drive_trees import ME, NOW_S, content

DAY_S = 86400


class Objects:
    """In memory; none is old enough to be looked at for itself."""

    def __init__(self) -> None:
        self.kept: set[bytes] = set()

    def list(self) -> Iterator[collect.Stored]:
        return (collect.Stored(one, 1, 0.0) for one in self.kept)

    def delete(self, chunk_id: bytes) -> None:
        self.kept.discard(chunk_id)


def test_a_chunk_that_lay_with_the_metadata_and_is_collected_is_not_taken_for_there(tmp_path: Path) -> None:
    small = content(b"small")
    with ThreadPoolExecutor(2) as pool:
        drive = SqliteDatabase(tmp_path / "m.db", pool)
        home = drive.write(lambda w: tree.make_root(w, schema.COMMON, now_s=NOW_S)).id
        drive.write(lambda w: uploads.begin(w, ME, "u"))
        drive.write(lambda w: uploads.put_part(w, ME, "u", 1, small))
        with drive.reading() as reading:
            assert refs.known(reading, [small.inline[0].id])
            reused = replace(small, inline=(), since=refs.now(reading))
        drive.write(lambda w: uploads.abort(w, ME, "u"))
        assert collect.run(drive, Objects(), now_s=NOW_S + 2 * DAY_S).inline == 1
        with pytest.raises(refs.ChunkVanished):
            drive.write(lambda w: tree.put(w, ME, home, "x", reused))
        assert drive.write(lambda w: tree.put(w, ME, home, "x", small))[1]
        drive.close()


def test_a_chunk_that_two_wrote_and_one_gave_up_is_not_taken_for_there_by_the_other(tmp_path: Path) -> None:
    chunk, objects = content(b"large").inline[0].id, Objects()
    with ThreadPoolExecutor(2) as pool:
        drive = SqliteDatabase(tmp_path / "m.db", pool)
        home = drive.write(lambda w: tree.make_root(w, schema.COMMON, now_s=NOW_S)).id
        with drive.reading() as reading:
            body = replace(content(b"large"), inline=(), stored={chunk: 1}, since=refs.now(reading))
        objects.kept.add(chunk)  # by both, who found nothing there
        drive.write(lambda w: uploads.begin(w, ME, "u"))
        drive.write(lambda w: uploads.put_part(w, ME, "u", 1, body))
        drive.write(lambda w: uploads.abort(w, ME, "u"))
        assert collect.run(drive, objects, now_s=NOW_S + 2 * DAY_S).objects == 1
        with pytest.raises(refs.ChunkVanished):
            drive.write(lambda w: tree.put(w, ME, home, "x", body))
        drive.close()
