"""What version 1 wrote is read for good: these samples are never written again."""

from __future__ import annotations

import shutil
import sqlite3
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest
from beffroi.drive import alarms
from beffroi.drive.store import keys, look, schema, trash, tree, versions
from beffroi.drive.store.chunking import chunk_id
from beffroi.drive.store.manifest import Chunk, Manifest
from beffroi.drive.store.model import QuotaFull
from beffroi.drive.store.sealing import HEADER_BYTES, Header, Sealer
from beffroi.drive.store.sqlite import SqliteDatabase
from beffroi.lib.config import Config

from tests.drive_trees import ME, content, listing, put, require_whole
from tests.fixtures_drive import SAMPLE_COLLECTIVITE, SAMPLES

V1 = Path(__file__).resolve().parents[1] / "data" / "drive" / "v1"
NAMES = {
    "small": "b2664e67f377d77fd80e736b3966b08836289c602561690982a9de546486647e",
    "text": "64959a3b492419317a00759dd37b0929001745e1752ab98ace95829282c80c42",
    "frames": "5b66293d30fa410aa32c9b8d246c0432fa7e135d19630b6bbf47fea46d8f62fc",
}


@pytest.fixture
def config(tmp_path: Path) -> Config:
    shutil.copytree(V1, tmp_path / "state")
    return Config(state=tmp_path / "state")


def test_sealed_chunks_of_version_1_open(config: Config) -> None:
    mine = keys.Keys(config, SAMPLE_COLLECTIVITE)
    chunks = Manifest.unpack((V1 / "manifest").read_bytes()).chunks
    assert mine.current()[0] == 2
    for (name, body), chunk in zip(SAMPLES.items(), chunks, strict=True):
        sealed = (V1 / f"{name}.sealed").read_bytes()
        assert (
            chunk
            == Chunk(chunk_id(mine.naming(), body), len(body))
            == (bytes.fromhex(NAMES[name]), len(body))
        )
        assert Sealer(mine).open(chunk.id, sealed) == body
        header = Header.read(chunk.id, sealed[:HEADER_BYTES])
        assert (header.generation, header.compressed) == (1 if name == "small" else 2, name == "text")


def test_a_manifest_of_version_1_is_written_as_it_was() -> None:
    packed = (V1 / "manifest").read_bytes()
    assert Manifest.unpack(packed).pack() == packed


def test_a_certificate_of_version_1_is_read_and_closes(config: Config) -> None:
    erased = "col_" + "1" * 26
    found = keys.certificate(config, erased)
    assert found is not None and found.erased_by == "usr_sample" and len(found.keys) == 2
    with pytest.raises(keys.KeysErased):
        keys.Keys(config, erased).current()


def test_metadata_of_version_1_open_and_go_on(tmp_path: Path) -> None:
    """Written before later tables were there: a version, something in the trash, a limit, an alarm."""
    path = tmp_path / "metadata.db"
    with closing(sqlite3.connect(path)) as raw:
        raw.executescript((V1 / "metadata.sql").read_text())
    with ThreadPoolExecutor(1) as commits:
        database = SqliteDatabase(path, commits)
        with database.reading() as reading:
            home, common = (look.root(reading, name) for name in (schema.HOME + "per_me", schema.COMMON))
            assert home is not None and common is not None
            order = look.walk(reading, common.id, ("Arrêtés", "Arrêté 2026-01.txt"))
            assert order is not None
            (older,) = versions.of(reading, order.id)
            (gone,) = trash.page(reading, home.id)
            (alarm,) = alarms.every(reading)
        assert (order.size_bytes, older.size_bytes, gone.name) == (17, 17, "à jeter.txt")
        assert (alarm.device_id, alarm.state, alarm.counts) == ("app_1", "open", {"lost": 3})
        database.write(lambda w: versions.restore(w, ME, order.id, older.etag))
        database.write(lambda w: trash.restore(w, ME, home.id, gone.node))
        put(database, home.id, "aujourd’hui.txt", b"x" * 100)
        with pytest.raises(QuotaFull):
            database.write(
                lambda w: tree.put(w, ME, home.id, "trop.bin", replace(content(b"x"), size_bytes=10**6))
            )
        assert set(listing(database, home.id)) == {"vide.txt", "à jeter.txt", "aujourd’hui.txt"}
        with database.reading() as reading:
            require_whole(reading)
        database.close()
