"""The words of ManageSieve: one command from a stream, one answer as text. Pure, but for the stream.

Hostile: the whole stream, of a client that has signed in (Dovecot stands before us). Lines and strings have limits; a
         string over its limit is read past, so that the next command is found.
Errors:  Malformed: answer NO and go on. Broken: nothing sensible can follow; say BYE and hang up.
Source:  RFC 5804, sections 1.2, 2 and 4.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import BinaryIO

MAX_LINE_BYTES = 4096
MAX_STRINGS = 12
MAX_SKIPPED_BYTES = 4 * 1024 * 1024
_LITERAL = re.compile(rb"\{([0-9]{1,10})\+?\}\r?\n$")
_ATOM = re.compile(rb"[A-Za-z0-9_.-]+")
_PAIR = re.compile(rb"[A-Za-z-]+=[^ \r\n\"]*")
"""Of Dovecot's own command XCLIENT alone."""
_QUOTED = re.compile(rb'"((?:[^"\\\r\n\x00]|\\["\\])*)"')


class Malformed(Exception):
    """The command is not understood."""


class TooLong(Malformed):
    """A string of the command is over its limit."""


class Broken(Exception):
    """The stream is at its end, or makes no sense any more."""


@dataclass(frozen=True)
class Command:
    """``name`` in capitals; ``strings``: its arguments; ``number``: of HAVESPACE, else None."""

    name: str
    strings: tuple[str, ...] = ()
    number: int | None = None


def read(stream: BinaryIO, *, max_string_bytes: int) -> Command:
    """The next command. Errors: Malformed, TooLong, Broken."""
    line = _line(stream)
    found = _ATOM.match(line)
    if found is None:
        raise Malformed("a command is a word")
    name, at = found.group().decode("ascii").upper(), found.end()
    strings: list[str] = []
    number: int | None = None
    fault: Malformed | None = None
    while (rest := line[at:].lstrip(b" ")) not in (b"\r\n", b"\n", b""):
        at = len(line) - len(rest)
        if (literal := _LITERAL.match(rest)) is not None:
            data, too_long = _string(stream, int(literal.group(1)), max_string_bytes)
            line, at = _line(stream), 0
            if too_long:
                fault = TooLong("a string is too long")
        elif (quoted := _QUOTED.match(rest)) is not None:
            data, at = re.sub(rb"\\(.)", rb"\1", quoted.group(1)), at + quoted.end()
        elif name == "XCLIENT" and (pair := _PAIR.match(rest)) is not None:
            data, at = pair.group(), at + pair.end()
        elif rest[:1].isdigit() and (digits := re.match(rb"[0-9]{1,10}(?=[ \r\n])", rest)) is not None:
            number, at = int(digits.group()), at + digits.end()
            continue
        else:
            raise fault or Malformed("an argument is a string or a number")
        try:
            strings.append(data.decode("utf-8"))
        except UnicodeDecodeError:
            fault = fault or Malformed("a string is UTF-8")
        if len(strings) > MAX_STRINGS:
            raise Broken("too many strings")
    if fault is not None:
        raise fault
    return Command(name, tuple(strings), number)


def _line(stream: BinaryIO) -> bytes:
    line = stream.readline(MAX_LINE_BYTES + 1)
    if not line.endswith(b"\n"):
        raise Broken("the line has no end")
    return line


def _string(stream: BinaryIO, size_bytes: int, limit_bytes: int) -> tuple[bytes, bool]:
    """A literal string, and whether it was too long (then it is read past, and "" stands for it)."""
    if size_bytes > MAX_SKIPPED_BYTES:
        raise Broken("the string is far too long")
    data = stream.read(size_bytes)
    if len(data) < size_bytes:
        raise Broken("the stream ended in a string")
    return (b"", True) if size_bytes > limit_bytes else (data, False)


def quoted(text: str) -> str:
    """A string as the protocol writes it: between quotes where that is possible, else with its length before it."""
    if len(text) <= 500 and not any(sign in text for sign in "\r\n\x00"):
        escaped = text.replace("\\", "\\\\").replace('"', '\\"')
        return f'"{escaped}"'
    return f"{{{len(text.encode('utf-8'))}}}\r\n{text}"


def answer(word: str, text: str = "", code: str = "") -> str:
    """OK, NO or BYE, with a code of RFC 5804 1.3 and words for a person."""
    parts = [word, *([f"({code})"] if code else []), *([quoted(text)] if text else [])]
    return " ".join(parts) + "\r\n"
