"""Files of a volume, one at a time: FAT, exFAT and NTFS, as Windows reads them. Pure.

Rule:    what a folder leads to is read once, whatever leads to it; a length is the word of the volume, so that who
         takes the pieces ends it (``archives.Taking``). What is read past the end of the image is empty.
Hostile: every byte.
Fails:   Unread for a volume that has no room, and for what NTFS keeps in a way that is not read here (compressed):
         after the files that can be read.
Source:  Microsoft's specifications of FAT (1.03) and exFAT, and the checks of its driver (fastfat); NTFS as the Linux
         kernel documents it (fs/ntfs3); docs/decisions/0230-disk-images-are-opened.md.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import NamedTuple

type Read = Callable[[int, int], bytes]
"""(offset, length) → these bytes; fewer at the end alone."""
type Extent = tuple[int | None, int]
"""Offset and length in bytes; None: zeros that are not written."""
PIECE_BYTES = 256 * 1024
FOLDER_BYTES = 4 * 1024 * 1024
"""Of one folder: 65,536 names of FAT take half of it."""


SECTORS, GPT = (512, 4096), b"EFI PART"
NTFS, EXFAT = b"NTFS    ", b"EXFAT   "
_EXFAT_FILE, _EXFAT_CONTENT, _EXFAT_NAME, _EXFAT_IN_A_ROW = 0x85, 0xC0, 0xC1, 2
_VOLUMES = (NTFS, EXFAT, b"ReFS\0\0\0\0", b"-FVE-FS-")
"""Where their names stand."""


class Unread(Exception):
    """No such volume, or not all of it."""


class File(NamedTuple):
    """``pieces``: None for a folder, and where only a key opens it."""

    name: str
    pieces: Iterable[bytes] | None
    encrypted: bool = False


def number(data: bytes, at: int, length: int) -> int:
    """Little-endian; what is not there is 0."""
    return int.from_bytes(data[at : at + length], "little")


def is_image(first: bytes) -> bool:
    """Whether a disk begins so: with a volume, or a table of parts. ``first``: two sectors or more."""
    is_volume = first[3:11] in _VOLUMES or is_fat(first)
    return is_volume or any(first[one : one + 8] == GPT for one in SECTORS) or any(told_parts(first))


def told_parts(sector: bytes) -> list[tuple[int, int]]:
    """Kind and first sector of each of the four parts that a first sector may tell (MBR); none where it tells none."""
    rows = [sector[at : at + 16] for at in range(446, 510, 16)]
    if sector[510:512] != b"\x55\xaa" or any(row[0] not in (0, 0x80) for row in rows):
        return []
    return [
        (row[4], number(row, 8, 4)) for row in rows if row[4] and number(row, 8, 4) and number(row, 12, 4)
    ]


def is_fat(boot: bytes) -> bool:
    """By what Windows asks for before it mounts one."""
    return (
        len(boot) >= 512
        and boot[:1] in (b"\xe9", b"\xeb", b"I")
        and number(boot, 11, 2) in (512, 1024, 2048, 4096)
        and boot[13].bit_count() == 1
        and number(boot, 14, 2) > 0
        and boot[16] > 0
        and boot[21] in (0xF0, *range(0xF8, 0x100))
    )


def pieces(read: Read, extents: Iterable[Extent], size_bytes: int) -> Iterator[bytes]:
    for at, length in extents:
        end = min(length, size_bytes)
        size_bytes -= end
        for start in range(0, end, PIECE_BYTES):
            count = min(PIECE_BYTES, end - start)
            piece = bytes(count) if at is None else read(at + start, count)
            yield piece
            if len(piece) < count:
                return
        if size_bytes <= 0:
            return


class _Entry(NamedTuple):
    """``cluster``: the first one."""

    name: str
    is_folder: bool
    cluster: int
    extents: Iterable[Extent]
    size_bytes: int


class _Clusters:
    """A volume whose table leads from cluster to cluster. Errors: Unread."""

    def __init__(self, read: Read, table_at: int, data_at: int, cluster_bytes: int, count: int) -> None:
        self._read, self._table_at, self._data_at = read, table_at, data_at
        self._cluster, self._count = cluster_bytes, count
        if not count:
            raise Unread
        self._bits = self._used_bits = 32
        """Of an entry of the table, and of these what is a number."""

    def files(self) -> Iterator[File]:
        cluster, root = self._root()
        waiting, seen = [root], {cluster}
        while waiting:
            for one in self._folder(b"".join(pieces(self._read, waiting.pop(), FOLDER_BYTES))):
                if not one.is_folder:
                    yield File(one.name, pieces(self._read, one.extents, one.size_bytes))
                elif one.cluster not in seen:
                    yield File(one.name, None)
                    seen.add(one.cluster)
                    waiting.append(one.extents)

    def _root(self) -> tuple[int, Iterable[Extent]]:
        raise NotImplementedError

    def _folder(self, data: bytes) -> Iterator[_Entry]:
        raise NotImplementedError

    def _extents(self, cluster: int) -> Iterator[Extent]:
        """What lies side by side is one. A loop ends when the volume's clusters are counted."""
        start, length = cluster, 0
        for _ in range(self._count):
            if not 2 <= cluster < self._count + 2:
                break
            length += 1
            following = self._next(cluster)
            if following != cluster + 1:
                yield self._at(start), length * self._cluster
                start, length = following, 0
            cluster = following
        if length:
            yield self._at(start), length * self._cluster

    def _next(self, cluster: int) -> int:
        at, bits = divmod(cluster * self._bits, 8)
        value = number(self._read(self._table_at + at, 4), 0, 4) >> bits
        return value & ((1 << self._used_bits) - 1)

    def _at(self, cluster: int) -> int:
        return self._data_at + (cluster - 2) * self._cluster


