"""Amounts as a command takes them."""

from __future__ import annotations

from argparse import ArgumentTypeError

from beffroi.lib import gigabytes
from beffroi.lib.errors import Invalid


def room(text: str) -> int:
    """Bytes of a number of GB. Errors: ValueError, ArgumentTypeError, which argparse tells."""
    try:
        size_bytes = gigabytes.read(text)
    except gigabytes.Ambiguous as error:
        raise ArgumentTypeError(str(error)) from None
    except Invalid:
        size_bytes = None
    if size_bytes is None:
        raise ValueError(text)
    return size_bytes
