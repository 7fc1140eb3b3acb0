"""MP4, MOV, HEIC (boxes of ISO 14496-12), MP3 (frames), Ogg (pages), FLAC: their framing; nothing is decoded.

Looked at: each box of the outer level and of ``moov``; frames of MP3 and pages of Ogg at the beginning and at
SAMPLES places. What lies inside ``mdat`` of a film has no framing that can be read here.
"""

from __future__ import annotations

from beffroi.drive.guard.formats.values import SOUND, Finding, broken, torn
from beffroi.drive.guard.reading import Reader, spread

FLAC = b"fLaC"
SAMPLES = 12
_SAMPLE_BYTES = 16 * 1024
_FIRST = {b"ftyp", b"moov", b"mdat", b"wide", b"free", b"skip", b"styp"}


def check_boxes(reader: Reader) -> Finding:
    """Errors: reading.Spent."""
    if reader.head(8)[4:8] not in _FIRST:
        return broken("header")
    return _boxes(reader, 0, reader.size_bytes, outer=True)


def _boxes(reader: Reader, at: int, end: int, *, outer: bool) -> Finding:
    described = not outer
    while at + 8 <= end:
        reader.step()
        head = reader.at(at, 16)
        length, kind = int.from_bytes(head[:4], "big"), head[4:8]
        if length == 1:
            length = int.from_bytes(head[8:16], "big")
        elif length == 0:
            length = end - at
        if not all(32 <= byte < 127 or byte == 0xA9 for byte in kind) or length < 8:
            return torn("blank") if not reader.at(at, 256).strip(b"\0") else broken("box")
        if at + length > end:
            return torn("cut off") if outer and (described or kind == b"mdat") else broken("box")
        if kind in {b"moov", b"moof", b"meta"}:
            described = True
            if kind == b"moov" and (finding := _boxes(reader, at + 8, at + length, outer=False)) is not SOUND:
                return finding
        at += length
    return SOUND if described else torn("cut off")


_KBITS = {
    (1, 1): (32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320),
    (1, 2): (32, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320, 384),
    (2, 1): (8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160),
}
_HERTZ = {3: (44100, 48000, 32000), 2: (22050, 24000, 16000), 0: (11025, 12000, 8000)}


def _frame_bytes(head: bytes) -> int:
    """Length of the frame of MPEG audio layer II or III that begins with these 4 bytes; 0 where none does."""
    if len(head) < 4 or head[0] != 0xFF or head[1] & 0xE0 != 0xE0:
        return 0
    version, layer = head[1] >> 3 & 3, head[1] >> 1 & 3
    rate, hertz, padding = head[2] >> 4, head[2] >> 2 & 3, head[2] >> 1 & 1
    if version == 1 or layer not in {1, 2} or rate in {0, 15} or hertz == 3:
        return 0
    kbits = _KBITS[(1, layer) if version == 3 else (2, 1)][rate - 1]
    return (144 if version == 3 or layer == 2 else 72) * kbits * 1000 // _HERTZ[version][hertz] + padding


def _has_frames(data: bytes) -> bool:
    """Three frames, one after the other, somewhere in ``data``."""
    at = -1
    while (at := data.find(b"\xff", at + 1)) >= 0:
        place, count = at, 0
        while count < 3 and (length := _frame_bytes(data[place : place + 4])):
            place, count = place + length, count + 1
        if count == 3:
            return True
    return False


def check_mp3(reader: Reader) -> Finding:
    """Errors: reading.Spent."""
    head = reader.head(10)
    start = 0
    if len(head) < 10:
        return torn("cut off")
    if head[:3] == b"ID3":
        start = 10 + sum(
            (byte & 127) << shift for byte, shift in zip(head[6:10], (21, 14, 7, 0), strict=True)
        )
    elif not _frame_bytes(head[:4]):
        return broken("header")
    if start + _SAMPLE_BYTES > reader.size_bytes:
        return SOUND
    for number in spread((reader.size_bytes - start) // _SAMPLE_BYTES, SAMPLES):
        reader.step()
        data = reader.at(start + number * _SAMPLE_BYTES, _SAMPLE_BYTES)
        # Tags at the end of a file (APE, ID3v1, Lyrics3) are shorter than half a sample.
        if not _has_frames(data):
            return torn("blank") if data.count(0) * 2 > len(data) else broken("frame")
    return SOUND


def check_ogg(reader: Reader) -> Finding:
    """RFC 3533: the pages at the beginning, and one in each sample. Errors: reading.Spent."""
    if reader.head(5) != b"OggS\0":
        return broken("header")
    samples = reader.size_bytes // (4 * _SAMPLE_BYTES)  # a page has at most 65,307 bytes
    for number in spread(samples, SAMPLES):
        reader.step()
        data = reader.at(number * 4 * _SAMPLE_BYTES, 65307)
        if b"OggS\0" not in data:
            return torn("blank") if data.count(0) * 2 > len(data) else broken("page")
    return SOUND


def check_flac(reader: Reader) -> Finding:
    """RFC 9639: metadata blocks, and the sync code of the first frame. Errors: reading.Spent."""
    if reader.head(4) != FLAC:
        return broken("header")
    at = 4
    while at < reader.size_bytes:
        reader.step()
        head = reader.at(at, 4)
        if len(head) < 4:
            return torn("cut off")
        if head[0] & 0x7F > 6:
            return broken("block")
        at += 4 + int.from_bytes(head[1:], "big")
        if head[0] & 0x80:
            frame = reader.at(at, 2)
            return (
                SOUND if len(frame) < 2 or (frame[0] == 0xFF and frame[1] & 0xFC == 0xF8) else broken("frame")
            )
    return torn("cut off")


def is_transport(head: bytes) -> bool:
    """MPEG-TS, as cameras and television have it: packets of 188 bytes, each with its sign; M2TS: behind a clock of
    four bytes."""
    return any(
        len(head) > at + 8 * length and head[at : at + 9 * length : length] == b"\x47" * 9
        for at, length in ((0, 188), (4, 192))
    )
