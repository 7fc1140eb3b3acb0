"""Whether a bag is what it says: every kind of damage, named.

Purpose: a proof of an export before it is handed over, and of one that comes back.
Input:   hostile: names, lists and sizes of somebody else's archive. Nothing is unpacked, nothing is followed out of the
         folder; a list is read whole, up to ``LIST_BYTES``. Time grows with the bytes that an archive unpacks to: give
         a stranger's archive a limit of time.
Fails:   closed: what cannot be read is a damage. ``fetch.txt`` is one, too: what it names lies elsewhere.
Source:  RFC 8493 sections 2, 3 and 5.
"""

from __future__ import annotations

import hashlib
import os
import re
import stat
import struct
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from enum import StrEnum
from functools import partial
from pathlib import Path
from typing import IO, Any, BinaryIO, NamedTuple

from beffroi.drive.archives import zips
from beffroi.drive.archives.entries import PIECE_BYTES

LIST_BYTES = 256 << 20
_TAR_END_BYTES = 2 * tarfile.BLOCKSIZE
_MANIFEST = re.compile(r"(tag)?manifest-([a-z0-9]+)\.txt")
_LINE = re.compile(r"([0-9A-Fa-f]+)[ \t]+\*?(.+)", re.DOTALL)
_KNOWN = {"sha512": 128, "sha384": 96, "sha256": 64, "sha224": 56, "sha1": 40, "md5": 32}
_ENCODED = re.compile(r"%(25|0[AaDd])")
_DECLARED = re.compile(rb"BagIt-Version: (0\.9[5-7]|1\.0)\r?\nTag-File-Character-Encoding: UTF-8(\r?\n)?")


class Kind(StrEnum):
    """``value``: a code; ``sentence``: a French source string."""

    NOT_A_BAG = "not_a_bag"
    DECLARATION = "declaration"
    NO_LIST = "no_list"
    BAD_LINE = "bad_line"
    UNSAFE_PATH = "unsafe_path"
    UNKNOWN_HASH = "unknown_hash"
    MISSING = "missing"
    ALTERED = "altered"
    UNLISTED = "unlisted"
    LISTS_DIFFER = "lists_differ"
    OXUM = "oxum"
    TWICE = "twice"
    ELSEWHERE = "elsewhere"
    UNREADABLE = "unreadable"
    TOO_LARGE = "too_large"

    @property
    def sentence(self) -> str:
        return _SENTENCES[self]


_SENTENCES = {
    Kind.NOT_A_BAG: "Ce n'est pas un paquet BagIt, ou il n'est pas dans un seul dossier.",
    Kind.DECLARATION: "La déclaration du paquet (bagit.txt) n'est pas lisible.",
    Kind.NO_LIST: "Le paquet n'a pas de liste d'empreintes.",
    Kind.BAD_LINE: "Une ligne d'une liste d'empreintes n'est pas lisible.",
    Kind.UNSAFE_PATH: "Un chemin sort du paquet.",
    Kind.UNKNOWN_HASH: "Une liste est d'un calcul d'empreinte inconnu.",
    Kind.MISSING: "Un fichier de la liste est absent.",
    Kind.ALTERED: "Un fichier n'a plus son empreinte.",
    Kind.UNLISTED: "Un fichier n'est pas dans la liste.",
    Kind.LISTS_DIFFER: "Les listes ne nomment pas les mêmes fichiers.",
    Kind.OXUM: "Le nombre de fichiers ou d'octets n'est pas celui annoncé.",
    Kind.TWICE: "Un fichier est nommé deux fois.",
    Kind.ELSEWHERE: "Une partie du contenu est ailleurs (fetch.txt).",
    Kind.UNREADABLE: "L'archive ou un fichier ne peut pas être lu.",
    Kind.TOO_LARGE: "Une liste est trop grande pour être lue.",
}


@dataclass(frozen=True, order=True)
class Damage:
    """``path``: in the bag, as it stands there; "" for the bag as a whole."""

    kind: Kind
    path: str = ""


type Opener = Callable[[], BinaryIO | IO[bytes]]


class Member(NamedTuple):
    """``is_plain``: no link, no device, nothing that is longer than its bytes."""

    name: str
    open: Opener
    is_plain: bool


type Tree = Mapping[str, Opener]
# What zipfile and tarfile raise over broken bytes is more than their own errors.
BROKEN = (
    OSError,
    ValueError,
    LookupError,
    OverflowError,
    EOFError,
    RuntimeError,
    struct.error,
    zlib.error,
    zipfile.BadZipFile,
    tarfile.TarError,
)


