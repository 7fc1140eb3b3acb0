"""What structure a version of a file has: the first question of the judgement about ransomware.

Purpose: ``look`` is asked once for each version that is written, and its answer is kept beside the version.
         ``signs.of`` then compares the answers for two versions of one file: a structure that was there and is lost
         is the sign that accuses, since no program that people work with takes it away.
Process: pure; reads through the caller's Readable. A look at a file up to 2 MiB reads all of it once; at a larger
         one at most 4 MiB (``reading.Limits``): both ends, 16 blocks spread over it, and what its format points to;
         as much again of one that ends in zeros.
Hostile: every byte, the name, the size. Time and memory are bounded by ``Limits``; nothing is executed, no picture
         decoded.
Fails:   never, but for what ``data.read`` itself raises (OSError): that the store cannot be read says nothing about
         a file. At a limit the answer is what was found so far, ``reason`` "limit".

Wiring:  in the process that takes uploads, after the version is on the disk and before its journal entry is judged:

             after = look(InFile(file), name, size_bytes, kind_before=before.kind if before else None)

         with ``before`` from the row of the version before. ``Structure`` is a msgspec array: about 40 bytes beside
         a version.
Source:  docs/internals/ransomware.md; docs/decisions/0069-structure-against-the-version-before.md.
"""

from __future__ import annotations

import struct
import zlib

import msgspec

from beffroi.drive.guard.formats import archives, armour
from beffroi.drive.guard.formats.values import SOUND, Finding, State, broken, torn
from beffroi.drive.guard.kinds import KINDS, UNCHECKED, by_content, by_name
from beffroi.drive.guard.noise import BLOCK_BYTES, BLOCKS, RANDOM, Noise, density_of, measure
from beffroi.drive.guard.reading import InMemory, Limits, Readable, Reader, Spent, spread

UNKNOWN = ""
_MALFORMED = (LookupError, ValueError, struct.error, OverflowError, zlib.error)
"""What a parser may raise at bytes that its format forbids."""
_RANDOM_INSIDE = 0.9
"""What is written as text and is less dense than this was not encrypted."""
_BLANK = 0.25
"""From this share of blank blocks on, a file that is broken was not written to its end: a crash, or a wiper."""


class Structure(msgspec.Struct, frozen=True, array_like=True):
    """What one version of a file is.

    ``kind``:       a key of ``kinds.KINDS``: what the content is, or, where that cannot be seen, what it should have
                    been; empty where neither is known.
    ``state``:      of ``formats.values.State``.
    ``reason``:     one word or two, of a fixed set, why it is not sound; never content.
    ``read_bytes``: how much of it was read.
    """

    kind: str
    state: State
    reason: str = ""
    noise: Noise = Noise()
    read_bytes: int = 0


def look(
    data: Readable, name: str, size_bytes: int, kind_before: str | None = None, limits: Limits | None = None
) -> Structure:
    """Return the structure of one version of a file.

    ``kind_before``: ``Structure.kind`` of the version before, None for a new file: then the extension of ``name``
    says what is expected.
    Errors: OSError of ``data.read`` alone.
    """
    reader = Reader(data, size_bytes, limits or Limits())
    if size_bytes <= 0:
        return Structure(kind_before or by_name(name), "torn", "empty")
    noise = Noise()
    try:
        noise = measure(reader)
        kind, finding = _judge(reader, kind_before or by_name(name), noise)
        if finding.state == "broken" and _is_blank(reader, noise, kind):
            finding = torn("blank")
    except Spent:
        kind, finding = UNKNOWN, Finding("opaque", "limit")
    except _MALFORMED:
        kind, finding = kind_before or by_name(name), broken("malformed")
    return Structure(kind, finding.state, finding.reason, noise, reader.read_bytes)


