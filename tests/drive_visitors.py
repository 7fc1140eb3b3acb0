"""Somebody without an account at their browser, and the links that they got."""

from __future__ import annotations

import re
from collections.abc import Mapping
from urllib.parse import urlsplit

from beffroi.core.audit.models import AuditEntry
from beffroi.drive.web import granted
from django.test import Client

from tests.drive_server import Served


class Visitor:
    """A browser of somebody without an account. ``path``: of the link's page."""

    def __init__(self, server: Served, path: str, address: str = "192.0.2.7") -> None:
        self.server, self.path, self.address = server, path, address
        self.client = Client()

    def page(self, query: str = "") -> str:
        answer = self.client.get(self.path + query, REMOTE_ADDR=self.address)
        assert answer.status_code in (200, 404), answer.status_code
        return answer.content.decode()

    def unlock(self, password: str) -> int:
        data = {"password": password}
        return self.client.post(self.path, data, HTTP_X_FORWARDED_FOR=self.address).status_code

    def fetch(
        self, what: str, method: str = "GET", share_id: str = "", **headers: str
    ) -> tuple[int, Mapping[str, str], bytes]:
        """``what``: a node's number, or zip; with the cookies of this browser."""
        cookie = self.client.cookies.get(granted.LINK_COOKIE)
        at = cookie["path"] if cookie else f"{granted.LINK_PATH}/{share_id}/"
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        named["X-Forwarded-For"] = self.address
        if cookie:
            named["Cookie"] = f"{granted.LINK_COOKIE}={cookie.value}"
        place = (f"{granted.LINK_PATH}/{share_id}/" if share_id else at) + what
        return self.server.exchange(method, place, None, named)


def make(client: Client, node_id: int, **form: str) -> str:
    """The path of a new link's page."""
    answer = client.post(f"/coffre/{node_id}/liens/", {"days": "30", **form})
    assert answer.status_code == 200
    found = re.search(r'id="address" readonly value="([^"]+)"', answer.content.decode())
    assert found is not None
    return urlsplit(found[1]).path


def verbs() -> list[str]:
    rows = AuditEntry.objects.filter(verb__startswith="drive:link:").order_by("id")
    return [one.verb.removeprefix("drive:link:") for one in rows]
