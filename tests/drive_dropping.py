"""Drop links, and somebody without an account who hands files in by one."""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

import pytest
from beffroi.drive.store.model import Node
from beffroi.drive.web import granted
from django.test import Client

from tests.drive_pages import Drive
from tests.drive_server import Served
from tests.markup import text_of

PDF = b"%PDF-1.7\n1 0 obj\n<</Type/Catalog>>\nendobj\ntrailer<</Root 1 0 R>>\n%%EOF\n"
FORM = {"days": "30", "types": "documents", "size": "5", "total": "100", "files": "10"}
EXE = b"MZ" + bytes(300)


@pytest.fixture
def folder(drive: Drive) -> Node:
    return drive.folder("Pièces du marché")


def packed(told: Mapping[str, object]) -> str:
    """As the page's script says it."""
    return base64.b64encode(json.dumps(told, ensure_ascii=False).encode()).decode()


class Sender:
    """A browser of somebody without an account, on a drop link's page."""

    def __init__(self, server: Served, path: str) -> None:
        self.server, self.path, self.client = server, path, Client()

    def page(self) -> str:
        return text_of(self.client.get(self.path))

    def hand(
        self,
        name: str,
        body: bytes = PDF,
        *,
        sender: str = "Me Durand",
        message: str = "",
        size: int | None = None,
        again: bool = False,
        **headers: str,
    ) -> tuple[int, dict[str, Any]]:
        told = {"name": name, "size_bytes": len(body) if size is None else size, "sender": sender}
        told |= {"message": message} if message else {}
        told |= {"again": True} if again else {}
        named = {granted.FILE_HEADER.decode(): packed(told), **headers}
        status, _, answer = self.ask("PUT", "fichier", body, **named)
        return status, json.loads(answer)

    def ask(
        self, method: str, what: str, body: bytes = b"", *, at: str = "", **headers: str
    ) -> tuple[int, Mapping[str, str], bytes]:
        cookie = self.client.cookies.get(granted.DROP_COOKIE)
        place = at or (cookie["path"] if cookie else f"{granted.DROP_PATH}/shr_x/")
        named = {"X-Forwarded-For": "192.0.2.7", **headers}
        if cookie:
            named["Cookie"] = f"{granted.DROP_COOKIE}={cookie.value}"
        return self.server.exchange(method, place + what, body, named)


def make(client: Client, node: Node, **form: str) -> str:
    answer = client.post(f"/coffre/{node.id}/depots/", FORM | form)
    assert answer.status_code == 200, answer.status_code
    found = re.search(r'id="address" readonly value="([^"]+)"', answer.content.decode())
    assert found is not None
    return urlsplit(found[1]).path


@pytest.fixture
def sender(server: Served, client: Client, folder: Node) -> Sender:
    one = Sender(server, make(client, folder))
    one.page()
    return one
