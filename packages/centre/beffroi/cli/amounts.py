"""Amounts as a command takes them."""

from __future__ import annotations

from beffroi.lib import gigabytes
from beffroi.lib.errors import Invalid


def room(text: str) -> int:
    """Bytes of a number of GB. Errors: ValueError, which argparse tells."""
    try:
        size_bytes = gigabytes.read(text)
    except Invalid:
        size_bytes = None
    if size_bytes is None:
        raise ValueError(text)
    return size_bytes
