"""The process previews: documents that ask for all memory, or all time. Each has an end, and the next one is served."""

from __future__ import annotations

import socket
from collections.abc import Callable
from contextlib import suppress

import pytest
from beffroi.previews import wire

from tests import pdf_samples
from tests import picture_bombs as pictures
from tests import preview_bombs as bombs
from tests.previewing import Previews, previews

__all__ = ["previews"]
pytestmark = pytest.mark.slow

BOMBS: dict[str, tuple[str, Callable[[], bytes]]] = {
    "a page a million times as high as wide": ("pdf", bombs.high_page),
    "an image of eleven gigabytes": ("pdf", bombs.wide_pdf_image),
    "forms of forms": ("pdf", bombs.forms_of_forms),
    "a deep tree of pages": ("pdf", bombs.deep_tree),
    "a deep stream of objects": ("pdf", bombs.deep_object_stream),
    "a png of 3.6 gigapixels": ("odt", lambda: bombs.with_picture("a.png", bombs.png(60_000, 60_000))),
    "a tiff of 4 gigapixels": ("odt", lambda: bombs.with_picture("a.tif", bombs.tiff(65_000, 65_000))),
    "a gif of a hundred thousand frames": ("odt", lambda: bombs.with_picture("a.gif", bombs.gif(100_000))),
    "entities of entities": ("odt", lambda: bombs.with_picture("a.svg", bombs.svg())),
    "a sheet without an empty cell": ("ods", bombs.wide_sheet),
    "a webp of a gigabyte": ("odt", lambda: bombs.with_picture("a.webp", pictures.webp())),
    "a webp of a hundred thousand frames": (
        "odt",
        lambda: bombs.with_picture("a.webp", pictures.animated_webp(100_000)),
    ),
    "an avif of 4 gigapixels": ("odt", lambda: bombs.with_picture("a.avif", pictures.avif())),
    "a png of 1,200 frames": ("odt", lambda: bombs.with_picture("a.png", pictures.apng(1200))),
    "a tiff of pages without end": ("odt", lambda: bombs.with_picture("a.tif", pictures.tiff_pages(100_000))),
    "a tiff of strips that are not there": (
        "odt",
        lambda: bombs.with_picture("a.tif", pictures.tiff_strips()),
    ),
    "a bmp of 4 gigapixels": ("odt", lambda: bombs.with_picture("a.bmp", pictures.bmp())),
    "an icon that is a large png": ("odt", lambda: bombs.with_picture("a.ico", pictures.ico())),
    "groups of groups": ("odt", lambda: bombs.with_picture("a.svg", pictures.svg_uses())),
    "groups that show one another": ("odt", lambda: bombs.with_picture("a.svg", pictures.svg_circle())),
    "groups without end": ("odt", lambda: bombs.with_picture("a.svg", pictures.svg_deep())),
    "a pattern on a wide plane": ("odt", lambda: bombs.with_picture("a.svg", pictures.svg_wide())),
    "a jpeg 2000 of two gigapixels": ("pdf", pictures.pdf_jpeg2000),
    "a fax of two gigapixels": ("pdf", pictures.pdf_fax),
    "a jbig2 of two gigapixels": ("pdf", pictures.pdf_jbig2),
    "a jpeg of a thousand passes": ("pdf", pictures.pdf_jpeg),
    "a pattern of a thousandth of a point": ("pdf", pictures.pdf_tiles),
    "groups that let all through": ("pdf", pictures.pdf_masks),
    "forms and letters of themselves": ("pdf", pictures.pdf_in_itself),
}
NEXT = pdf_samples.document(["Après"])
READ = {
    "webp": lambda: pictures.webp(50),
    "png": lambda: pictures.apng(3, 50),
    "tif": lambda: pictures.tiff_pages(3, 50),
    "bmp": lambda: pictures.bmp(255 * 3),
}
"""Small ones of the same makers."""


@pytest.mark.parametrize("name", BOMBS)
def test_what_asks_for_too_much_has_an_end_and_the_next_one_is_served(previews: Previews, name: str) -> None:
    suffix, make = BOMBS[name]
    data = make()
    assert len(data) <= wire.MAX_DOCUMENT_BYTES
    with suppress(wire.NotShown):  # some programs know better, and show what there is
        shown = previews.of(suffix, data)
        assert shown.size_bytes <= wire.MAX_PDF_BYTES + wire.PICTURES * wire.MAX_PICTURE_BYTES
    assert len(previews.of("pdf", NEXT).pictures) == 1


def test_a_drawing_s_entity_is_no_file_of_this_machine(previews: Previews) -> None:
    secret = previews.state / "secret.txt"
    secret.write_text("le secret de la commune")
    found = previews.text("odt", bombs.with_picture("a.svg", bombs.svg(secret=str(secret))))
    assert "Visible." in found and "Dessin" in found and "secret" not in found


def test_what_the_bombs_are_made_of_is_read_where_it_is_small(previews: Previews) -> None:
    """Else they would prove nothing."""
    none = previews.of("odt", bombs.with_picture("a.png", b"none")).pictures
    for suffix, make in READ.items():
        assert previews.of("odt", bombs.with_picture(f"a.{suffix}", make())).pictures != none, suffix


def test_what_a_drawing_links_to_is_fetched_from_nowhere(previews: Previews) -> None:
    secret = previews.state / "secret.svg"
    secret.write_bytes(pictures.drawing('<text y="20">le secret de la commune</text>'))
    with socket.create_server(("127.0.0.1", 0)) as web:
        web.setblocking(False)
        elsewhere = f"http://127.0.0.1:{web.getsockname()[1]}/a.svg"
        drawing = pictures.svg_linked(elsewhere, f"file://{secret}", str(secret), "/etc/passwd")
        found = previews.text("odt", bombs.with_picture("a.svg", drawing))
        with pytest.raises(BlockingIOError):
            web.accept()
    assert "Visible." in found and "Dessin" in found and "secret" not in found and "root:" not in found
