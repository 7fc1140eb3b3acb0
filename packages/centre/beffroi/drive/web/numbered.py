"""The number of a file in an address of the portal, with a mark of its collectivité where its person works for several.

Rule:    numbers are of one collectivité. A page that stayed with the one, while its person went on to the other in
         another tab, is refused there instead of opening that one's file of the same number; so is an address that
         was kept. A number without a mark is taken as it is: most people have one collectivité.
Hostile: addresses. What lies where is asked of the store all the same.
"""

from __future__ import annotations

import re

from beffroi.drive.web.granted import OtherCollectivite

MARK = r"(?:-[0-9a-z]{6})?"
_MARKED = re.compile(r"([0-9]{1,18})-([0-9a-z]{6})", re.ASCII)


def mark(collectivite_id: str) -> str:
    return collectivite_id[-6:]


def plain(step: str, collectivite_id: str) -> str:
    """A step of an address without its mark. Errors: OtherCollectivite."""
    found = _MARKED.fullmatch(step)
    if found is None:
        return step
    if found[2] != mark(collectivite_id):
        raise OtherCollectivite
    return found[1]
