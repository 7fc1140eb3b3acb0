"""What the check of a format answers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

State = Literal["sound", "sealed", "torn", "broken", "opaque"]
"""sound: the structure of its kind, as far as it was read. sealed: sound, and locked by its owner's password. torn:
what a fault leaves: cut off, blank, empty. broken: bytes that its format forbids. opaque: of no kind that is known
here."""


@dataclass(frozen=True)
class Finding:
    """``reason``: what was missing, one of a fixed set of words, for the page and the tests; empty where sound."""

    state: State
    reason: str = ""


SOUND = Finding("sound")
SEALED = Finding("sealed")


def torn(reason: str) -> Finding:
    return Finding("torn", reason)


def broken(reason: str) -> Finding:
    return Finding("broken", reason)
