"""What version 1 wrote is read for good: these samples are never written again."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from beffroi.drive.store import keys
from beffroi.drive.store.chunking import chunk_id
from beffroi.drive.store.manifest import Chunk, Manifest
from beffroi.drive.store.sealing import HEADER_BYTES, Header, Sealer
from beffroi.lib.config import Config

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
