"""What structure a version of a file has: the first question of the judgement about ransomware.

Purpose: ``look`` is asked once for each version that is written, and its answer is kept beside the version.
         ``signs.of`` then compares the answers for two versions of one file: a structure that was there and is lost
         is the sign that accuses, since no program that people work with takes it away.
Process: pure; reads through the caller's Readable. A look at a file up to 2 MiB reads all of it once; at a larger
         one at most 4 MiB (``reading.Limits``): both ends, 16 blocks spread over it, and what its format points to.
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

import msgspec

from beffroi.drive.guard.formats.values import SOUND, Finding, State, broken, torn
from beffroi.drive.guard.kinds import KINDS, UNCHECKED, by_content, by_name
from beffroi.drive.guard.noise import Noise, measure
from beffroi.drive.guard.reading import Limits, Readable, Reader, Spent

UNKNOWN = ""
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
        kind, finding = _judge(reader, kind_before or by_name(name))
        if finding.state == "broken" and (noise.blank_share >= _BLANK or not reader.tail(512).strip(b"\0")):
            finding = torn("blank")
    except Spent:
        kind, finding = UNKNOWN, Finding("opaque", "limit")
    return Structure(kind, finding.state, finding.reason, noise, reader.read_bytes)


def _judge(reader: Reader, expected: str) -> tuple[str, Finding]:
    found = by_content(reader)
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


def _checked(reader: Reader, kind: str) -> Finding:
    try:
        return KINDS[kind].check(reader)
    except Spent:
        return Finding("sound", "limit")
    except (IndexError, struct.error, OverflowError):
        return broken("malformed")


__all__ = ["SOUND", "Limits", "Noise", "Structure", "look"]
