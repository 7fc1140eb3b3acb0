"""What a disk image holds, one file at a time, within the caps of archives: raw images, VHD, VHDX, with or without
partitions; FAT, exFAT, NTFS and UDF in them. Pure.

Rule:    each partition that a table names is read, whichever table a program would go by.
Hostile: every byte; sizes are the word of the image, so that what lies past its end is not asked for.
Fails:   Broken, after all files that can be read, where a volume is of no kind that is read here (ReFS,
         BitLocker), or of a disk that is the difference to another one; TooMuch past a cap.
Source:  docs/decisions/0230-disk-images-are-opened.md; Virtual Hard Disk Image Format 1.0; MS-VHDX; UEFI 2.10, 5.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator
from functools import lru_cache, partial

from beffroi.scan import bodies, udf, volumes
from beffroi.scan.archives import Broken, Budget, Member, Taking
from beffroi.scan.bodies import Body
from beffroi.scan.volumes import File, Read, Unread, number

_BLOCK_BYTES, _BLOCKS = 64 * 1024, 32
_MOST_PARTS = 128
_EXTENDED, _PROTECTIVE = (0x05, 0x0F, 0x85), 0xEE
_MIB, _SECTOR_BYTES = 1 << 20, 512
_VHD_DYNAMIC, _VHD_DIFFERENCING, _HAS_PARENT = 3, 4, 2


def members(
    body: Body, budget: Budget, beyond: Callable[[bytes], object] = lambda window: None
) -> Iterator[Member]:
    """As ``archives.members``. Errors: Broken, TooMuch."""
    taking = Taking(budget, budget.free_bytes + budget.ratio * bodies.length(body), beyond)
    try:
        for file in _files(*_disk(_blocks(body), bodies.length(body))):
            budget.take_file()
            if file.encrypted:
                yield Member(file.name, encrypted=True)
            elif file.pieces is not None:
                yield Member(file.name, taking.read(file.pieces))
    except Unread:
        raise Broken("volume") from None


def _blocks(body: Body) -> Read:
    """A long content is asked for block by block, and the last ones are kept: tables are read entry by entry."""

    @lru_cache(_BLOCKS)
    def block(n: int) -> bytes:
        return bodies.part(body, n * _BLOCK_BYTES, _BLOCK_BYTES)

    def read(offset: int, length: int) -> bytes:
        if offset < 0 or offset >= bodies.length(body):
            return b""
        if isinstance(body, bytes) or length > _BLOCK_BYTES:
            return bodies.part(body, offset, length)
        first, start = divmod(offset, _BLOCK_BYTES)
        there = block(first) if start + length <= _BLOCK_BYTES else block(first) + block(first + 1)
        return there[start : start + length]

    return read


def _files(read: Read, size_bytes: int) -> Iterator[File]:
    """Errors: Unread."""
    parts, is_whole = _parts(read), True
    for start in (0, *parts):
        try:
            yield from _of_volume(partial(_from, read, start), size_bytes - start)
        except Unread:
            # Of a disk with parts the whole need be no volume, and a part that nothing was written to is none.
            is_whole &= bool(parts) if not start else not any(read(start, 512))
    if not is_whole:
        raise Unread


def _of_volume(read: Read, size_bytes: int) -> Iterator[File]:
    """Errors: Unread."""
    boot = read(0, 512).ljust(512, b"\0")
    if boot[3:11] == volumes.NTFS:
        yield from volumes.ntfs(read, size_bytes)
    elif boot[3:11] == volumes.EXFAT:
        yield from volumes.ExFat(read, boot).files()
    elif volumes.is_fat(boot):
        yield from volumes.Fat(read, boot).files()
    else:
        yield from udf.files(read, size_bytes)


def _from(read: Read, start: int, offset: int, length: int) -> bytes:
    return read(start + offset, length) if offset >= 0 else b""


def _parts(read: Read) -> list[int]:
    """Where each begins; none where a volume has the whole disk."""
    found = set[int]()
    for unit in volumes.SECTORS:
        head = read(unit, 92)
        if head[:8] == volumes.GPT:
            at, each = number(head, 72, 8) * unit, max(128, number(head, 84, 4))
            rows = [read(at + n * each, 48) for n in range(min(number(head, 80, 4), _MOST_PARTS))]
            found |= {number(row, 32, 8) * unit for row in rows if any(row[:16])}
    boot = read(0, 512)
    if not volumes.is_fat(boot) and boot[3:11] not in (volumes.NTFS, volumes.EXFAT):
        for kind, start in volumes.told_parts(boot):
            if kind in _EXTENDED:
                found |= set(_chain(read, start))
            elif kind != _PROTECTIVE:
                found.add(start * 512)
    return sorted(found - {0})


def _chain(read: Read, first: int) -> Iterator[int]:
    """Parts in an extended one: each sector tells one, and where the next sector is."""
    at, seen = first, set[int]()
    while at not in seen and len(seen) < _MOST_PARTS:
        seen.add(at)
        here = at
        for kind, start in volumes.told_parts(read(here * 512, 512)):
            if kind in _EXTENDED:
                at = first + start
            else:
                yield (here + start) * 512


def _disk(read: Read, size_bytes: int) -> tuple[Read, int]:
    """What a program sees that mounts it, and its size. Errors: Unread."""
    if read(0, 8) == b"vhdxfile":
        return _vhdx(read)
    for at in (0, size_bytes - 512, size_bytes - 511):
        foot = read(at, 512)
        kind = int.from_bytes(foot[60:64]) if foot[:8] == b"conectix" else 0
        if kind == _VHD_DIFFERENCING:
            raise Unread
        if kind == _VHD_DYNAMIC:
            return _vhd(read, foot)
    return read, size_bytes


def _vhd(read: Read, foot: bytes) -> tuple[Read, int]:
    """One that grows: a table tells where each block lies, behind a map of its sectors."""
    head = read(int.from_bytes(foot[16:24]), 1024)
    table_at, block_bytes = int.from_bytes(head[16:24]), int.from_bytes(head[32:36])
    if head[:8] != b"cxsparse" or not block_bytes or block_bytes % _SECTOR_BYTES:
        raise Unread
    map_bytes = -(-block_bytes // 512 // 8 // 512) * 512

    def place(n: int) -> int | None:
        sector = int.from_bytes(read(table_at + 4 * n, 4) or b"\xff" * 4)
        return None if sector == 0xFFFFFFFF else sector * 512 + map_bytes

    return partial(_spread, read, place, block_bytes), int.from_bytes(foot[48:56])


def _vhdx(read: Read) -> tuple[Read, int]:
    regions = _rows(read, 192 * 1024, head=16) or _rows(read, 256 * 1024, head=16)
    table_at = number(regions.get("2dc27766-f623-4200-9d64-115e9bfd4a08", b""), 0, 8)
    told_at = number(regions.get("8b7ca206-4790-4b9a-b8fe-575f050f886e", b""), 0, 8)
    rows = _rows(read, told_at, head=32) if told_at else {}
    told = {key: read(told_at + number(row, 0, 4), 8) for key, row in rows.items()}
    form = told.get("caa16737-fa36-4d43-b3b6-33f0aa44e76b", b"")
    size_bytes = number(told.get("2fa54224-cd1b-4876-b211-5dbed83bf4b8", b""), 0, 8)
    sector = number(told.get("8141bf1d-a96f-4709-ba47-f233a8faab5f", b""), 0, 4)
    block_bytes = number(form, 0, 4)
    if not table_at or not block_bytes or block_bytes % _SECTOR_BYTES or number(form, 4, 4) & _HAS_PARENT:
        raise Unread
    between = max(1, (sector << 23) // block_bytes)
    """Blocks; then a map of sectors has an entry of its own."""

    def place(n: int) -> int | None:
        entry = number(read(table_at + 8 * (n + n // between), 8), 0, 8)
        return (entry >> 20) * _MIB if entry & 7 in (6, 7) else None

    return partial(_spread, read, place, block_bytes), size_bytes


def _rows(read: Read, at: int, *, head: int) -> dict[str, bytes]:
    """Of a table of VHDX, by the identifier of each."""
    count = number(read(at + (8 if head == 16 else 10), 2), 0, 2)
    rows = (read(at + head + 32 * n, 32) for n in range(min(count, 2047)))
    return {str(uuid.UUID(bytes_le=row[:16])): row[16:] for row in rows if len(row) == 32}


def _spread(
    read: Read, place: Callable[[int], int | None], block_bytes: int, offset: int, length: int
) -> bytes:
    """What lies in blocks; one that was never written is zeros."""
    out = bytearray()
    while length > 0:
        n, start = divmod(offset, block_bytes)
        count = min(length, block_bytes - start)
        at = place(n)
        piece = bytes(count) if at is None else read(at + start, count)
        out += piece
        if len(piece) < count:
            break
        offset, length = offset + count, length - count
    return bytes(out)