class Fat(_Clusters):
    """FAT 12, 16, 32."""

    def __init__(self, read: Read, boot: bytes) -> None:
        unit, reserved, roots = number(boot, 11, 2), number(boot, 14, 2), number(boot, 17, 2)
        table = number(boot, 22, 2) or number(boot, 36, 4)
        root: Extent = ((reserved + boot[16] * table) * unit, -(-roots * 32 // unit) * unit)
        data_at = sum(part or 0 for part in root)
        sectors = number(boot, 19, 2) or number(boot, 32, 4)
        count = max(0, sectors * unit - data_at) // (boot[13] * unit)
        super().__init__(read, reserved * unit, data_at, boot[13] * unit, count)
        self._fixed_root, self._root_cluster, self._used_bits = root, number(boot, 44, 4), 28
        if number(boot, 22, 2):
            self._root_cluster = 0
            self._bits = self._used_bits = 12 if count < 4087 else 16

    def _root(self) -> tuple[int, Iterable[Extent]]:
        first = self._root_cluster
        return first, self._extents(first) if first else [self._fixed_root]

    def _folder(self, data: bytes) -> Iterator[_Entry]:
        long, told = b"", 0
        for at in range(0, len(data) - 31, 32):
            entry = data[at : at + 32]
            if entry[0] == 0:
                return
            if entry[11] & 0x3F == 0x0F and entry[0] != 0xE5:
                long = entry[1:11] + entry[14:26] + entry[28:32] + (b"" if entry[0] & 0x40 else long)
                told = entry[13]
                continue
            if entry[0] not in (0xE5, 0x2E) and not entry[11] & 0x08:
                # Windows shows a long name only where it belongs to the short one.
                name = _utf16(long).partition("\0")[0] if told == _fat_sum(entry[:11]) else ""
                cluster = number(entry, 26, 2) | (number(entry, 20, 2) << 16 if self._bits == 32 else 0)
                is_folder, size_bytes = bool(entry[11] & 0x10), number(entry, 28, 4)
                yield _Entry(name or _short(entry), is_folder, cluster, self._extents(cluster), size_bytes)
            long = b""


class ExFat(_Clusters):
    def __init__(self, read: Read, boot: bytes) -> None:
        if boot[108] not in range(9, 13) or boot[108] + boot[109] > 25:
            raise Unread
        unit = 1 << boot[108]
        table_at, data_at = number(boot, 80, 4) * unit, number(boot, 88, 4) * unit
        super().__init__(read, table_at, data_at, unit << boot[109], number(boot, 92, 4))
        self._root_cluster = number(boot, 96, 4)

    def _root(self) -> tuple[int, Iterable[Extent]]:
        return self._root_cluster, self._extents(self._root_cluster)

    def _folder(self, data: bytes) -> Iterator[_Entry]:
        """A file has an entry of its own, one of its content, and some of its name."""
        for at in range(0, len(data) - 31, 32):
            if data[at] == 0:
                return
            content = data[at + 32 : at + 64]
            if data[at] != _EXFAT_FILE or content[:1] != bytes((_EXFAT_CONTENT,)):
                continue
            parts = data[at + 64 : at + 32 + 32 * data[at + 1]]
            name = b"".join(
                parts[n + 2 : n + 32] for n in range(0, len(parts), 32) if parts[n] == _EXFAT_NAME
            )
            cluster, size_bytes = number(content, 20, 4), number(content, 24, 8)
            in_a_row = content[1] & _EXFAT_IN_A_ROW
            extents = [(self._at(cluster), size_bytes)] if in_a_row else self._extents(cluster)
            is_folder = bool(data[at + 4] & 0x10)
            yield _Entry(_utf16(name[: 2 * content[3]]), is_folder, cluster, extents, size_bytes)


def _fat_sum(short: bytes) -> int:
    value = 0
    for one in short:
        value = ((value & 1) << 7 | value >> 1) + one & 0xFF
    return value


def _short(entry: bytes) -> str:
    name, ending = (part.decode("cp437").rstrip() for part in (entry[:8], entry[8:11]))
    return f"{name}.{ending}" if ending else name


def _utf16(name: bytes) -> str:
    return name.decode("utf-16-le", "replace")


class _Attribute(NamedTuple):
    kind: int
    name: str
    flags: int
    content: bytes
    extents: list[Extent] | None
    size_bytes: int


_NAME, _DATA = 0x30, 0x80
_COMPRESSED, _ENCRYPTED = 0xFF, 0x4000
_OF_THE_SYSTEM = 16
"""Records of the volume itself: their numbers are given."""


def ntfs(read: Read, image_bytes: int) -> Iterator[File]:
    """Of the table of files, each record that is used: no folder says what is there, so none can hide it. Errors:
    Unread."""
    boot = read(0, 512).ljust(512, b"\0")
    unit, each = number(boot, 11, 2), boot[13]
    cluster = unit * (each if each <= 0x80 else 1 << min(256 - each, 16))
    record = cluster * boot[64] if boot[64] < 0x80 else 1 << min(256 - boot[64], 20)
    if not cluster or not 512 <= record <= 65536:
        raise Unread
    table = _record(read(number(boot, 48, 8) * cluster, record))
    first = [one for one in _attributes(table, cluster) if one.kind == _DATA]
    if not first or first[0].extents is None:
        raise Unread
    at, is_whole, rest = 0, True, b""
    for piece in pieces(read, first[0].extents, min(first[0].size_bytes, image_bytes)):
        rest += piece
        for place in range(0, len(rest) - record + 1, record):
            if at >= _OF_THE_SYSTEM and (used := _record(rest[place : place + record])):
                found = [*_attributes(used, cluster)]
                is_whole &= not any(one.flags & _COMPRESSED for one in found if one.kind == _DATA)
                yield from _of_record(read, found, is_folder=bool(used[22] & 2))
            at += 1
        rest = rest[len(rest) - len(rest) % record :]
    if not is_whole:
        raise Unread


def _of_record(read: Read, found: list[_Attribute], *, is_folder: bool) -> Iterator[File]:
    """A file with several names is told by each; what other records keep of it comes without one."""
    told = [(one.content[65:66], _utf16(one.content[66:][: 2 * one.content[64]])) for one in found
            if one.kind == _NAME and len(one.content) > 66]  # fmt: skip
    shown = list(dict.fromkeys(name for space, name in told if space != b"\2")) or [name for _, name in told]
    kept = [one for one in found if one.kind == _DATA and not one.flags & _COMPRESSED]
    for name in shown[1 if kept else 0 :]:
        yield File(name, None if is_folder else ())
    for one in kept:
        name = ":".join(filter(None, (shown[0] if shown else "", one.name)))
        if one.flags & _ENCRYPTED:
            yield File(name, None, encrypted=True)
        elif one.extents is None:
            yield File(name, (one.content,))
        else:
            yield File(name, pieces(read, one.extents, one.size_bytes))


def _record(data: bytes) -> bytes:
    """As it was before the ends of its sectors were marked; empty where it is not used, or torn."""
    if data[:4] != b"FILE" or not data[22] & 1:
        return b""
    marks, whole = data[number(data, 4, 2) :][: 2 * number(data, 6, 2)], bytearray(data)
    for end, at in zip(range(512, len(data) + 1, 512), range(2, len(marks), 2), strict=False):
        if data[end - 2 : end] != marks[:2]:
            return b""
        whole[end - 2 : end] = marks[at : at + 2]
    return bytes(whole)


def _attributes(record: bytes, cluster: int) -> Iterator[_Attribute]:
    at = number(record, 20, 2)
    while (length := number(record, at + 4, 4)) >= 24:
        one = record[at : at + length]
        kind, flags = number(one, 0, 4), number(one, 12, 2)
        name = _utf16(one[number(one, 10, 2) :][: 2 * one[9]])
        if len(one) > 63 and one[8]:
            size, written = number(one, 48, 8), number(one, 56, 8)
            extents = [*_runs(one[number(one, 32, 2) :], cluster)]
            yield _Attribute(kind, name, flags, b"", extents, size if written else 0)
        elif not one[8]:
            content = one[number(one, 20, 2) :][: number(one, 16, 4)]
            yield _Attribute(kind, name, flags, content, None, len(content))
        at += length


def _runs(data: bytes, cluster: int) -> Iterator[Extent]:
    at = place = 0
    while at < len(data) and data[at]:
        counted, moved = data[at] & 15, data[at] >> 4
        length = number(data, at + 1, counted)
        place += int.from_bytes(data[at + 1 + counted :][:moved], "little", signed=True)
        yield place * cluster if moved else None, length * cluster
        at += 1 + counted + moved
