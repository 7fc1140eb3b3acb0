"""How WOPI says things: names and locks in headers, times, versions, answers, refusals.

Hostile: headers.
Source:  WOPI (learn.microsoft.com, "WOPI REST API reference"); Collabora's additions (X-COOL-WOPI-Timestamp).
"""

from __future__ import annotations

import json
import re
from datetime import UTC, datetime

from beffroi.drive.store import editor_locks, names
from beffroi.drive.store.model import Node
from beffroi.drive.web.messages import Answer, Header
from beffroi.lib.errors import BeffroiError, Invalid

NO_STORE: tuple[Header, ...] = ((b"cache-control", b"no-store"), (b"x-content-type-options", b"nosniff"))
_LATIN = re.compile(r"[\x20-\x7e]*", re.ASCII)


class EditorConflict(BeffroiError):
    """This file was changed elsewhere since the editor opened it."""

    code = "drive.editor_conflict"
    http_status = 409


class NotSupported(BeffroiError):
    """This operation of WOPI is not offered here."""

    code = "drive.editor_not_supported"
    http_status = 501


class TooLargeForEditor(BeffroiError):
    """The file is larger than the editor can take."""

    code = "drive.too_large_for_editor"
    http_status = 412


def moment(node: Node) -> str:
    """LastModifiedTime, which Collabora shows again with each save. The fraction is no time but of the etag: two
    contents of one second, or one whose time a client set back, are told apart."""
    at = datetime.fromtimestamp(node.mtime_s, UTC).strftime("%Y-%m-%dT%H:%M:%S")
    return f"{at}.{node.etag % 1_000_000:06d}Z"


def lock_id(header: bytes) -> str:
    """Errors: Invalid."""
    text = header.decode("latin-1")
    if len(text) > editor_locks.MAX_ID_CHARS or not _LATIN.fullmatch(text):
        raise Invalid("X-WOPI-Lock")
    return text


def name(header: bytes | None) -> str:
    """A name in UTF-7, as WOPI sends names; one that is none in it is taken as UTF-8. Errors: NameRefused."""
    data = header or b""
    try:
        return data.decode("utf-7") if data.isascii() else data.decode()
    except UnicodeDecodeError:
        raise names.NameRefused from None


def mended(name: str) -> str:
    """A suggested name is made to fit."""
    text = name.encode(errors="replace").decode()  # UTF-7 can say half a sign
    return names.shortened("".join("_" if one in names.FORBIDDEN else one for one in text))


def version(node: Node) -> Header:
    return (b"x-wopi-itemversion", str(node.etag).encode())


def answered(status: int, *headers: Header, value: object = None) -> Answer:
    kind: tuple[Header, ...] = ((b"content-type", b"application/json"),) if value is not None else ()
    body = b"" if value is None else json.dumps(value).encode()
    return Answer(status, (*NO_STORE, *kind, *headers), body)
