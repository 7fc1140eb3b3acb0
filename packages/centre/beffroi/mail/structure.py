"""Which parts a message has, and which of them are its text, from what Dovecot says (BODYSTRUCTURE). Pure.

Hostile: the whole structure. Counts and depths are capped; what is not as it should be is left out.
Source:  RFC 9051, section 7.5.2; RFC 2046, section 5.1; RFC 2387.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from imapclient.response_types import BodyData

from beffroi.mail.decoding import header_text

MAX_PARTS = 200
MAX_DEPTH = 20
MAX_BODIES = 20
"""Parts of text that are shown; what is more is listed with the attachments."""
_TEXTS = ("text/plain", "text/html")


@dataclass(frozen=True)
class Part:
    """One part that holds no others. ``section``: its IMAP number; ``size_bytes``: as it was sent."""

    section: str
    kind: str
    charset: str
    encoding: str
    size_bytes: int
    name: str
    attached: bool
    content_id: str
    flowed: bool = False
    """Its lines are cut where its program's window ended (RFC 3676); ``delsp``: and a blank was added there."""
    delsp: bool = False

    @property
    def decoded_bytes(self) -> int:
        """About how long the part is without its transfer encoding (base64 in lines of 76 signs)."""
        return self.size_bytes * 57 // 78 if self.encoding == "base64" else self.size_bytes


@dataclass(frozen=True)
class Bodies:
    """What is shown, one below the other. ``html``: with the plain text between; empty where all is plain text."""

    text: list[Part]
    html: list[Part]

    @property
    def sections(self) -> set[str]:
        return {one.section for one in (*self.text, *self.html)}


@dataclass(frozen=True)
class AttachedMail:
    """A mail that is attached as a mail. ``envelope``: as Dovecot reads it (RFC 9051, 2.3.5), hostile; ``structure``:
    its own; ``start``: the section where that begins."""

    envelope: tuple[Any, ...]
    structure: Any
    start: str


def bodies_of(structure: Any, start: str = "") -> Bodies:
    """Phones put a photo between two parts of what is said, lists their footer below: all of it is text."""
    html = _chosen(structure, "text/html", start)
    return Bodies(
        text=[one for one in _chosen(structure, "text/plain", start) if one.kind == "text/plain"],
        html=html if any(one.kind == "text/html" for one in html) else [],
    )


def _chosen(structure: Any, wanted: str, start: str) -> list[Part]:
    """Parts of text to be shown, in their order: of alternatives the last with such a part. One that has a name is a
    file, but for the first."""
    found = _text_parts(structure, wanted, start, 0)
    return [one for n, one in enumerate(found) if n == 0 or not one.name][:MAX_BODIES]


def _text_parts(node: Any, wanted: str, section: str, depth: int) -> list[Part]:
    if not isinstance(node, tuple) or not node or depth > MAX_DEPTH:
        return []
    if not isinstance(node[0], list):
        leaf = _leaf(node, section or "1")
        return [leaf] if leaf is not None and leaf.kind in _TEXTS and not leaf.attached else []
    children = [
        _text_parts(child, wanted, f"{section}.{i}" if section else str(i), depth + 1)
        for i, child in enumerate(node[0][:MAX_PARTS], 1)
    ]
    kind = node[1].lower() if len(node) > 1 and isinstance(node[1], bytes) else b""
    said = [one for one in children if one]
    if kind == b"related":
        return said[0] if said else []
    if kind == b"alternative" and said:
        return next((one for one in reversed(said) if any(p.kind == wanted for p in one)), said[-1])
    return [part for one in said for part in one]


def parts_of(structure: Any, start: str = "") -> Iterator[Part]:
    """Walk a BODYSTRUCTURE; stops at MAX_PARTS and MAX_DEPTH. A mail that is attached is one part."""
    leaves = (_leaf(node, section) for section, node in _nodes(structure, start))
    return (one for one in leaves if one is not None)


def attached_mail(structure: Any, section: str, start: str = "") -> AttachedMail | None:
    """The mail that is attached as this section, also within another one."""
    for at, node in _nodes(structure, start):
        is_mail = len(node) > 8 and _utf8(node[0] or b"").lower() == "message" and isinstance(node[7], tuple)
        if (
            not is_mail
            or not node[8]
            or not isinstance(node[8], tuple)
            or not f"{section}.".startswith(f"{at}.")
        ):
            continue
        inside = BodyData.create(node[8])
        found = AttachedMail(node[7], inside, at if isinstance(inside[0], list) else f"{at}.1")
        return found if at == section else attached_mail(inside, section, found.start)
    return None


def part_at(structure: Any, section: str) -> Part | None:
    """An attached part, also of a mail that is attached."""
    start = ""
    while True:
        shown = bodies_of(structure, start).sections
        parts = [one for one in parts_of(structure, start) if one.section not in shown]
        for part in parts:
            if part.section == section:
                return part
        around = next((one.section for one in parts if section.startswith(f"{one.section}.")), "")
        inside = attached_mail(structure, around, start) if around else None
        if inside is None:
            return None
        structure, start = inside.structure, inside.start


def _nodes(structure: Any, start: str) -> Iterator[tuple[str, tuple[Any, ...]]]:
    """(section, what Dovecot says of it) of each part that holds no others."""
    count = 0
    waiting: list[tuple[Any, str, int]] = [(structure, start, 0)]
    while waiting and count < MAX_PARTS:
        node, section, depth = waiting.pop(0)
        if not isinstance(node, tuple) or not node or depth > MAX_DEPTH:
            continue
        if isinstance(node[0], list):
            children = [
                (child, f"{section}.{i}" if section else str(i), depth + 1)
                for i, child in enumerate(node[0], 1)
            ]
            waiting[:0] = children[:MAX_PARTS]
            continue
        count += 1
        yield section or "1", node


def _leaf(node: tuple[Any, ...], section: str) -> Part | None:
    if len(node) < 7 or not isinstance(node[0], bytes) or not isinstance(node[1], bytes):
        return None
    kind = f"{_utf8(node[0])}/{_utf8(node[1])}".lower()[:100]
    parameters = _pairs(node[2])
    disposition = next(
        (
            n
            for n in node[7:]
            if isinstance(n, tuple)
            and n
            and isinstance(n[0], bytes)
            and n[0].lower() in (b"attachment", b"inline")
        ),
        None,
    )
    names = _pairs(disposition[1]) if disposition and len(disposition) > 1 else {}
    name = (
        names.get("filename")
        or names.get("filename*")
        or parameters.get("name")
        or parameters.get("name*")
        or b""
    )
    size = node[6] if isinstance(node[6], int) else 0
    return Part(
        section=section,
        kind=kind,
        charset=_utf8(parameters.get("charset", b"utf-8"))[:40],
        encoding=_utf8(node[5] or b"").lower() if isinstance(node[5], bytes) else "",
        size_bytes=size,
        name=header_text(name)[:200],
        attached=bool(disposition and disposition[0].lower() == b"attachment"),
        content_id=_utf8(node[3]).strip("<> ")[:250] if isinstance(node[3], bytes) else "",
        flowed=kind == "text/plain" and parameters.get("format", b"").lower() == b"flowed",
        delsp=parameters.get("delsp", b"").lower() == b"yes",
    )


def _pairs(value: Any) -> dict[str, bytes]:
    if not isinstance(value, tuple):
        return {}
    flat = list(value)
    return {
        _utf8(k).lower(): v
        for k, v in zip(flat[::2], flat[1::2], strict=False)
        if isinstance(k, bytes) and isinstance(v, bytes)
    }


def _utf8(value: bytes) -> str:
    return value.decode("utf-8", "replace")
