"""What a person does in a browser, as a device: judged, and stopped, as their other ones.

Rule:    all that somebody does by the portal's pages on a day is of one device; what they write in the editor is of
         another. One that was stopped stays so, and on another day they begin with a new one.
Source:  docs/decisions/0217-stolen-sessions.md.
"""

from __future__ import annotations

import re
from typing import Literal

DAY_S = 86400
_DEVICE = re.compile(r"(office|page):per_[0-9a-z]{1,40}:[0-9]{1,9}", re.ASCII)
type Kind = Literal["office", "page"]


def device_of(kind: Kind, person_id: str, at_s: int) -> str:
    """``at_s``: a moment of its day, epoch seconds."""
    return f"{kind}:{person_id}:{at_s // DAY_S}"


def kind_of(device_id: str) -> Kind | None:
    """None for an app password."""
    if not _DEVICE.fullmatch(device_id):
        return None
    return "office" if device_id.startswith("office:") else "page"
