"""Write a message of the webmail: addresses, answers, the finished bytes. Pure: no network, no database.

Purpose: what a person typed becomes a message of RFC 5322, in plain text, that every client reads.
Process: web.
Hostile: what is typed or sent to the form, and what an answered mail says (its names, subject, identifiers). A line
         end or another control sign in a header is refused, never repaired.
Fails:   closed: DraftInvalid names the field.
Source:  RFC 5322 (3.6.4 for References), RFC 2047, RFC 2231, RFC 5891.
"""

from __future__ import annotations

import re
import secrets
import unicodedata
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from email.headerregistry import Address, HeaderRegistry, UnstructuredHeader
from email.message import EmailMessage
from email.policy import SMTP, Policy
from email.utils import format_datetime
from mimetypes import guess_file_type
from urllib.parse import quote

import idna

from beffroi.lib.errors import Invalid
from beffroi.lib.unseen import CONTROLS, DIRECTION, HALVES, LINE_ENDS, TURNING, ZERO_WIDTH

MAX_RECIPIENTS = 100
MAX_SUBJECT_CHARS = 500
MAX_TEXT_BYTES = 200_000
"""Three times as many on the way is still less than what a draft is read back with."""
MAX_TYPED_CHARS = 30_000
"""Of a field of recipients that is not finished, or has too many of them: some hundreds, with their names."""
MAX_QUOTE_CHARS = 100_000
MAX_FILES = 50
MAX_FILES_BYTES = 20_000_000
"""Of all attachments: with a third more on the way, what nearly every server accepts."""
MAX_REFERENCES = 30
MAX_SOURCE_CHARS = 600
TAB_HEADER = "X-Beffroi-Tab"
TAKEN_HEADER = "X-Beffroi-Taken"
SOURCE_HEADER = "X-Beffroi-Source"
AUTHOR_HEADER = "X-Beffroi-Author"
"""Whose draft it is, where somebody writes in the owner's stead. Like the other two, it does not leave."""
_LOCAL = re.compile(r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+(?:\.[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+)*")
_DOMAIN = re.compile(r"(?:[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?\.)+[a-z0-9-]{2,63}", re.IGNORECASE)
_NAMED = re.compile(r'(?:"((?:[^"\\]|\\.)*)"|([^"<>]*))\s*<([^<>]*)>')
_CONTROL = re.compile(f"[{CONTROLS}{LINE_ENDS}{HALVES}]")
_NOT_IN_NAMES = re.compile(rf'[{CONTROLS}{LINE_ENDS}{DIRECTION}{TURNING}{ZERO_WIDTH}{HALVES}"<>|:*?]')
_MESSAGE_ID = re.compile(r"<[^<>\s\x00-\x1f\x7f-\uffff]{1,250}>")
_PREFIX = re.compile(r"^(?:re|rép|tr|fw|fwd)\s*:\s*", re.IGNORECASE)
_METHOD = re.compile(rb"^METHOD:([A-Z]{1,20})\r?$", re.MULTILINE)
_TAB = re.compile(r"[A-Za-z0-9_-]{8,64}")


class _Identifiers(UnstructuredHeader):
    """Message-IDs and their like, one a line: the library would make an encoded word of a longer one."""

    def fold(self, *, policy: Policy) -> str:
        name: str = self.name  # type: ignore[attr-defined] # of BaseHeader, which the registry adds
        return f"{name}: " + f"{policy.linesep} ".join(str(self).split()) + policy.linesep


_registry = HeaderRegistry()
for _name in ("message-id", "in-reply-to", "references", SOURCE_HEADER.lower()):
    _registry.map_to_type(_name, _Identifiers)  # type: ignore[arg-type]
_POLICY = SMTP.clone(header_factory=_registry)


class DraftInvalid(Invalid):
    """The field {} of this message cannot be used: {}"""

    code = "mail.draft_invalid"

    def __init__(self, field_name: str, why: str, value: str = "") -> None:
        super().__init__(field_name, why)
        self.field_name = field_name
        self.why = why
        self.value = value
        """For the person who typed it only."""


@dataclass(frozen=True)
class File:
    """An attachment. ``name`` as it will be shown, without any path. ``is_calendar``: what calendars made for this
    message (RFC 6047), which programs take for an invitation; the first of them stands beside the text."""

    name: str
    data: bytes
    is_calendar: bool = False


@dataclass(frozen=True)
class Draft:
    """What a person has written so far. ``tab``: the page it is written in; ``source``: see ``source_of``; ``taken``:
    number of the state before, and which attachments were taken from it; ``author`` and ``sender``: identifier and
    address of who writes in the owner's stead."""

    from_name: str
    from_address: str
    to: str = ""
    cc: str = ""
    bcc: str = ""
    subject: str = ""
    text: str = ""
    files: Sequence[File] = ()
    message_id: str = ""
    in_reply_to: str = ""
    references: str = ""
    tab: str = ""
    source: str = ""
    taken: str = ""
    author: str = ""
    sender: Address | None = None
    receipt: str = ""
    """What it says to programs as a read receipt (RFC 8098, 3.1)."""


@dataclass(frozen=True)
class Original:
    """The mail that is answered or passed on. Everything in it is hostile. ``sent_at``: UTC, as it says."""

    uid: int
    uid_validity: int
    folder: str
    from_name: str
    from_address: str
    reply_to: tuple[str, ...]
    to: tuple[str, ...]
    cc: tuple[str, ...]
    subject: str
    sent_at: datetime | None
    text: str
    message_id: str = ""
    references: str = ""


def new_message_id(address: str) -> str:
    """In the domain of the sender, so that it is theirs and unique."""
    return f"<{secrets.token_hex(16)}@{address.rpartition('@')[2]}>"


def parse_addresses(text: str, field_name: str) -> list[Address]:
    """The addresses of a field, separated by commas, semicolons or lines; each once. Errors: DraftInvalid."""
    found: dict[str, Address] = {}
    for piece in _split(text):
        if piece.strip():
            name, address = _one(_checked(piece, field_name, 1000).strip(), field_name)
            found.setdefault(address.lower(), Address(_checked(name, field_name), addr_spec=address))
    if len(found) > MAX_RECIPIENTS:
        raise DraftInvalid(field_name, "too_many", str(len(found)))
    return list(found.values())


def _split(text: str) -> Iterator[str]:
    """Pieces between commas, semicolons and line ends that stand outside of quotes."""
    piece: list[str] = []
    quoted = escaped = False
    for sign in text:
        if sign in ",;\r\n" and not quoted:
            yield "".join(piece)
            piece = []
            continue
        piece.append(sign)
        if sign == '"' and not escaped:
            quoted = not quoted
        escaped = quoted and sign == "\\" and not escaped
    yield "".join(piece)


def _one(piece: str, field_name: str) -> tuple[str, str]:
    named = _NAMED.fullmatch(piece)
    quoted, plain, text = named.groups() if named else ("", "", piece)
    local, _, domain = text.strip().rpartition("@")
    try:
        ascii_domain = (
            domain if domain.isascii() else idna.encode(domain, uts46=True).decode("ascii")
        ).lower()
    except UnicodeError:
        ascii_domain = ""
    if len(local) > 64 or not _LOCAL.fullmatch(local) or not _DOMAIN.fullmatch(ascii_domain):
        if _LOCAL.fullmatch(unaccented(local)) and _DOMAIN.fullmatch(ascii_domain) and not local.isascii():
            raise DraftInvalid(field_name, "accent", text.strip()[:200])
        raise DraftInvalid(field_name, "address", piece[:200])
    return re.sub(r"\\(.)", r"\1", quoted or "").strip() or (plain or "").strip(), f"{local}@{ascii_domain}"


def unaccented(text: str) -> str:
    return "".join(one for one in unicodedata.normalize("NFKD", text) if not unicodedata.combining(one))


def _checked(text: str, field_name: str, limit: int = 200) -> str:
    if _CONTROL.search(text):
        raise DraftInvalid(field_name, "control")
    if len(text) > limit:
        raise DraftInvalid(field_name, "too_long")
    return text


def recipients(draft: Draft) -> list[str]:
    """Envelope recipients, each once. Errors: DraftInvalid, also when there is none or too many."""
    found: dict[str, None] = {}
    for field_name in ("to", "cc", "bcc"):
        for address in parse_addresses(getattr(draft, field_name), field_name):
            found.setdefault(address.addr_spec, None)
    if not found:
        raise DraftInvalid("to", "nobody")
    if len(found) > MAX_RECIPIENTS:
        raise DraftInvalid("to", "too_many", str(len(found)))
    return list(found)


def build(draft: Draft, now: datetime, *, lenient: bool = False) -> bytes:
    """The message as it is sent and kept. ``lenient``: a draft may hold an address that is not finished yet; it is
    kept in a field of its own. Errors: DraftInvalid."""
    message = EmailMessage(policy=_POLICY)
    message["From"] = Address(_checked(draft.from_name, "from"), addr_spec=draft.from_address)
    if draft.sender is not None:  # RFC 5322, 3.6.2: who transmits, where it is not the author
        message["Sender"] = draft.sender
    for header, field_name in (("To", "to"), ("Cc", "cc"), ("Bcc", "bcc")):
        typed = getattr(draft, field_name)
        try:
            addresses = parse_addresses(typed, field_name)
        except DraftInvalid:
            if not lenient or len(typed) > MAX_TYPED_CHARS:
                raise
            message[f"X-Beffroi-{header}"] = _CONTROL.sub(" ", typed)
            continue
        if addresses:
            message[header] = addresses
    message["Subject"] = _checked(draft.subject, "subject", MAX_SUBJECT_CHARS)
    message["Date"] = format_datetime(now)
    message["Message-ID"] = _identifier(draft.message_id) or new_message_id(draft.from_address)
    _put_chain(message, draft)
    _put_own_fields(message, draft)
    text = draft.text.replace("\r\n", "\n").replace("\r", "\n").replace("\x00", "")
    encoded = text.encode("utf-8", "replace")
    if len(encoded) > MAX_TEXT_BYTES:
        raise DraftInvalid("text", "too_long")
    text = encoded.decode()
    message.set_content(
        text if text.endswith("\n") else text + "\n", subtype="plain", charset="utf-8", cte="quoted-printable"
    )
    if len(draft.files) > MAX_FILES:
        raise DraftInvalid("files", "too_many")
    if sum(len(file.data) for file in draft.files) > MAX_FILES_BYTES:
        raise DraftInvalid("files", "too_large")
    invitation = next((one for one in draft.files if one.is_calendar and _METHOD.search(one.data)), None)
    if invitation is not None:
        _put_invitation(message, invitation.data)
    for file in draft.files:
        if file is invitation:
            continue
        name = file_name(file.name)
        kind = (guess_file_type(name)[0] or "application/octet-stream").partition("/")
        # What a message or text part would do to its bytes (line ends, encodings) is not wanted of a file.
        maintype, subtype = (
            ("application", "octet-stream")
            if kind[0] in ("message", "multipart", "text")
            else (kind[0], kind[2])
        )
        message.add_attachment(file.data, maintype=maintype, subtype=subtype, filename=name)
    _put_receipt(message, draft.receipt)
    return message.as_bytes()


def _put_invitation(message: EmailMessage, data: bytes) -> None:
    """As an alternative of the text, with the METHOD of its calendar also in the type (RFC 6047, 2.4)."""
    method = _METHOD.search(data)
    assert method is not None
    message.add_alternative(
        data.decode("utf-8", "replace"),
        subtype="calendar",
        charset="utf-8",
        cte="base64",
        params={"method": method[1].decode("ascii")},
    )


def _put_receipt(message: EmailMessage, told: str) -> None:
    if not told:
        return
    message.make_mixed()
    message.set_type("multipart/report")
    message.set_param("report-type", "disposition-notification")
    part = EmailMessage(policy=_POLICY)
    part["Content-Type"] = "message/disposition-notification"
    part.set_payload(told)
    message.attach(part)


def _put_chain(message: EmailMessage, draft: Draft) -> None:
    """What it answers; a mail that passes another one on names that one in References alone."""
    parent = _identifier(draft.in_reply_to)
    if parent:
        message["In-Reply-To"] = parent
    if chain := " ".join(_MESSAGE_ID.findall(draft.references)[-MAX_REFERENCES:]) or parent:
        message["References"] = chain


def _put_own_fields(message: EmailMessage, draft: Draft) -> None:
    """What is for the draft alone (submission.without_private_fields)."""
    if _TAB.fullmatch(draft.tab):
        message[TAB_HEADER] = draft.tab
    for header, field_name in ((AUTHOR_HEADER, "author"), (SOURCE_HEADER, "source"), (TAKEN_HEADER, "taken")):
        value = _checked(getattr(draft, field_name), field_name, MAX_SOURCE_CHARS)
        if value and value.isascii():
            message[header] = value


def check(draft: Draft, now: datetime, *, lenient: bool) -> None:
    """What can be said before anything is opened. Errors: DraftInvalid."""
    build(replace(draft, files=()), now, lenient=lenient)
    if not lenient:
        recipients(draft)


def file_name(name: str) -> str:
    """The last part of a path, without signs that hide or reorder it; never empty, never dots alone."""
    last = re.split(r"[/\\]", name)[-1]
    shown = _NOT_IN_NAMES.sub("", last).strip()
    stem, dot, ending = shown.rpartition(".")
    short = f"{stem[: 150 - len(ending)]}{dot}{ending}" if len(ending) < 20 else shown[:150]
    return short if short.strip(". ") else "piece-jointe"


def _identifier(text: str) -> str:
    found = _MESSAGE_ID.fullmatch(text.strip())
    return found[0] if found else ""


def source_of(original: Original, how: str) -> str:
    """Which mail is marked as answered or passed on once this one is sent."""
    found = f"{original.uid_validity}:{original.uid}:{how}:{quote(original.folder)}"
    return found if len(found) <= MAX_SOURCE_CHARS else ""


def signed(own: str, common: str) -> str:
    """The end of a message, above what it quotes; "" without a signature. Source: RFC 3676, section 4.3."""
    lines = [one for one in (own, common) if one]
    return "\n\n-- \n" + "\n".join(lines) + "\n" if lines else ""


def addressed(original: Original, own: Sequence[str]) -> str:
    """As whom one was written to: an alias or an address with "+detail" among To and Cc; "" for one's usual address.
    ``own``: that one first, then the aliases that one may write with."""
    bare = {one: re.sub(r"\+[^@]*(?=@)", "", one) for one in map(str.lower, [*original.to, *original.cc])}
    return next((one for one, base in bare.items() if base in own and one != own[0]), "")


def answer(
    original: Original, how: str, own_address: str, words: str, aliases: Sequence[str] = ()
) -> dict[str, str]:
    """The first state of an answer: ``how`` is "reply", "all" or "forward". ``words``: the line above the quote.
    ``aliases``: what leads to oneself, too."""
    first = _PREFIX.sub("", original.subject)
    if how == "forward":
        body = f"\n\n{words}\n\n{original.text}"
        return {"subject": f"Tr: {first}"[:MAX_SUBJECT_CHARS], "text": body[:MAX_QUOTE_CHARS]}
    own = {one.lower() for one in (own_address, *aliases)}
    whom = list(original.reply_to) or [original.from_address]
    if all(one.lower() in own for one in whom):  # an answer to what one sent oneself goes on to its readers
        whom = list(original.to)
    others = [*original.to, *original.cc] if how == "all" else []
    seen = {*own, *(one.lower() for one in whom)}
    cc = [one for one in dict.fromkeys(others) if one and one.lower() not in seen]
    quote = "\n".join(
        ">" + (line if line.startswith(">") else " " + line) for line in original.text.rstrip().split("\n")
    )
    parent = _identifier(original.message_id)
    chain = [one for one in _MESSAGE_ID.findall(original.references) if one != parent]
    return {
        "to": ", ".join(one for one in whom if one),
        "cc": ", ".join(cc),
        "subject": f"Re: {first}"[:MAX_SUBJECT_CHARS],
        "text": f"\n\n{words}\n{quote}\n"[:MAX_QUOTE_CHARS],
        "in_reply_to": parent,
        "references": " ".join([*chain, parent][-MAX_REFERENCES:]) if parent else "",
    }