def _is_blank(reader: Reader, noise: Noise, kind: str) -> bool:
    """Written in part, as a crash leaves it: what is there is the beginning of a file, and the rest is zeros. Where it
    begins with anything else, or goes on with what its kind forbids, somebody scrambled it, and the zeros are no
    excuse."""
    if noise.blank_share < _BLANK and reader.tail(512).strip(b"\0"):
        return False
    if not reader.head(512).strip(b"\0"):
        return True
    return (noise.head < RANDOM or bool(by_content(reader))) and not _is_scrambled(reader, kind)


def _is_scrambled(reader: Reader, kind: str) -> bool:
    """Whether what stands before the zeros is more than cut off. With blank blocks in between nothing can be said: a
    crash writes what comes later first, too."""
    try:
        end = _written(reader)
        blocks = (
            reader.at(number * BLOCK_BYTES, BLOCK_BYTES) for number in spread(end // BLOCK_BYTES, BLOCKS)
        )
        if end == reader.size_bytes or not all(block.strip(b"\0") for block in blocks):
            return False
    except Spent:
        return False
    before = Reader(InMemory(reader.head(end)) if reader.is_whole else reader.data, end, reader.limits)
    finding = _checked(before, kind)
    reader.read_bytes += before.read_bytes
    return finding.state == "broken"


def _written(reader: Reader) -> int:
    """Where the zeros begin that a file ends in; of a long one, to a block."""
    if reader.is_whole:
        return len(reader.head(reader.size_bytes).rstrip(b"\0"))
    if reader.tail(BLOCK_BYTES).strip(b"\0"):
        return reader.size_bytes
    low, high = 0, reader.size_bytes // BLOCK_BYTES
    while high - low > 1:
        middle = (low + high) // 2
        if reader.at(middle * BLOCK_BYTES, BLOCK_BYTES).strip(b"\0"):
            low = middle
        else:
            high = middle
    return high * BLOCK_BYTES


def _judge(reader: Reader, expected: str, noise: Noise) -> tuple[str, Finding]:
    found = by_content(reader)
    if found == armour.KIND or (found == "text" and armour.is_dense(reader, noise)):
        found = "text"
        if _checked(reader, found).state == "sound":
            return armour.KIND, _in_armour(reader)
    if found:
        finding = _checked(reader, found)
        if finding.state in {"sound", "sealed"} or found == expected or expected not in KINDS:
            return found, finding
        # A few bytes at the beginning made it look like another kind, which it is not either.
        return expected, finding
    if expected not in KINDS:
        return UNKNOWN, Finding("opaque")
    if not reader.head(512).strip(b"\0"):
        return expected, torn("blank")
    finding = _checked(reader, expected)
    is_unchecked = expected in UNCHECKED or finding.state == "sealed"
    return expected, broken("header") if is_unchecked else finding


def _in_armour(reader: Reader) -> Finding:
    """*Sound* with nothing to add: of a kind that was checked; *sealed*: locked by a program that says so; *opaque*:
    random, and of no kind that is checked."""
    inside = armour.decoded(reader)
    if armour.is_locked(inside) or archives.is_locked(inside[:4096]):
        return Finding("sealed", "armour")
    if not inside:
        return Finding("opaque", "armour")
    within = Reader(InMemory(inside), len(inside), reader.limits)
    kind = by_content(within)
    if kind and kind not in UNCHECKED and (kind != "text" or density_of(inside[:4096]) < armour.DENSE):
        finding = _checked(within, kind)
        if finding.state == "sound" or (finding.state == "torn" and not reader.is_whole):
            return SOUND
    if armour.is_key(inside) or density_of(inside[:4096]) < _RANDOM_INSIDE:
        return Finding("sound", "not checked")
    return Finding("opaque", "armour")


def _checked(reader: Reader, kind: str) -> Finding:
    try:
        return KINDS[kind].check(reader)
    except Spent:
        return Finding("sound", "limit")
    except _MALFORMED:
        return broken("malformed")


__all__ = ["SOUND", "Limits", "Noise", "Structure", "look"]
