"""Pictures as cameras and scanners make them, and what a thumbnail is."""

from __future__ import annotations

import struct
import subprocess
import tempfile
from pathlib import Path
from typing import NamedTuple

from tests.waiting import PATIENCE_S

RED, GREEN = (200, 30, 30), (30, 160, 30)


class Shape(NamedTuple):
    width: int
    height: int


def photo(suffix: str, width: int = 1600, height: int = 1200, *options: str) -> bytes:
    """The left half red, the right half green. ``options``: of libvips' writer, as ``Q=60``."""
    with tempfile.TemporaryDirectory() as folder:
        half, both, out = (Path(folder) / name for name in ("half.ppm", "both.ppm", f"out.{suffix}"))
        for color, path in ((RED, half), (GREEN, both)):
            path.write_bytes(b"P6 %d %d 255\n" % (width // 2, height) + bytes(color) * (width // 2 * height))
        _vips("join", half, both, Path(folder) / "joined.v", "horizontal")
        _vips("copy", Path(folder) / "joined.v", f"{out}[{','.join(options)}]" if options else out)
        return out.read_bytes()


def turned(jpeg: bytes, orientation: int = 6, place: bytes = b"Beaune, 47.02 N") -> bytes:
    """As a telephone that was held upright writes it: an EXIF block says how to turn it, and where it was."""
    entries = [
        struct.pack(">HHI4s", 0x0112, 3, 1, struct.pack(">HH", orientation, 0)),
        struct.pack(">HHII", 0x010E, 2, len(place), 8 + 2 + 2 * 12 + 4),
    ]
    tiff = b"MM\x00\x2a\x00\x00\x00\x08" + struct.pack(">H", 2) + b"".join(sorted(entries)) + bytes(4) + place
    block = b"Exif\x00\x00" + tiff
    return jpeg[:2] + b"\xff\xe1" + struct.pack(">H", len(block) + 2) + block + jpeg[2:]


def shape(jpeg: bytes) -> Shape:
    """By the frame header (ITU-T T.81, B.2.2)."""
    at = 2
    while True:
        marker, length = jpeg[at + 1], int.from_bytes(jpeg[at + 2 : at + 4])
        if 0xC0 <= marker <= 0xC2:
            height, width = struct.unpack_from(">HH", jpeg, at + 5)
            return Shape(width, height)
        at += 2 + length


def color(jpeg: bytes, left: int, top: int) -> tuple[int, ...]:
    """Of one point."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "a.jpg"
        path.write_bytes(jpeg)
        return tuple(int(float(one)) for one in _vips("getpoint", path, str(left), str(top)).split())


def is_like(found: tuple[int, ...], wanted: tuple[int, ...]) -> bool:
    return all(abs(one - other) < 30 for one, other in zip(found, wanted, strict=True))


def _vips(*arguments: str | Path) -> str:
    done = subprocess.run(
        ("vips", *arguments), capture_output=True, text=True, timeout=PATIENCE_S, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout
