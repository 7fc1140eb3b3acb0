"""Everything below a folder as one person sees it, for listings that go deep and for folders as one ZIP."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice

from beffroi.drive.store.names import MAX_DEPTH
from beffroi.drive.store.writing import Reading
from beffroi.drive.views import Place, View
from beffroi.lib.errors import BeffroiError

EVERYTHING = MAX_DEPTH + 1
"""More levels than there are."""


class TooMuchBelow(BeffroiError):
    """Too much lies below this folder to be taken at once, or another collectivité shares some of it; take one folder
    after the other."""

    code = "drive.too_much_below"
    http_status = 403
    precondition = "<d:propfind-finite-depth/>"


def below(view: View, reading: Reading, top: Place, levels: int, most: int) -> list[Place]:
    """So many levels of what lies below a folder: each after its own folder, by name.

    Errors: TooMuchBelow. It is so, too, where another collectivité shares a folder there that would have to be entered:
    what a listing leaves out looks deleted.
    """
    found = list(islice(_below(view, reading, top, levels), most + 1))
    if len(found) > most:
        raise TooMuchBelow
    return found


def _below(view: View, reading: Reading, folder: Place, levels: int) -> Iterator[Place]:
    """Errors: TooMuchBelow."""
    if folder.owner != view.collectivite_id:
        raise TooMuchBelow
    for one in sorted(view.children(reading, folder), key=lambda one: one.path[-1]):
        yield one
        if levels > 1 and one.node.is_folder:
            yield from _below(view, reading, one, levels - 1)
