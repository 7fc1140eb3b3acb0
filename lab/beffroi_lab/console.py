"""The Département at its console, page by page over HTTPS, without a browser: read a page, press a button.

Purpose: what a decision says of itself is read where people read it, and it is undone by the page's own form, in runs
         where a browser would take the machine's time from what is measured.
Process: the laboratory's own; the requests are made by hands at the Département's workstation.
Source:  docs/internals/lab.md.
"""

from __future__ import annotations

import html
import re
import time
from typing import Any
from urllib.parse import urlencode

from beffroi.core.identity import totp

from beffroi_lab import plan as plans
from beffroi_lab.centre import CONSOLE, CONSOLE_PORT, Account
from beffroi_lab.running import Hands
from beffroi_lab.topology import LabFailed

SIGN_IN = "/connexion/"
_ORIGIN = f"https://{CONSOLE}:{CONSOLE_PORT}"


class Console:
    """One signed-in administrator."""

    def __init__(self, hands: Hands, account: Account) -> None:
        self._hands = hands
        self._account = account
        self._cookies: dict[str, str] = {}

    def sign_in(self) -> None:
        """Errors: LabFailed."""
        code = totp.code_at(self._account.totp_secret, time.time())
        fields = {"email": self._account.email, "password": self._account.password, "code": code}
        answer = self.press(SIGN_IN, **fields)
        if answer["status"] != 302:
            raise LabFailed(f"the console's sign-in answered {answer['status']} {answer.get('error', '')}")

    def html(self, path: str) -> str:
        """Return a page. Errors: LabFailed."""
        answer = self._ask("GET", path)
        if answer["status"] != 200:
            raise LabFailed(f"{path} answered {answer['status']} {answer.get('error', '')}")
        return str(answer["text"])

    def text(self, path: str) -> str:
        """Return what a page says, as text. Errors: LabFailed."""
        return words_of(self.html(path))

    def press(self, path: str, **fields: str) -> dict[str, Any]:
        """Send the form of a page, as its button does. Errors: LabFailed."""
        form = self._ask("GET", path)
        token = re.search(r'name="csrfmiddlewaretoken" value="([^"]+)"', form["text"])
        if token is None:
            raise LabFailed(f"{path} has no form: {form['status']} {form.get('error', '')}")
        return self._ask("POST", path, {"csrfmiddlewaretoken": token[1], **fields})

    def _ask(self, method: str, path: str, fields: dict[str, str] | None = None) -> dict[str, Any]:
        headers = {"Cookie": "; ".join(f"{k}={v}" for k, v in self._cookies.items()), "Accept-Language": "fr"}
        if fields is not None:
            headers |= {
                "Content-Type": "application/x-www-form-urlencoded",
                "Origin": _ORIGIN,
                "Referer": _ORIGIN + path,
            }
        answer = self._hands.ask(
            "https",
            host=CONSOLE,
            address=plans.CENTRE.v4,
            port=CONSOLE_PORT,
            method=method,
            path=path,
            body=urlencode(fields or {}),
            headers=headers,
            timeout_s=20,
        )
        for line in answer["cookies"]:
            name, _, value = line.partition(";")[0].partition("=")
            self._cookies[name] = value
        return answer


def words_of(page: str) -> str:
    """The text of a page: no tags, entities resolved, one blank between words."""
    plain = re.sub(r"<(script|style)\b.*?</\1>|<[^>]+>", " ", page, flags=re.DOTALL)
    return " ".join(html.unescape(plain).split())
