"""The box's word that something is blocked there, carried by a person's browser to the portal.

Purpose: "débloquer 1 h et signaler": the portal learns which entry of which box it is about, without asking the box.
         It gives no right: a person signs in, and the portal decides.
Format:  ``claims``, role ``unlock/1``.
"""

from __future__ import annotations

import msgspec

from beffroi_protocol.claims import Form
from beffroi_protocol.indicators import Indicator
from beffroi_protocol.messages import Name, Seconds

LIFE_S = 1800


class Unlock(msgspec.Struct, frozen=True):
    """``indicator``: what the entry blocks; ``entry_id``: decision or list; ``at``: epoch seconds."""

    v: int
    box_id: Name
    entry_id: Name
    indicator: Indicator
    at: Seconds


_FORM = Form(Unlock, "unlock/1", late_s=LIFE_S, max_chars=2048)
make_token, read_token, verify_token = _FORM.make, _FORM.read, _FORM.verify
