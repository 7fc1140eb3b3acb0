"""The process previews: documents that ask for all memory, or all time. Each has an end, and the next one is served."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress

import pytest
from beffroi.previews import wire

from tests import office_samples as samples
from tests import preview_bombs as bombs
from tests.integration.test_previews_process import Previews, previews

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
}


@pytest.mark.parametrize("name", BOMBS)
def test_what_asks_for_too_much_has_an_end_and_the_next_one_is_served(previews: Previews, name: str) -> None:
    suffix, make = BOMBS[name]
    data = make()
    assert len(data) <= wire.MAX_DOCUMENT_BYTES
    with suppress(wire.NotShown):  # some programs know better, and show what there is
        shown = previews.of(suffix, data)
        assert shown.size_bytes <= wire.MAX_PDF_BYTES + wire.PICTURES * wire.MAX_PICTURE_BYTES
    assert "Après" in previews.text("odt", samples.text("Après"))


def test_a_drawing_s_entity_is_no_file_of_this_machine(previews: Previews) -> None:
    secret = previews.state / "secret.txt"
    secret.write_text("le secret de la commune")
    found = previews.text("odt", bombs.with_picture("a.svg", bombs.svg(secret=str(secret))))
    assert "Visible." in found and "Dessin" in found and "secret" not in found
