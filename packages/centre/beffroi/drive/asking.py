"""How the process web asks ``drive`` on a person's behalf: words to look for, and a small file to be compared.

Process: web, over STATE/run/drive.sock, under a grant of half a minute. Answers are small and kept nowhere.
Fails:   Unavailable where drive does not answer; AbsentNode, Frozen as a browser would be told.
"""

from __future__ import annotations

import http.client

import msgspec

from beffroi.core.planes.tokens import make_grant
from beffroi.drive.store.frozen import Frozen
from beffroi.drive.store.model import AbsentNode
from beffroi.drive.web import granted
from beffroi.drive.web.visiting import ABROAD
from beffroi.drive.who import Who
from beffroi.drive.words import wire
from beffroi.lib.config import Config
from beffroi.lib.errors import TooLarge, Unavailable
from beffroi.lib.unix_http import UnixConnection

GRANT_TTL_S = 30
SEARCH_S, CONTENT_S = 5.0, 20.0
"""A search waits less: names are shown without it."""


def found(config: Config, who: Who, words: str) -> wire.Hits:
    """Files of this person whose contents have these words. Errors: Unavailable, SettingInvalid."""
    status, answer = _question(config, who, wire.PATH, wire.Asked(words))
    if status != 200:
        raise Unavailable("The search of the drive")
    return msgspec.json.decode(answer, type=wire.Hits)


def text(config: Config, who: Who, node: int, etag: int | None, *, share_id: str = "") -> wire.Text:
    """Of a document, or of an earlier content of it. ``share_id``: of what another collectivité shares.

    Errors: as ``content``, TooLarge.
    """
    status, answer = _question(config, who, wire.TEXT_PATH, wire.Which(node, etag or 0, share_id))
    if status == TooLarge.http_status:
        raise TooLarge(0)
    _refuse(status, answer)
    return msgspec.json.decode(answer, type=wire.Text)


def content(
    config: Config, who: Who, node: int, etag: int | None, *, most_bytes: int, share_id: str = ""
) -> bytes:
    """The first bytes of a file, or of an earlier content of it. ``share_id``: of what another collectivité shares.

    Errors: AbsentNode, Frozen, Unavailable, SettingInvalid.
    """
    cookie = f"{granted.COOKIES[granted.OUT_PATH]}={_grant(config, who, granted.OUT_PATH)}"
    tree = f"/{ABROAD}/{share_id}" if share_id else ""
    path = f"{granted.OUT_PATH}{tree}/{node}" + ("" if etag is None else f"/{etag}")
    status, answer = _ask(config, "GET", path, {"Cookie": cookie, "Range": f"bytes=0-{most_bytes - 1}"})
    if status == 416:
        return b""  # it is empty
    _refuse(status, answer)
    return answer[:most_bytes]


def _refuse(status: int, answer: bytes) -> None:
    if status == AbsentNode.http_status:
        raise AbsentNode("file")
    if status == Frozen.http_status and Frozen.code.encode() in answer:
        raise Frozen("")
    if status not in (200, 206):
        raise Unavailable("The drive")


def _question(config: Config, who: Who, path: str, asked: msgspec.Struct) -> tuple[int, bytes]:
    headers = {
        "Authorization": f"Bearer {_grant(config, who, wire.PATH)}",
        "Content-Type": "application/json",
    }
    return _ask(config, "POST", path, headers, msgspec.json.encode(asked))


def _grant(config: Config, who: Who, path: str) -> str:
    return make_grant(
        config.secret("drive-grant.key"),
        subject_id=who.person_id,
        collectivite_id=who.collectivite_id,
        paths=(path,),
        ttl_s=GRANT_TTL_S,
        role=who.role,
    )


def _ask(
    config: Config, method: str, path: str, headers: dict[str, str], body: bytes = b""
) -> tuple[int, bytes]:
    timeout_s = SEARCH_S if path == wire.PATH else CONTENT_S
    connection = UnixConnection(config.run / "drive.sock", timeout_s=timeout_s)
    try:
        connection.request(method, path, body, headers)
        answer = connection.getresponse()
        return answer.status, answer.read()
    except (OSError, http.client.HTTPException):
        raise Unavailable("The drive") from None
    finally:
        connection.close()
