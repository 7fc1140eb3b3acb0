"""Pictures with a QR code, or one of another kind, for tests, as lures carry them, and pictures that are no good."""

from __future__ import annotations

import io
import itertools
import struct
import zlib
from typing import Any

import qrcode
import zxingcpp
from PIL import Image
from qrcode.image.pil import PilImage

from tests import scan_samples as samples
from tests.preview_bombs import png_chunk


def drawn(text: str, *, square_px: int = 4, border: int = 4) -> Image.Image:
    """In shades of grey. ``border``: squares."""
    code = qrcode.QRCode(box_size=square_px, border=border)
    code.add_data(text)
    return code.make_image(image_factory=PilImage).get_image().convert("L")


def of_kind(name: str, text: str, *, square_px: int = 4) -> Image.Image:
    """``name``: of ``zxingcpp.BarcodeFormat``."""
    code = zxingcpp.create_barcode(text, zxingcpp.BarcodeFormat[name])
    pixels = memoryview(code.to_image(scale=square_px))
    height, width = pixels.shape
    return Image.frombytes("L", (width, height), bytes(pixels))


def written(image: Image.Image, kind: str = "PNG", **more: Any) -> bytes:
    out = io.BytesIO()
    image.save(out, kind, **more)
    return out.getvalue()


def png(text: str) -> bytes:
    return written(drawn(text))


def png_of_size(width: int, height: int) -> bytes:
    """What claims so many pixels and has none."""
    header = struct.pack(">IIBBBBB", width, height, 8, 6, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + png_chunk(b"IHDR", header) + png_chunk(b"IDAT", zlib.compress(bytes(99)))


def wordy_png(text: str) -> bytes:
    """With 70 MB of words beside the picture, packed."""
    whole, words = png(text), png_chunk(b"zTXt", b"Comment\0\0" + zlib.compress(bytes(2**20 - 1)))
    header_end = 8 + 25
    return whole[:header_end] + words * 70 + whole[header_end:]


def docx(picture: bytes) -> bytes:
    return samples.docx(**{"word/media/image1__png": picture})


def pdf(image: Image.Image, *, as_jpeg: bool = False, in_form: bool = False) -> bytes:
    """A page that shows it, as office programs write it."""
    packed = written(image, "JPEG") if as_jpeg else zlib.compress(image.tobytes())
    picture = (
        b"<</Subtype/Image/Width %d/Height %d/ColorSpace/DeviceGray/BitsPerComponent %d/Filter/%s/Length %d>>"
        % (
            image.width,
            image.height,
            1 if image.mode == "1" else 8,
            b"DCTDecode" if as_jpeg else b"FlateDecode",
            len(packed),
        )
    )
    form = b"<</Subtype/Form/BBox[0 0 9 9]/Resources<</XObject<</I 6 0 R>>>>/Length 0>>stream\n\nendstream"
    stream = picture + b"stream\n" + packed + b"\nendstream"
    return samples.pdf(resources=f"/XObject<</I {7 if in_form else 6} 0 R>>", more=(stream, form))


def of_each_kind(text: str) -> list[bytes]:
    """The same code in every kind of file that is read."""
    image = drawn(text)
    alone = [written(image, kind) for kind in ("PNG", "JPEG", "GIF", "BMP", "WEBP")]
    return [*alone, docx(alone[0]), pdf(image), pdf(image, as_jpeg=True), pdf(image, in_form=True)]


# -- codes that are drawn without a picture ------------------------------------------------------------------

_HALVES = {(0, 0): " ", (1, 0): "\u2580", (0, 1): "\u2584", (1, 1): "\u2588"}


def squares(text: str) -> list[list[int]]:
    """Rows of the code, 1 for black, with its margin."""
    code = qrcode.QRCode(border=4)
    code.add_data(text)
    return [[int(bool(one)) for one in row] for row in code.get_matrix()]


def signs(text: str, *, inverted: bool = False) -> str:
    """Two rows of squares in a line of half blocks."""
    rows = [[one ^ inverted for one in row] for row in squares(text)]
    rows += [[0] * len(rows[0])] * (len(rows) % 2)
    pairs = zip(rows[::2], rows[1::2], strict=True)
    return "\n".join("".join(_HALVES[pair] for pair in zip(*two, strict=True)) for two in pairs)


def table(text: str, *, black: str = "bgcolor=#000000", white: str = "bgcolor='#FFFFFF'") -> str:
    rows = ("".join(f"<td {black if one else white}></td>" for one in row) for row in squares(text))
    return f"<table cellspacing=0>{''.join(f'<tr>{row}</tr>' for row in rows)}</table>"


def runs(row: list[int]) -> list[tuple[int, int]]:
    """(square, how many follow one another)."""
    return [(one, len(list(same))) for one, same in itertools.groupby(row)]


def svg(
    text: str, *, square: str = '<rect x="{x}" y="{y}" width="1" height="1"/>', around: str = "{}"
) -> str:
    shapes = (
        square.format(x=x, y=y) for y, row in enumerate(squares(text)) for x, one in enumerate(row) if one
    )
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 41 41">{around.format("".join(shapes))}</svg>'
    )


def pdf_of_shapes(
    text: str, *, shape: str = "{x} {y} 1 1 re f", around: str = "{}", in_form: bool = False
) -> bytes:
    """A page that draws the code without a picture. ``shape``: of one square, y upwards; ``x2``, ``y2``: its end."""
    rows = squares(text)
    shapes = "\n".join(
        shape.format(x=x, y=len(rows) - y, x2=x + 1, y2=len(rows) - y + 1)
        for y, row in enumerate(rows)
        for x, one in enumerate(row)
        if one
    )
    content = f"q 3 0 0 3 400 60 cm 0 g\n{around.format(shapes)}\nQ\n"
    stream = b"<<%s/Length %d>>stream\n%s\nendstream" % (
        b"/Subtype/Form/BBox[0 0 595 842]" if in_form else b"",
        len(content),
        content.encode(),
    )
    if in_form:
        return samples.pdf(resources="/XObject<</F 6 0 R>>", more=(stream,))
    return samples.pdf(more=(stream,)).replace(b"/Contents 4 0 R", b"/Contents[4 0 R 6 0 R]")