def directory(path: Path) -> list[Damage]:
    """Look through an unpacked bag: the folder that has ``bagit.txt``. Links are followed nowhere."""
    tree: dict[str, Opener] = {}
    found: list[Damage] = []
    for folder, folders, files in os.walk(path):
        for name in (*files, *(name for name in folders if Path(folder, name).is_symlink())):
            one = Path(folder, name)
            key = one.relative_to(path).as_posix()
            if stat.S_ISREG(one.lstat().st_mode):
                tree[key] = lambda one=one: one.open("rb")  # type: ignore[misc]
            else:
                found.append(Damage(Kind.UNREADABLE, _plain(key)))
    return sorted({*found, *examine(tree)})


def archive(file: IO[bytes]) -> list[Damage]:
    """Look through a bag in a ZIP or a tar; ``file`` can seek."""
    found: list[Damage] = []
    try:
        with opened(file) as listed:
            tree: dict[str, Opener] = {}
            members = [one._replace(name=one.name.removeprefix("./")) for one in listed]
            bases = {one.name.split("/", 1)[0] for one in members}
            if len(bases) != 1:
                return [Damage(Kind.NOT_A_BAG)]
            for one in members:
                key = one.name.split("/", 1)[1] if "/" in one.name else ""
                if key in tree:
                    found.append(Damage(Kind.TWICE, _plain(key)))
                if not _inside(one.name):
                    found.append(Damage(Kind.UNSAFE_PATH, _plain(key)))
                if not one.is_plain:  # also what no list names: who unpacks it writes where it leads
                    found.append(Damage(Kind.UNREADABLE, _plain(key)))
                tree[key] = one.open
            return sorted({*found, *examine(tree)})
    except BROKEN:
        return [Damage(Kind.UNREADABLE)]


@contextmanager
def opened(file: IO[bytes]) -> Iterator[list[Member]]:
    file.seek(0)
    # By its beginning: a ZIP in a tar, near the end, would make the tar a ZIP for ``is_zipfile``.
    if file.read(len(zips.BEGINS)) == zips.BEGINS:
        with zipfile.ZipFile(file) as package:
            begins = zips.beginnings(file, package)
            yield [
                Member(
                    info.filename, partial(_of_zip, file, info, begins[info.header_offset]), _is_file(info)
                )
                for info in package.infolist()
                if not info.is_dir()
            ]
        return
    file.seek(0)
    sparing: Any = _Sparing(file)  # who only reads asks for no more than it has
    with tarfile.open(fileobj=sparing, mode="r:") as package_tar:
        members = [
            Member(
                member.name,
                partial(_of_tar, package_tar, member),
                member.isreg() and not member.issparse(),
            )
            for member in package_tar
            if not member.isdir()
        ]
        file.seek(package_tar.offset)
        if file.read(_TAR_END_BYTES) != bytes(_TAR_END_BYTES):  # cut between two files, it reads well
            raise tarfile.TarError("no end")
        yield members


