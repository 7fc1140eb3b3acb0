"""What sync clients ask beside files, and how tests read the answers."""

from __future__ import annotations

import pytest
from beffroi.drive.web.sync import push
from lxml import etree

from tests.drive_server import PASSWORD, Served
from tests.websocket import WebSocket

FILES, UPLOADS = "/remote.php/dav/files/alice", "/remote.php/dav/uploads/alice"
TRASH, VERSIONS = "/remote.php/dav/trashbin/alice", "/remote.php/dav/versions/alice"
SPACES = {"d": "DAV:", "oc": "http://owncloud.org/ns", "nc": "http://nextcloud.org/ns"}


def found(body: bytes, path: str) -> list[str]:
    return [str(one.text or "") for one in etree.fromstring(body).iterfind(path, SPACES)]


def hrefs(body: bytes) -> list[str]:
    return found(body, "d:response/d:href")


def search(drive: Served, where: str, login: str = "alice", scope: str = "", more: str = "") -> bytes:
    scope = scope or f"/files/{login}"
    body = (
        '<d:searchrequest xmlns:d="DAV:" xmlns:oc="http://owncloud.org/ns"><d:basicsearch><d:select><d:prop>'
        f"<d:displayname/><oc:fileid/></d:prop></d:select><d:from><d:scope><d:href>{scope}</d:href>"
        f"<d:depth>infinity</d:depth></d:scope></d:from><d:where>{where}</d:where>{more}</d:basicsearch>"
        "</d:searchrequest>"
    )
    return drive.ask("SEARCH", "/remote.php/dav/", body.encode(), login=login)[2]


def listening(drive: Served, login: str) -> WebSocket:
    line = WebSocket(drive.port, push.PATH)
    assert line.status == 101
    line.send(login)
    line.send(PASSWORD)
    assert line.hear() == "authenticated"
    return line


def hears_nothing(line: WebSocket) -> None:
    with pytest.raises(TimeoutError):
        line.hear(timeout_s=4 * push.GATHER_S)
