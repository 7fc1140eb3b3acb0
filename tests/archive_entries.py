"""For tests of the drive's archives: files in memory, names that systems quarrel about, a seal, a transfer."""

from __future__ import annotations

import hashlib
import io
import tarfile
import zipfile
from collections.abc import Iterable, Mapping
from dataclasses import replace
from datetime import UTC, date, datetime
from typing import BinaryIO, cast

from beffroi.drive.archives import manifest, seda
from beffroi.drive.archives.entries import Entry
from beffroi_protocol.signing import public_bytes
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st

MTIME_S = 1_764_000_000
unhurried = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])  # machines are loaded

HOSTILE = (
    "../../etc/passwd",
    "/etc/shadow",
    "..",
    ".",
    "a/../b.pdf",
    "a//b.pdf",
    "",
    "CON",
    "nul.txt",
    "com1.tar.gz",
    "LPT¹",
    "fin. ",
    "fin.",
    " début",
    "   ",
    "cha\u0302teau.pdf",
    "château.pdf",
    "Délibération.pdf",
    "délibération.PDF",
    "STRASSE.txt",
    "straße.txt",
    "retour\rchariot\nligne.txt",
    "tabulation\t.txt",
    "nul\x00.txt",
    "cloche\x07.pdf",
    "droite\u202egauche.fdp.exe",
    "50 %.pdf",
    "50 %25.pdf",
    'a<b>c:d"e|f?g*h.txt',
    "barre\\oblique.txt",
    "\udcff.bin",
    "\ufeffbom.txt",
    "é" * 127 + "x",
    "x" * 255,
    "y" * 300 + ".pdf",
    "/".join(["profond" * 20] * 12) + "/a.odt",
    "dossier/fichier.txt",
    "Dossier/Fichier.txt",
    "_chemins-longs/a.txt",
    "_",
    "-rf",
    "~2.txt",
    "emoji 👩‍👧.png",
)

names = st.one_of(
    st.sampled_from([part for path in HOSTILE for part in path.split("/")]),
    st.text(st.characters(exclude_characters="/"), max_size=300),
)
paths = st.lists(names, min_size=1, max_size=5).map("/".join)
folders = st.dictionaries(paths, st.binary(max_size=200), max_size=12)


KEY = Ed25519PrivateKey.from_private_bytes(bytes(range(32)))
TRUSTED = [public_bytes(KEY)]
SUBJECT = manifest.Subject(
    "col_1",
    "node_7",
    "Délibérations 2026",
    MTIME_S,
    MTIME_S + 86400,
    "per_3",
    "deliberations",
    4211,
    "ab" * 32,
)
ARCHIVES = seda.Agency("AD31", "agreed", "Archives départementales")
COMMUNE = seda.Agency("213105554", "SIREN", "Commune de Saint-Exemple")
TRANSFER = seda.Transfer(
    identifier="BEFFROI-node_7-1",
    at=datetime(2026, 11, 27, 5, 0, tzinfo=UTC),
    title="Délibérations 2026",
    document_type="Délibérations",
    first=date(2026, 1, 8),
    last=date(2026, 11, 20),
    archival=ARCHIVES,
    transferring=COMMUNE,
    originating=COMMUNE,
    agreement="IC-000001",
    appraisal=seda.Rule("APP-00001", date(2026, 11, 20)),
    access=seda.Rule("ACC-00001", date(2026, 11, 20)),
)


def entry(path: str, data: bytes = b"", *, mtime_s: int = MTIME_S) -> Entry:
    return Entry(path, len(data), mtime_s, hashlib.sha256(data).hexdigest(), lambda: io.BytesIO(data))


def folder(files: Mapping[str, bytes]) -> list[Entry]:
    return [entry(path, data) for path, data in files.items()]


def other(one: Entry, data: bytes) -> Entry:
    """The same file as the store knows it, whose reader gives something else."""

    def opened() -> BinaryIO:
        return io.BytesIO(data)

    return replace(one, open=opened)


class _Zeros(io.RawIOBase):
    def __init__(self, size_bytes: int) -> None:
        self._left = size_bytes

    def read(self, count: int = -1, /) -> bytes:
        count = min(count, self._left)
        self._left -= count
        return bytes(count)


def zeros(path: str, size_bytes: int) -> Entry:
    """A file of zeros that lies nowhere."""
    digest, block = hashlib.sha256(), bytes(1 << 20)
    for _ in range(size_bytes >> 20):
        digest.update(block)
    digest.update(bytes(size_bytes & ((1 << 20) - 1)))
    return Entry(path, size_bytes, MTIME_S, digest.hexdigest(), lambda: cast(BinaryIO, _Zeros(size_bytes)))


def joined(pieces: Iterable[bytes]) -> bytes:
    return b"".join(pieces)


def as_tar(package: bytes) -> bytes:
    """The same files in the same order, as somebody who packs them again writes them."""
    out = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(package)) as members, tarfile.open(fileobj=out, mode="w") as tar:
        for name in members.namelist():
            info = tarfile.TarInfo(name.rstrip("/"))
            info.type = tarfile.DIRTYPE if name.endswith("/") else tarfile.REGTYPE
            data = members.read(name)
            info.size = len(data)
            tar.addfile(info, io.BytesIO(data))
    return out.getvalue()
