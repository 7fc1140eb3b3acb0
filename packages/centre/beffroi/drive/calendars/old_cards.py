"""vCard 2.1, as phones still write it, made into 3.0: quoted-printable, bare parameters, loose base64. Pure.

Hostile: all of it. Each line is walked through once.
Rule:    what is said in a line stays; of its parameters, the types. A card within a card (AGENT), another encoding or
         an unknown character set is not read.
Source:  vCard, The Electronic Business Card, 2.1 (1996), 2.1; RFC 2426, 5, for what differs.
"""

from __future__ import annotations

import io
import quopri
import re
from collections.abc import Iterator

_OLD = re.compile(r"^VERSION:2\.1\s*$", re.IGNORECASE | re.MULTILINE)
_QUOTED, _BASE64 = "QUOTED-PRINTABLE", ("BASE64", "B")
_PLAIN = ("7BIT", "8BIT")
_PARTED = frozenset({"N", "ADR", "ORG"})
_CHARSETS = frozenset({"UTF-8", "US-ASCII", "ISO-8859-1", "ISO-8859-15", "WINDOWS-1252"})
"""Others may be slow to read, or no text."""
_TYPE = re.compile(r"[A-Z0-9-]+", re.ASCII)


def is_old(card: str) -> bool:
    return bool(_OLD.search(card))


def renewed(card: str) -> str:
    """As 3.0. Errors: ValueError: what is not read."""
    return "".join(f"{_line(one)}\r\n" for one in _logical(card))


def _logical(card: str) -> Iterator[str]:
    """Lines, unfolded: by a space, by ``=`` at the end of a quoted one, and base64 by having no colon."""
    whole = io.StringIO()
    quoted = is_quoted = encoded = False
    for raw in io.StringIO(card, newline=None):
        line = raw.rstrip("\n")
        goes_on = quoted or line[:1] in (" ", "\t") or (encoded and ":" not in line)
        if whole.tell() and not goes_on:
            yield whole.getvalue()
            whole = io.StringIO()
        if not goes_on:
            head = line.partition(":")[0].upper()
            encoded = any(one in head for one in ("BASE64", "ENCODING=B"))
            is_quoted = _QUOTED in head
        quoted = is_quoted and line.endswith("=")
        text = line.strip() if encoded and goes_on else line[1:] if goes_on and not is_quoted else line
        whole.write(text[:-1] if quoted else text)
    if whole.tell():
        yield whole.getvalue()


def _line(line: str) -> str:
    head, colon, value = line.partition(":")
    name, *params = head.upper().split(";")
    word = name.rpartition(".")[2].strip()
    if not colon or word == "AGENT":
        raise ValueError(word)
    if word == "VERSION":
        return "VERSION:3.0"
    told = [one.partition("=") for one in params if one.strip()]
    said = {key.strip(): text.strip() for key, equals, text in told if equals}
    types = [said["TYPE"]] if "TYPE" in said else []
    for key, equals, _text in told:
        bare = key.strip()
        if equals:
            continue
        if bare == _QUOTED or bare in (*_BASE64, *_PLAIN):
            said["ENCODING"] = bare
        else:
            types.append(bare)
    encoding = said.get("ENCODING", "")
    if encoding in _BASE64:
        return f"{_head(name, types)};ENCODING=b:{''.join(value.split())}"
    if encoding == _QUOTED:
        charset = said.get("CHARSET") or "UTF-8"
        if charset not in _CHARSETS:
            raise ValueError(charset)
        value = quopri.decodestring(value.encode("ascii")).decode(charset)
    elif encoding not in ("", *_PLAIN):
        raise ValueError(encoding)
    return f"{_head(name, types)}:{_escaped(value, parted=word in _PARTED)}"


def _head(name: str, types: list[str]) -> str:
    kept = list(dict.fromkeys(one for text in types for one in text.split(",") if _TYPE.fullmatch(one)))
    return f"{name};TYPE={','.join(kept)}" if kept else name


def _escaped(value: str, *, parted: bool) -> str:
    """2.1 knows ``\\;`` alone; commas and line ends are plain there."""
    out = io.StringIO()
    signs = iter(value.replace("\r\n", "\n").replace("\r", "\n"))
    for sign in signs:
        if sign == "\\":
            after = next(signs, "")
            out.write(f"\\{after}" if after and after in ";,\\nN" else f"\\\\{after}")
        elif sign == "\n":
            out.write("\\n")
        else:
            out.write(f"\\{sign}" if sign == "," or (sign == ";" and not parted) else sign)
    return out.getvalue()
