"""How one leaves a mailing list, as the head of its mail says and as far as its sender signed it. Pure.

Hostile: the whole head. A field that the domain's own signature does not cover may be anybody's, added on the way.
Fails:   closed: no way where anything is doubtful.
Source:  RFC 2369, 3.2; RFC 6068; RFC 6376, 3.5 (h=) and 5.4.2; RFC 8058, 4 (why it must be signed);
         docs/decisions/0195-unsubscribing-from-the-page.md.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from urllib.parse import parse_qsl, unquote

from beffroi.mail import compose
from beffroi.mail.decoding import clean

FIELDS = ("LIST-UNSUBSCRIBE", "DKIM-SIGNATURE")
_FIELD = re.compile(
    rb"^(list-unsubscribe|dkim-signature)[ \t]*:((?:[^\r\n]|\r?\n[ \t]){0,20000})",
    re.IGNORECASE | re.MULTILINE,
)
_PLACE = re.compile(r"<([^<>]{1,4000})>")
_TAG = re.compile(r"(?:^|;)\s*([dh])\s*=([^;]*)")
_MAX_TEXT_CHARS = 2000


@dataclass(frozen=True)
class Way:
    """By a message (``address``, ``subject``, ``text``), where the list takes one, or on a page (``url``, https, as it
    is written)."""

    address: str = ""
    subject: str = ""
    text: str = ""
    url: str = ""


def way(head: bytes, domain: str) -> Way | None:
    """``domain``: of From:, proved by who asks. None where the list names no way, or did not sign it."""
    told: dict[str, list[str]] = {"list-unsubscribe": [], "dkim-signature": []}
    for name, value in _FIELD.findall(head):
        told[name.decode("ascii").lower()].append(value.decode("utf-8", "replace"))
    # Of two such fields a signature covers the last, and programs read the first.
    if len(told["list-unsubscribe"]) != 1 or not _is_signed(told["dkim-signature"], domain.lower()):
        return None
    places = [re.sub(r"\s", "", one) for one in _PLACE.findall(told["list-unsubscribe"][0])]
    mails = (_message(one) for one in places if one.lower().startswith("mailto:"))
    page = next((Way(url=one) for one in places if one.lower().startswith("https://")), None)
    return next((one for one in mails if one), page)


def _is_signed(signatures: list[str], domain: str) -> bool:
    """Whether each signature of that domain covers the field: which of them was proved is not told, and a false one
    beside it only takes the way away."""
    covers = []
    for one in signatures:
        tags = {name: re.sub(r"\s", "", value).lower() for name, value in _TAG.findall(one)}
        signer = tags.get("d", "")
        if signer and (f".{domain}".endswith(f".{signer}") or signer.endswith(f".{domain}")):
            covers.append("list-unsubscribe" in tags.get("h", "").split(":"))
    return bool(covers) and all(covers)


def _message(place: str) -> Way | None:
    address, _, query = place[len("mailto:") :].partition("?")
    try:
        (whom,) = compose.parse_addresses(unquote(address), "to")
    except (compose.DraftInvalid, ValueError):
        return None
    said = {name.lower(): value for name, value in parse_qsl(query.replace("+", "%2B"), max_num_fields=20)}
    subject = clean(said.get("subject") or "unsubscribe", compose.MAX_SUBJECT_CHARS)
    return Way(whom.addr_spec, subject, said.get("body", "")[:_MAX_TEXT_CHARS])