class _Sparing:
    """A file of which no header makes its reader take more than the longest list."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file
        self.seek, self.tell = file.seek, file.tell

    def read(self, size: int = -1) -> bytes:
        if not 0 <= size <= LIST_BYTES + PIECE_BYTES:
            raise tarfile.ReadError("a header longer than any")
        return self._file.read(size)


def _is_file(info: zipfile.ZipInfo) -> bool:
    """Also where it does not say."""
    return stat.S_IFMT(info.external_attr >> 16) in (0, stat.S_IFREG)


def _of_zip(file: IO[bytes], info: zipfile.ZipInfo, begins: int) -> IO[bytes]:
    if not _is_file(info):
        raise zipfile.BadZipFile("a link")
    return zips.content(file, info, begins)


def _of_tar(package: tarfile.TarFile, member: tarfile.TarInfo) -> IO[bytes]:
    found = package.extractfile(member) if member.isreg() and not member.issparse() else None
    if found is None:
        raise tarfile.TarError("a link, or more zeros than anybody has time for")
    return found


def examine(tree: Tree) -> list[Damage]:
    """All damages of the bag whose files these are, by path from its folder; [] for a valid one."""
    return sorted(_Examination(tree).run())


class _Examination:
    def __init__(self, tree: Tree) -> None:
        self._tree = tree
        self._found: set[Damage] = set()
        self._sizes: dict[str, int] = {}
        self._left = 2 * LIST_BYTES
        """Of all texts together."""

    def run(self) -> set[Damage]:
        if "bagit.txt" not in self._tree:
            return {Damage(Kind.NOT_A_BAG)}
        if not _DECLARED.fullmatch(self._text("bagit.txt") or b""):
            self._add(Kind.DECLARATION, "bagit.txt")
        if "fetch.txt" in self._tree:
            self._add(Kind.ELSEWHERE, "fetch.txt")
        payload: dict[str, dict[str, str]] = {}
        tags: dict[str, dict[str, str]] = {}
        for name in self._tree:
            match = _MANIFEST.fullmatch(name)
            if match is None:
                continue
            if match[2] not in _KNOWN:
                self._add(Kind.UNKNOWN_HASH, name)
                continue
            (tags if match[1] else payload)[match[2]] = self._list(name, match[2], payload=not match[1])
        if not payload:
            self._add(Kind.NO_LIST)
        self._same_files(payload)
        held = {path for path in self._tree if path.startswith("data/")}
        for path in held - {path for one in payload.values() for path in one}:
            self._add(Kind.UNLISTED, path)
        self._compare(payload)
        self._compare(tags)
        self._oxum(held)
        return self._found

    def _add(self, kind: Kind, path: str = "") -> None:
        self._found.add(Damage(kind, _plain(path)))

    def _text(self, name: str) -> bytes | None:
        try:
            most = min(LIST_BYTES, self._left)
            with self._tree[name]() as file:
                data = file.read(most + 1)
        except BROKEN:
            self._add(Kind.UNREADABLE, name)
            return None
        if len(data) > most:
            self._add(Kind.TOO_LARGE, name)
            return None
        self._left -= len(data)
        return data

    def _list(self, name: str, algorithm: str, *, payload: bool) -> dict[str, str]:
        listed: dict[str, str] = {}
        for raw in re.split(rb"\r\n|\n|\r", self._text(name) or b""):
            if not raw:
                continue
            digest, path = told(raw)
            if len(digest) != _KNOWN[algorithm]:
                self._add(Kind.BAD_LINE, name)
                continue
            if not _inside(path) or path.startswith("data/") != payload:
                self._add(Kind.UNSAFE_PATH, path)
            elif path in listed:
                self._add(Kind.TWICE, path)
            else:
                listed[path] = digest
        return listed

    def _same_files(self, payload: Mapping[str, Mapping[str, str]]) -> None:
        every = {path for one in payload.values() for path in one}
        for one in payload.values():
            for path in every - one.keys():
                self._add(Kind.LISTS_DIFFER, path)

    def _compare(self, lists: Mapping[str, Mapping[str, str]]) -> None:
        """Each file is read once, whatever the number of lists."""
        wanted: dict[str, dict[str, str]] = {}
        for algorithm, listed in lists.items():
            for path, digest in listed.items():
                wanted.setdefault(path, {})[algorithm] = digest
        for path, digests in wanted.items():
            if path not in self._tree:
                self._add(Kind.MISSING, path)
                continue
            hashes = {algorithm: hashlib.new(algorithm, usedforsecurity=False) for algorithm in digests}
            size = 0
            try:
                with self._tree[path]() as file:
                    while piece := file.read(PIECE_BYTES):
                        size += len(piece)
                        for one in hashes.values():
                            one.update(piece)
            except BROKEN:
                self._add(Kind.UNREADABLE, path)
                continue
            self._sizes[path] = size
            if any(hashes[algorithm].hexdigest() != digest for algorithm, digest in digests.items()):
                self._add(Kind.ALTERED, path)

    def _oxum(self, held: set[str]) -> None:
        if "bag-info.txt" not in self._tree:
            return
        fields = (line.partition(b":") for line in (self._text("bag-info.txt") or b"").splitlines())
        said = next(
            (value.strip() for name, _, value in fields if name.rstrip().lower() == b"payload-oxum"), None
        )
        if said is None or not held <= self._sizes.keys():
            return  # not announced, or some file is a damage already
        if said != f"{sum(self._sizes[path] for path in held)}.{len(held)}".encode():
            self._add(Kind.OXUM, "bag-info.txt")


def told(line: bytes) -> tuple[str, str]:
    """(hash in small letters, path) of a line of a list; ("", "") of what is none."""
    try:
        match = _LINE.fullmatch(line.decode())
    except UnicodeDecodeError:
        match = None
    return (match[1].lower(), decoded(match[2].removeprefix("./"))) if match else ("", "")


def decoded(path: str) -> str:
    """The path of a line (RFC 8493 section 2.1.3): %25, %0A and %0D alone stand for something."""
    return _ENCODED.sub(lambda found: chr(int(found[1], 16)), path)


def _inside(path: str) -> bool:
    """Also on Windows, where a backslash parts names, too."""
    parts = path.split("/")
    return not any(one in ("", ".", "..") or ".." in one.split("\\") for one in parts) and "\x00" not in path


def _plain(path: str) -> str:
    return path.encode("utf-8", "backslashreplace").decode()
