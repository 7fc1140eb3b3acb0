"""QR codes as pictures inside a page: nothing is fetched, nothing is stored."""

from __future__ import annotations

import base64
from io import BytesIO

import qrcode
from qrcode.image.svg import SvgPathImage


def data_uri(text: str) -> str:
    """An SVG of the code. ``text``: up to some 2,900 bytes; a shorter one is easier to scan."""
    drawn = qrcode.make(text, image_factory=SvgPathImage, error_correction=qrcode.constants.ERROR_CORRECT_L)
    out = BytesIO()
    drawn.save(out)
    return "data:image/svg+xml;base64," + base64.b64encode(out.getvalue()).decode()
