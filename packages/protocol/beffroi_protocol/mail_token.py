"""How a box asks for the right to send mail of its relay, and what it gets.

Format:  ``claims``, role ``mail-token/1``. Whoever could send a request again within ``LATE_S`` gets the same right,
         which is to send for a minute as the relay's mailbox.
Source:  docs/decisions/0045-relay-on-the-boitier.md.
"""

from __future__ import annotations

import msgspec

from beffroi_protocol.claims import Form
from beffroi_protocol.messages import Name, Seconds

LATE_S = 300


class MailTokenRequest(msgspec.Struct, frozen=True):
    """``at``: epoch seconds."""

    v: int
    box_id: Name
    at: Seconds


class MailToken(msgspec.Struct, frozen=True):
    """``token``: a bearer token of user ``login``: for ``life_s`` seconds it sends as ``sender``, and opens nothing."""

    v: int
    sender: str
    login: str
    token: str
    life_s: int


_FORM = Form(MailTokenRequest, "mail-token/1", late_s=LATE_S, max_chars=1024)
make_request, read_request, verify_request = _FORM.make, _FORM.read, _FORM.verify
