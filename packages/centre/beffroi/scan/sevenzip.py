"""What the list of a 7z tells of its files that need a password: sum and length of each. Pure.

Hostile: every byte. Numbers count what stands in the list, which is no longer than MOST_BYTES.
Fails:   ValueError, IndexError, LZMAError for what is cut or built otherwise, and where the list needs the password.
Source:  7zFormat.txt of 7-Zip.
"""

from __future__ import annotations

import lzma
from collections.abc import Iterator
from dataclasses import dataclass, field

from beffroi.scan import bodies
from beffroi.scan.bodies import Body

MOST_BYTES = 4 * 1024 * 1024
_MOST_FILES = 20_000
_HEAD_BYTES = 32
_END, _HEADER, _STREAMS, _PACKED, _UNPACKED, _SUB, _SIZES, _SUMS, _FOLDERS, _OUT_SIZES, _COUNTS, _ENCODED = (
    *(0, 1, 4, 6, 7, 8, 9, 10, 11, 12, 13),
    0x17,
)
_LZMA, _AES = b"\x03\x01\x01", b"\x06\xf1\x07\x01"


@dataclass
class _Folder:
    """Files that are packed as one. ``methods``: (identifier, properties); ``sizes``: of what each of them gives."""

    methods: list[tuple[bytes, bytes]]
    outs: int
    sizes: list[int] = field(default_factory=list)
    sum: int | None = None


@dataclass
class _Streams:
    """``files``: of each folder (sum or None, length in bytes) of the files in it."""

    place: int = 0
    packed: list[int] = field(default_factory=list)
    folders: list[_Folder] = field(default_factory=list)
    files: list[list[tuple[int | None, int]]] = field(default_factory=list)


def locked(body: Body) -> Iterator[tuple[int, int]]:
    """(CRC-32, length in bytes) of each file that needs a password."""
    streams = _listed(body)
    for folder, files in zip(streams.folders, streams.files, strict=True):
        if any(method == _AES for method, _ in folder.methods):
            yield from ((one, size) for one, size in files if one is not None)


def _listed(body: Body) -> _Streams:
    head = bodies.part(body, 0, _HEAD_BYTES)
    start, size = (int.from_bytes(head[at : at + 8], "little") for at in (12, 20))
    data = bodies.part(body, _HEAD_BYTES + start, min(size, MOST_BYTES))
    if data[0] == _ENCODED:
        where = _Reader(data, 1).streams()
        folder = where.folders[0]
        method, told = folder.methods[0]
        if method != _LZMA or len(told) != 5:
            raise ValueError("the list is packed otherwise, or needs the password")
        unpacks = lzma.LZMADecompressor(lzma.FORMAT_RAW, filters=[_filter(told)])
        packed = bodies.part(body, _HEAD_BYTES + where.place, min(where.packed[0], MOST_BYTES))
        data = unpacks.decompress(packed, min(folder.sizes[0], MOST_BYTES))
    if data[:2] != bytes((_HEADER, _STREAMS)):
        raise ValueError("no list")
    return _Reader(data, 2).streams()


def _filter(told: bytes) -> dict[str, int]:
    rest, lc = divmod(told[0], 9)
    pb, lp = divmod(rest, 5)
    dictionary = min(int.from_bytes(told[1:], "little"), 2 * MOST_BYTES)
    return {"id": lzma.FILTER_LZMA1, "dict_size": max(dictionary, 4096), "lc": lc, "lp": lp, "pb": pb}


class _Reader:
    """Goes over a list. Errors of each step: IndexError, ValueError."""

    def __init__(self, data: bytes, at: int) -> None:
        self._data, self._at = data, at

    def streams(self) -> _Streams:
        found = _Streams()
        while (kind := self._byte()) != _END:
            if kind == _PACKED:
                found.place = self._number()
                found.packed = self._packed(self._count())
            elif kind == _UNPACKED:
                found.folders = self._folders()
                found.files = [[(one.sum, one.sizes[-1])] for one in found.folders]
            elif kind == _SUB:
                found.files = self._files(found.folders)
            else:
                raise ValueError("an unknown part")
        return found

    def _packed(self, count: int) -> list[int]:
        sizes: list[int] = []
        while (kind := self._byte()) != _END:
            if kind == _SIZES:
                sizes = [self._number() for _ in range(count)]
            else:
                self._sums(count)
        return sizes

    def _folders(self) -> list[_Folder]:
        if self._byte() != _FOLDERS:
            raise ValueError("no folders")
        count = self._count()
        if self._byte():
            raise ValueError("they are elsewhere")
        folders = [self._folder() for _ in range(count)]
        while (kind := self._byte()) != _END:
            if kind == _OUT_SIZES:
                for folder in folders:
                    folder.sizes = [self._number() for _ in range(folder.outs)]
            else:
                for folder, one in zip(folders, self._sums(count), strict=True):
                    folder.sum = one
        return folders

    def _folder(self) -> _Folder:
        methods, ins, outs = [], 0, 0
        for _ in range(self._count()):
            flags = self._byte()
            name = self._bytes(flags & 0x0F)
            taken, given = (self._count(), self._count()) if flags & 0x10 else (1, 1)
            methods.append((name, self._bytes(self._count()) if flags & 0x20 else b""))
            ins, outs = ins + taken, outs + given
        for _ in range(2 * (outs - 1) + (ins - outs + 1 if ins > outs else 0)):
            self._number()
        return _Folder(methods, outs)

    def _files(self, folders: list[_Folder]) -> list[list[tuple[int | None, int]]]:
        kind, counts = self._byte(), [1] * len(folders)
        if kind == _COUNTS:
            counts = [self._count() for _ in folders]
            kind = self._byte()
        if sum(counts) > _MOST_FILES:
            raise ValueError("too many files")
        sizes = []
        for folder, count in zip(folders, counts, strict=True):
            told = [self._number() for _ in range(count - 1)] if kind == _SIZES else []
            # The length of the last one is what is left.
            sizes.append([*told, folder.sizes[-1] - sum(told)] if count else [])
        if kind == _SIZES:
            kind = self._byte()
        known = [count == 1 and folder.sum is not None for folder, count in zip(folders, counts, strict=True)]
        missing = sum(count for count, is_known in zip(counts, known, strict=True) if not is_known)
        sums: Iterator[int | None] = iter(self._sums(missing) if kind == _SUMS else [None] * missing)
        if kind == _SUMS and self._byte() != _END:
            raise ValueError("no end")
        return [
            [(folder.sum if is_known else next(sums), size) for size in of_folder]
            for folder, of_folder, is_known in zip(folders, sizes, known, strict=True)
        ]

    def _sums(self, count: int) -> list[int | None]:
        """CRC-32 where one is told."""
        if self._byte():
            told = [True] * count
        else:
            bits = self._bytes(-(-count // 8))
            told = [bool(bits[n // 8] & 0x80 >> n % 8) for n in range(count)]
        return [int.from_bytes(self._bytes(4), "little") if one else None for one in told]

    def _byte(self) -> int:
        self._at += 1
        return self._data[self._at - 1]

    def _bytes(self, count: int) -> bytes:
        self._at += count
        if self._at > len(self._data):
            raise IndexError
        return self._data[self._at - count : self._at]

    def _count(self) -> int:
        if (value := self._number()) > _MOST_FILES:
            raise ValueError("too many")
        return value

    def _number(self) -> int:
        """The first byte tells by its upper bits how many follow."""
        first, value = self._byte(), 0
        for n in range(8):
            if not first & (0x80 >> n):
                return value | (first & ((0x80 >> n) - 1)) << 8 * n
            value |= self._byte() << 8 * n
        return value
