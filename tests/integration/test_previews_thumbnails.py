"""The process previews: a small picture of what telephones, cameras and scanners make; hostile ones have an end."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest
from beffroi.previews import wire

from tests import picture_bombs as bombs
from tests import preview_bombs
from tests.photo_samples import GREEN, RED, Shape, color, is_like, photo, shape, turned
from tests.previewing import Previews, previews
from tests.waiting import PATIENCE_S

__all__ = ["previews"]
pytestmark = pytest.mark.slow
SMALL, LARGE = wire.EDGES_PX


def thumbnail(previews: Previews, suffix: str, data: bytes, edge_px: int = SMALL) -> bytes:
    made = wire.ask(previews.path, suffix, data, timeout_s=60, edge_px=edge_px)
    assert made.pdf == b""
    (only,) = made.pictures
    return only


@pytest.mark.parametrize("suffix", ["jpg", "png", "webp", "gif", "tif", "heic", "avif"])
def test_every_kind_has_one_with_its_colours(previews: Previews, suffix: str) -> None:
    data = photo(suffix)
    for edge_px, wanted in ((SMALL, Shape(256, 192)), (LARGE, Shape(1024, 768))):
        made = thumbnail(previews, suffix, data, edge_px)
        assert shape(made) == wanted
        assert is_like(color(made, 10, 10), RED) and is_like(color(made, edge_px - 10, 10), GREEN)


def test_a_map_that_holds_itself_in_several_sizes_is_not_shown_by_its_smallest(previews: Previews) -> None:
    data = photo("tif", 1600, 1200, "pyramid", "tile")
    assert shape(thumbnail(previews, "tif", data)) == Shape(256, 192)
    assert shape(thumbnail(previews, "tiff", data, LARGE)) == Shape(1024, 768)


def test_it_stands_upright_and_says_nothing_of_where_it_was_taken(previews: Previews) -> None:
    data = turned(photo("jpg"))
    assert b"Beaune" in data
    made = thumbnail(previews, "jpeg", data)
    assert shape(made) == Shape(192, 256) and b"Beaune" not in made and b"Exif" not in made
    assert is_like(color(made, 10, 10), RED) and is_like(color(made, 10, 245), GREEN), "turned to the right"


def test_a_small_one_is_not_blown_up(previews: Previews) -> None:
    assert shape(thumbnail(previews, "png", photo("png", 40, 20))) == Shape(40, 20)


HOSTILE: dict[str, tuple[str, Callable[[], bytes]]] = {
    "a png of 3.6 gigapixels": ("png", lambda: preview_bombs.png(60_000, 60_000)),
    "a tiff of 4 gigapixels": ("tif", lambda: preview_bombs.tiff(65_000, 65_000)),
    "a gif of a hundred thousand frames": ("gif", lambda: preview_bombs.gif(100_000)),
    "a webp of a gigabyte": ("webp", bombs.webp),
    "a webp of a hundred thousand frames": ("webp", lambda: bombs.animated_webp(100_000)),
    "an avif of 4 gigapixels": ("avif", bombs.avif),
    "a png of 1,200 frames": ("png", lambda: bombs.apng(1200)),
    "a tiff of pages without end": ("tif", lambda: bombs.tiff_pages(100_000)),
    "a tiff of strips that are not there": ("tif", bombs.tiff_strips),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_what_asks_for_too_much_has_an_end_and_the_next_one_is_served(previews: Previews, name: str) -> None:
    suffix, make = HOSTILE[name]
    with suppress(wire.NotShown):  # some are read from their beginning, and show what there is
        assert len(thumbnail(previews, suffix, make())) <= wire.MAX_PICTURE_BYTES
    assert shape(thumbnail(previews, "png", photo("png", 40, 20))) == Shape(40, 20)


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\xff\xd8\xff nothing",
        b"<svg xmlns='http://www.w3.org/2000/svg' width='9' height='9'/>",
        b"%PDF-1.4\n",
        b"push graphic-context\nviewbox 0 0 9 9\nimage over 0,0 0,0 'label:@/etc/passwd'\npop graphic-context\n",
        b"P6 4 4 255\n" + bytes(48),
    ],
)
def test_what_is_no_picture_of_these_kinds_is_opened_by_no_other_reader(
    previews: Previews, data: bytes
) -> None:
    """A drawing, a document, ImageMagick's own language: their readers stay shut."""
    for suffix in ("jpg", "png"):
        with pytest.raises(wire.NotShown) as refused:
            thumbnail(previews, suffix, data)
        assert refused.value.why == "unreadable"


def test_a_document_that_takes_long_keeps_no_picture_waiting(previews: Previews) -> None:
    """LANES serve beside one another; what is no kind of picture, or no size of one, is no request."""
    for asked in (b"odt 10 256\n", b"jpg 10 300\n", b"jpg 10\n", b"jpg 99999999 256\n", b"svg 10 256\n"):
        with pytest.raises(wire.Ended):
            wire.asked(asked)
    assert wire.asked(b"heic 10 1024\n") == ("heic", 10, 1024)


OF_MANY = """
import os, sys
from pathlib import Path
from beffroi.previews import making, server, wire
place = Path(sys.argv[1])
(place / "own").mkdir()
if os.getuid() == 0:
    os.chown(place, 65533, 65533)
    os.chown(place / "own", 65533, 65533)
    os.setresgid(65533, 65533, 65533)
    os.setresuid(65533, 65533, 65533)
ended, held = os.pipe()
for _ in range(1 + server.LANES + 4 * (wire.PHOTOS_AT_ONCE - 1)):
    if os.fork() == 0:
        os.close(held)
        os.read(ended, 1)
        os._exit(0)
sys.stdout.buffer.write(making.make(place / "own", "png", (place / "a.png").read_bytes(), 256).pictures[0])
"""
"""Beside as many threads as the pictures of a machine's other processors have, each vipsthumbnail four."""


def test_a_machine_of_many_processors_makes_as_many_at_once() -> None:
    with tempfile.TemporaryDirectory(prefix="bfp-") as folder:
        (Path(folder) / "a.png").write_bytes(photo("png", 512, 256))
        made = subprocess.run(
            [sys.executable, "-c", OF_MANY, folder],
            env={**os.environ, "PYTHON_CPU_COUNT": "16"},
            stdout=subprocess.PIPE,
            timeout=PATIENCE_S,
            check=True,
        )
    assert shape(made.stdout) == Shape(256, 128)
