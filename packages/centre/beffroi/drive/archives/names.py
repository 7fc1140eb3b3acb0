"""Names in exports: what every system can write, from whatever a folder holds. Pure.

Purpose: a package is unpacked on Windows, macOS and Linux, by programs of others, and must land in its own folder.
Input:   hostile: ``..``, absolute paths, control characters, surrogates, reserved names, names that differ by case or
         by Unicode form alone, names and paths too long.
Format:  the table of docs/internals/drive-archives.md. The mapping is one to one; what was changed is listed in
         the package with its original, escaped.
Source:  Microsoft, "Naming Files, Paths, and Namespaces"; RFC 8493 sections 2.1.3 and 5.2; Unicode TR 36.
"""

from __future__ import annotations

import hashlib
import itertools
import re
import unicodedata

from beffroi.drive.archives.entries import SamePath

NAME_BYTES = 255
"""A name of most file systems; Windows counts UTF-16 units, which are never more."""
PATH_BYTES = 1000
LONG = "_chemins-longs"
"""Where a file goes whose path is longer than ``PATH_BYTES``; Linux opens 4,096 bytes, macOS 1,024."""

_CONTROLS = (
    "\x00-\x1f\x7f-\x9f\u2028\u2029\u200e\u200f\u202a-\u202e\u2066-\u2069\ud800-\udfff\ufeff\ufffe\uffff"
)
# % too: half of the programs that read bags take %25 as it stands, the others as RFC 8493 says.
_FORBIDDEN = re.compile(rf'[{_CONTROLS}<>:"|?*\\/%]')
_UNSEEN = re.compile(rf"[{_CONTROLS}]")
_ESCAPED = re.compile(rf"[{_CONTROLS}\\]")
_ESCAPE = re.compile(r"\\u\{([0-9A-F]{1,6})\}")
_RESERVED = {"CON", "PRN", "AUX", "NUL", "CONIN$", "CONOUT$"} | {
    f"{port}{digit}" for port in ("COM", "LPT") for digit in "0123456789¹²³"
}
_EDGES = re.compile(r"^ +|[. ]+$")  # Windows drops dots and spaces at an end: ".." and "a." among them
_EXTENSION = re.compile(r"\.[A-Za-z0-9]{1,15}$")


def quoted(path: str) -> str:
    """Backslash and what is not seen as ``\\u{HEX}``. One line, valid UTF-8; one to one."""
    return _ESCAPED.sub(lambda found: f"\\u{{{ord(found[0]):X}}}", path)


def escaped(path: str) -> str:
    """``quoted``, in NFC: as a list of hashes names a file."""
    return quoted(unicodedata.normalize("NFC", path))


def unescaped(text: str) -> str:
    """What ``quoted`` was given."""
    return _ESCAPE.sub(lambda found: chr(int(found[1], 16)), text)


def shown(text: str) -> str:
    """``text`` in NFC, of characters that XML 1.0 and a line of text can hold; others as ``_``."""
    return _UNSEEN.sub("_", unicodedata.normalize("NFC", text))


def extension(name: str) -> str:
    """``.pdf`` of ``a.PDF``; "" where there is none, or a strange one."""
    found = _EXTENSION.search(name)
    return found[0].lower() if found else ""


def component(name: str) -> str:
    """One name as every system can write it: not empty, at most ``NAME_BYTES`` of UTF-8. Not one to one."""
    safe = _FORBIDDEN.sub("_", unicodedata.normalize("NFC", name))
    safe = _EDGES.sub(lambda found: "_" * len(found[0]), safe)
    if safe.split(".")[0].rstrip(" ").upper() in _RESERVED:
        safe = "_" + safe
    return _fitted(safe or "_", "")


def _fitted(name: str, suffix: str) -> str:
    """``suffix`` before the extension; the rest cut to ``NAME_BYTES``."""
    found = _EXTENSION.search(name)
    stem, end = (name[: found.start()], found[0]) if found and found.start() else (name, "")
    room = NAME_BYTES - len((suffix + end).encode())
    raw = stem.encode()
    if len(raw) > room:
        stem = raw[:room].decode("utf-8", "ignore").rstrip(". ")
    return (stem or "_") + suffix + end


def alike(name: str) -> str:
    """Equal for two names that one system takes for the same."""
    return unicodedata.normalize("NFC", unicodedata.normalize("NFD", name).casefold())


class Names:
    """Gives each file of one export its path there. The first comer keeps its name; one like it gets ``~2``."""

    def __init__(self) -> None:
        self._folders: dict[tuple[int, str], tuple[int, str]] = {}
        self._files: set[tuple[int, str]] = set()
        self._used: dict[tuple[int, str], int] = {}
        self._ids = itertools.count(1)
        self._count = 0
        # Taken before any folder comes: one that is called so gets another name.
        self._long, self._long_prefix = self._folder(0, "", LONG)

    def add(self, path: str) -> str:
        """The path in the export. Errors: SamePath."""
        self._count += 1
        *folders, name = path.split("/")
        where, prefix = 0, ""
        for folder in folders:
            if (where, folder) not in self._folders:
                self._folders[where, folder] = self._folder(where, prefix, folder)
            where, prefix = self._folders[where, folder]
        if (where, name) in self._files:
            raise SamePath(self._count)
        self._files.add((where, name))
        whole = prefix + self._unused(where, component(name))
        if len(whole.encode()) <= PATH_BYTES:
            return whole
        digest = hashlib.sha256(path.encode("utf-8", "surrogatepass")).hexdigest()
        return self._long_prefix + self._unused(self._long, digest + extension(name))

    def _folder(self, where: int, prefix: str, name: str) -> tuple[int, str]:
        safe = self._unused(where, component(name))
        return next(self._ids), f"{prefix}{safe}/"

    def _unused(self, where: int, safe: str) -> str:
        name, like = safe, alike(safe)
        while (where, alike(name)) in self._used:
            self._used[where, like] += 1
            name = _fitted(safe, f"~{self._used[where, like]}")
        self._used[where, alike(name)] = 1
        return name
