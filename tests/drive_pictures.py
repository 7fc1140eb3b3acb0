"""Pictures for ``tests.drive_files``, by small encoders: JPEG, PNG, GIF and TIFF are whole, WebP is a frame alone."""

from __future__ import annotations

import random
import struct
import zlib

_DC_COUNTS = bytes((0, 1, 5, 1, 1, 1, 1, 1, 1, 0, 0, 0, 0, 0, 0, 0))
_AC_COUNTS = bytes((0, 2, 1, 3, 3, 2, 4, 3, 5, 5, 4, 4, 0, 0, 1, 125))
_AC_VALUES = bytes.fromhex(
    "01020300041105122131410613516107227114328191a1082342b1c11552d1f02433627282090a161718191a25262728292a3435363738393a"
    "434445464748494a535455565758595a636465666768696a737475767778797a838485868788898a92939495969798999aa2a3a4a5a6a7a8a9aa"
    "b2b3b4b5b6b7b8b9bac2c3c4c5c6c7c8c9cad2d3d4d5d6d7d8d9dae1e2e3e4e5e6e7e8e9eaf1f2f3f4f5f6f7f8f9fa"
)


def _codes(counts: bytes, values: bytes) -> dict[int, str]:
    found, code, at = {}, 0, 0
    for length, count in enumerate(counts, 1):
        for _ in range(count):
            found[values[at]] = f"{code:0{length}b}"
            code, at = code + 1, at + 1
        code <<= 1
    return found


_DC, _AC = _codes(_DC_COUNTS, bytes(range(12))), _codes(_AC_COUNTS, _AC_VALUES)


def _bits(value: int) -> tuple[int, str]:
    size = abs(value).bit_length()
    return size, f"{value if value > 0 else value + (1 << size) - 1:0{size}b}" if size else ""


def photo(rng: random.Random, rows: int = 0, blocks: int = 40) -> bytes:
    """A grey baseline JPEG of 8 x ``blocks`` by 8 x ``rows`` pixels, a restart interval a row; coefficients are
    drawn."""
    rows = rows or rng.randint(20, 120)
    made = [_row(rng, blocks) for _ in range(8)]
    scan = b"".join(
        made[rng.randrange(8)] + (bytes((0xFF, 0xD0 + number % 8)) if number < rows - 1 else b"")
        for number in range(rows)
    )
    parts = [
        (0xE0, b"JFIF\0\1\1\0\0\1\0\1\0\0"),
        (0xDB, b"\0" + bytes(range(1, 65))),
        (0xC0, struct.pack(">BHHB", 8, 8 * rows, 8 * blocks, 1) + b"\1\x11\0"),
        (0xC4, b"\0" + _DC_COUNTS + bytes(range(12))),
        (0xC4, b"\x10" + _AC_COUNTS + _AC_VALUES),
        (0xDD, struct.pack(">H", blocks)),
        (0xDA, b"\1\1\0\0\x3f\0"),
    ]
    head = b"".join(struct.pack(">BBH", 0xFF, code, len(data) + 2) + data for code, data in parts)
    return b"\xff\xd8" + head + scan + b"\xff\xd9"


def _row(rng: random.Random, blocks: int) -> bytes:
    out = []
    for _ in range(blocks):
        size, bits = _bits(rng.randint(-30, 30))
        out.append(_DC[size] + bits)
        for _ in range(rng.randint(2, 12)):
            size, bits = _bits(rng.choice((-9, -4, -3, -2, -1, 1, 2, 3, 5, 17)))
            out.append(_AC[rng.choice((0, 0, 0, 1, 2)) << 4 | size] + bits)
        out.append(_AC[0])
    stream = "".join(out)
    stream += "1" * (-len(stream) % 8)
    return int(stream, 2).to_bytes(len(stream) // 8, "big").replace(b"\xff", b"\xff\0")


def png(rng: random.Random) -> bytes:
    width, height = rng.randint(60, 200), rng.randint(60, 200)
    lines = b"".join(b"\0" + bytes(rng.randrange(64) for _ in range(width)) for _ in range(height))
    packed = zlib.compress(lines)
    chunks = [(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0))]
    chunks += [(b"IDAT", packed[at : at + 8192]) for at in range(0, len(packed), 8192)]
    chunks.append((b"IEND", b""))
    body = b"".join(
        struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
        for kind, data in chunks
    )
    return b"\x89PNG\r\n\x1a\n" + body


def gif(rng: random.Random) -> bytes:
    """Codes of 8 bits with a clear code each 120 pixels, so that no code grows."""
    width, height = 120, rng.randint(40, 90)
    pixels = (
        b"".join(b"\x80" + bytes(rng.randrange(128) for _ in range(120)) for _ in range(height)) + b"\x81"
    )
    blocks = b"".join(
        bytes([len(pixels[at : at + 255])]) + pixels[at : at + 255] for at in range(0, len(pixels), 255)
    )
    head = b"GIF89a" + struct.pack("<HHBBB", width, height, 0xF6, 0, 0) + bytes(range(128)) * 3
    return head + b"\x2c" + struct.pack("<HHHHB", 0, 0, width, height, 0) + b"\7" + blocks + b"\0\x3b"


def tiff(rng: random.Random) -> bytes:
    """Deflated strips of 8 lines, as scanners' programs write them."""
    width, strips = 300, rng.randint(8, 30)
    packed = [
        zlib.compress(bytes(rng.choice((255, 255, 255, 0, 60)) for _ in range(width * 8)))
        for _ in range(strips)
    ]
    starts, at = [], 8
    for data in packed:
        starts.append(at)
        at += len(data)
    arrays = struct.pack(f"<{strips}I", *starts) + struct.pack(f"<{strips}I", *(len(data) for data in packed))
    tags = [(256, 4, 1, width), (257, 4, 1, 8 * strips), (258, 3, 1, 8), (259, 3, 1, 8), (262, 3, 1, 1)]
    tags += [(273, 4, strips, at), (278, 4, 1, 8), (279, 4, strips, at + 4 * strips)]
    rows = b"".join(struct.pack("<HHII", *tag) for tag in tags)
    directory = struct.pack("<H", len(tags)) + rows + bytes(4)
    return b"II*\0" + struct.pack("<I", at + len(arrays)) + b"".join(packed) + arrays + directory


def webp(rng: random.Random) -> bytes:
    picture = b"\x10\0\0\x9d\x01\x2a\x80\0\x60\0" + rng.randbytes(rng.randint(9000, 60000))
    picture += b"\0" * (len(picture) & 1)
    return (
        b"RIFF"
        + struct.pack("<I", len(picture) + 12)
        + b"WEBPVP8 "
        + struct.pack("<I", len(picture))
        + picture
    )
