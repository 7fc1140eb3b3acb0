"""From the URL of a request to names in a person's tree, and back. Pure.

Hostile: paths. The user's name in one is only compared with the login of the credential.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from urllib.parse import quote, unquote_to_bytes, urlsplit

from beffroi.drive.store import names
from beffroi.drive.store.model import AbsentNode
from beffroi.drive.who import Who
from beffroi.lib.errors import BeffroiError

FILES, WEBDAV, EXPLORER = "/remote.php/dav/files", "/remote.php/webdav", "/dav"
SAFE = "/!$'()*+,;=:@~-._"
"""Not &: what is quoted can stand in XML as it is."""
_PLAIN = re.compile(r"[A-Za-z0-9/._-]+").fullmatch


class PathRefused(BeffroiError):
    """This path cannot be read: it is no UTF-8, or hides a slash."""

    code = "drive.path_refused"
    http_status = 400


class ForeignDestination(BeffroiError):
    """The destination lies on another server."""

    code = "drive.foreign_destination"
    http_status = 502


class DestinationMissing(BeffroiError):
    """The header Destination is missing, or is no URL."""

    code = "drive.destination_missing"
    http_status = 400


@dataclass(frozen=True)
class Target:
    """``base``: the URL path of the person's root, without the slash at its end. ``path``: names below it."""

    base: str
    path: tuple[str, ...]

    @property
    def is_for_explorers(self) -> bool:
        return self.base == EXPLORER

    def href(self, path: Sequence[str], *, is_folder: bool) -> str:
        """Fit for XML, too."""
        return quoted("/".join((self.base, *path))) + ("/" if is_folder else "")


def quoted(path: str) -> str:
    """As a part of a URL."""
    return path if _PLAIN(path) else quote(path, safe=SAFE)


def decoded(raw: bytes) -> str:
    """The path of a URL. A slash that is written as %2F would be another path after it is read: it is refused.

    Errors: PathRefused.
    """
    if b"%2f" in raw.lower():
        raise PathRefused
    try:
        return unquote_to_bytes(raw).decode()
    except UnicodeDecodeError:
        raise PathRefused from None


def target(path: str, who: Who) -> Target:
    """Errors: AbsentNode (another's tree, or no tree at all), NameRefused, TooDeep."""
    if is_below(path, FILES):
        login, _, rest = path[len(FILES) :].lstrip("/").partition("/")
        if login.casefold() != who.login.casefold():
            raise AbsentNode("file")
        return Target(f"{FILES}/{login}", names.path(rest))
    for base in (WEBDAV, EXPLORER):
        if is_below(path, base):
            return Target(base, names.path(path[len(base) :]))
    raise AbsentNode("file")


def is_below(path: str, prefix: str) -> bool:
    return path == prefix or path.startswith(prefix + "/")


def local(url: str, host: str) -> str:
    """The decoded path of a URL in a header (Destination, If), which must be of this server.

    ``host``: the request's. Errors: ForeignDestination, DestinationMissing, PathRefused.
    """
    try:
        # Bytes of UTF-8 that some write as they are: the last one of "à" is a space to Unicode.
        parts, own = urlsplit(url.strip(" \t")), urlsplit(f"//{host}")
        # Where a proxy hides the port, one side does not name it.
        same = parts.hostname == own.hostname and (not parts.port or not own.port or parts.port == own.port)
    except ValueError:
        raise DestinationMissing from None
    if parts.netloc and not same:  # whatever the scheme: KIO says webdavs://
        raise ForeignDestination
    if not parts.path.startswith("/"):
        raise DestinationMissing
    return decoded(parts.path.encode("latin-1"))
