"""Somebody signed in to the portal at their browser, who sends bytes to the drive's process and fetches them."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any
from urllib.parse import quote

import pytest
from beffroi.drive.web import granted
from django.test import Client

from tests.conftest import STATE
from tests.drive_server import Served, served


@pytest.fixture(scope="module")
def server() -> Iterator[Served]:
    with served(STATE) as one:
        yield one


class Browser:
    """Cookies of the portal, taken to the drive as a browser takes them."""

    def __init__(self, server: Served, client: Client) -> None:
        self.server = server
        client.get("/coffre/")
        self.cookies = {path: client.cookies[name].value for path, name in granted.COOKIES.items()}
        self.attributes = {path: client.cookies[name] for path, name in granted.COOKIES.items()}

    def ask(
        self, method: str, path: str, body: bytes = b"", sent: Mapping[str, Any] | None = None, **headers: str
    ) -> tuple[int, Mapping[str, str], bytes]:
        cookies = [
            f"{granted.COOKIES[of]}={value}" for of, value in self.cookies.items() if path.startswith(of)
        ]
        named = {"Cookie": "; ".join(cookies)} | {
            name.replace("_", "-"): value for name, value in headers.items()
        }
        if sent is not None:
            named["X-Beffroi-File"] = quote(json.dumps(sent))
        return self.server.exchange(method, path, body, named)

    def send(self, body: bytes, **sent: Any) -> tuple[int, dict[str, Any]]:
        status, _, answer = self.ask("POST", "/coffre/envoi/fichier", body, {"size_bytes": len(body), **sent})
        return status, json.loads(answer)


@pytest.fixture
def at(server: Served, client: Client) -> Browser:
    return Browser(server, client)
