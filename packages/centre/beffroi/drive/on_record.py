"""What is done is on record before, and once more where it then fails.

Rule:    the drive's metadata and the audit log are two databases, and no transaction spans both. So the line comes
         first: nothing is done that the log does not know. What the change then refuses, for somebody else was quicker,
         or fails at, is told too: but after a crash, no line stands alone that tells of what was not done, or not to
         its end.
Process: any; no Django.
Source:  docs/decisions/0110-what-was-told-and-not-done.md
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from beffroi.lib.errors import BeffroiError


@contextmanager
def before(tell: Callable[[], object], failed: Callable[[str], object]) -> Iterator[None]:
    """Around the change. ``tell``: on disk when it returns; where it fails, the change is not begun. ``failed``: called
    with the code of the change's error. Errors: those of ``tell``, of the block, of ``failed``."""
    tell()
    try:
        yield
    except BeffroiError as error:
        failed(error.code)
        raise
