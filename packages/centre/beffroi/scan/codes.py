"""QR, Aztec and Data Matrix codes in a picture, and the web addresses that a phone opens for them. Pure.

Hostile: every picture. Pillow and zxing-cpp are C and C++: this runs in a child of ``scan`` alone, which has given up
         everything.
Fails:   TooLarge past a cap of pixels: what is not opened may hold a code. Of a broken picture the part counts that
         mail programs show.
Source:  ISO/IEC 18004, 24778, 16022; docs/decisions/0155-qr-codes-in-mails.md.
"""

from __future__ import annotations

import io
import re
from collections.abc import Iterator
from itertools import islice
from math import ceil, sqrt

import zxingcpp
from PIL import Image, ImageFile, ImageSequence, PngImagePlugin, WebPImagePlugin

CPU_S = 1.5
"""For all pictures of one attached file: no further one is opened then."""
MOST_PIXELS, MOST_JPEG_PIXELS = 40_000_000, 200_000_000
"""Of one picture: an A4 page at 600 dpi has 35 million. A JPEG is opened at a half, a quarter or an eighth; of one that
shows itself by and by libjpeg holds the whole all the same, and says nothing clear where memory ends."""
FEWEST_EDGE = 8
"""Of the smallest code (Data Matrix), with one pixel for each of its squares: what is narrower is not opened."""
_MOST_READ, _JPEG_EDGE = 4_000_000, 1500
"""Pixels that are searched, some more than a screen has: of a larger picture a smaller copy."""
_MOST_FRAMES = 20
_KINDS = zxingcpp.BarcodeFormats(
    [zxingcpp.BarcodeFormat.QRCode, zxingcpp.BarcodeFormat.Aztec, zxingcpp.BarcodeFormat.DataMatrix]
)
"""What readers on phones take for an address; the lines of an article in a shop lead to no page."""
_FORMATS = ("PNG", "JPEG", "GIF", "BMP", WebPImagePlugin.WebPImageFile.format)
"""What mail programs show in a mail."""
_BEGINS = re.compile(rb"\x89PNG\r\n|\xff\xd8\xff|GIF8|BM|RIFF.{4}WEBP", re.DOTALL)
_WEB = re.compile(r"(?:URL(?:TO)?:)?\s*(https?:.*)", re.IGNORECASE | re.DOTALL)
_BARE = re.compile(r"(?:[\w-]{1,63}\.)+[^\W\d_]{2,63}\.?(?:[:/?#]\S*)?")
"""A host without a scheme: phones open it by http."""
_OF_PROGRAM = re.compile(r"intent://([^\s#]+)", re.IGNORECASE)
"""As Android hands it to a browser."""
_NO_PAGE = re.compile(r"BCD\s|SPC\s|(?:BEGIN|MECARD|WIFI):", re.IGNORECASE)
_INSIDE = re.compile(r"https?://[^\s\"'<>;]+", re.IGNORECASE)

Image.MAX_IMAGE_PIXELS = None  # the caps here are narrower, and a warning is no answer
Image.preinit()  # before the process gives up files
ImageFile.LOAD_TRUNCATED_IMAGES = True  # mail programs show what there is
PngImagePlugin.MAX_TEXT_MEMORY = 2**40  # they pass over what is written beside a picture, however long


class TooLarge(Exception):
    """More pixels than are opened."""


def is_picture(data: bytes) -> bool:
    """Whether it begins as one of a kind that is opened."""
    return _BEGINS.match(data) is not None


def links(picture: bytes | Image.Image) -> list[str]:
    """The web addresses in its codes, as they are written there, of its first frames; none where it is no picture.
    Errors: TooLarge, MemoryError."""
    found: dict[str, None] = {}
    try:
        with (
            Image.open(io.BytesIO(picture), formats=_FORMATS)
            if isinstance(picture, bytes)
            else picture as opened
        ):
            for text in _texts(opened):
                found[_link(text)] = None
    except (MemoryError, TooLarge):
        raise
    except Exception:  # noqa: BLE001, S110 - Pillow's readers raise what they like: no picture, or none from here on
        pass
    return [link for link in found if link]


def _texts(picture: Image.Image) -> Iterator[str]:
    """Errors: TooLarge; those of Pillow."""
    if min(picture.size) < FEWEST_EDGE:
        return
    by_lines = picture.format in ("JPEG", "MPO") and "progressive" not in picture.info
    if picture.width * picture.height > (MOST_JPEG_PIXELS if by_lines else MOST_PIXELS):
        raise TooLarge
    picture.draft("L", (_JPEG_EDGE, _JPEG_EDGE))
    if picture.width * picture.height > MOST_PIXELS:
        raise TooLarge
    for frame in islice(ImageSequence.Iterator(picture), _MOST_FRAMES):
        for plain in _plain(frame):
            yield from (code.text for code in _codes(plain))


def _codes(image: Image.Image) -> list[zxingcpp.Barcode]:
    return zxingcpp.read_barcodes(image, formats=_KINDS, text_mode=zxingcpp.TextMode.Plain)


def _plain(frame: Image.Image) -> Iterator[Image.Image]:
    """Shades of grey, small enough; what one sees through before white and before black."""
    times = ceil(sqrt(frame.width * frame.height / _MOST_READ))
    if not frame.has_transparency_data:
        # Of 16 bits Pillow would keep the lower ones.
        grey = frame.point(lambda value: value / 256) if frame.mode.startswith("I") else frame
        yield grey.convert("L").reduce(times)
        return
    image = frame.convert("RGBA").reduce(times)
    for ground in ("white", "black"):
        yield Image.alpha_composite(Image.new("RGBA", image.size, ground), image).convert("L")


def _link(text: str) -> str:
    """ "" for what opens no page: a payment, a card, a network. Of a bookmark or a text the first one in it."""
    text = text.strip()
    if web := _WEB.fullmatch(text):
        return web[1]
    if _BARE.fullmatch(text):
        return f"http://{text}"
    if program := _OF_PROGRAM.match(text):
        return f"http://{program[1]}"
    inside = _INSIDE.search(text.replace("\\", ""))
    return inside[0] if inside and not _NO_PAGE.match(text) else ""
