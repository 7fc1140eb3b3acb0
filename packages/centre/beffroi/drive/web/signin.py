"""Basic sign-in of clients: a positive answer is kept for some seconds, wrong passwords are counted by address.

Hostile: the header, and how often it comes. The password is kept nowhere, only a keyed digest of the header.
Fails:   closed. What was revoked is refused KEPT_S later at the latest. Who is known goes on while others behind the
         same address are refused.
"""

from __future__ import annotations

import asyncio
import binascii
import hashlib
import ipaddress
import secrets
from base64 import b64decode
from collections import OrderedDict
from concurrent.futures import Executor

from beffroi.drive.web.messages import Request
from beffroi.drive.who import SignIn, Who
from beffroi.lib import clock
from beffroi.lib.errors import BeffroiError

KEPT_S = 10.0
MOST_KEPT = 10_000
WRONG, WINDOW_S = 60, 60.0
MOST_ADDRESSES = 50_000
CHALLENGE = (b"www-authenticate", b'Basic realm="Beffroi", charset="UTF-8"')


class NotSignedIn(BeffroiError):
    """Sign in with an app password for files."""

    code = "drive.sign_in"
    http_status = 401


class TooManySignIns(BeffroiError):
    """Too many wrong passwords came from this address."""

    code = "drive.too_many_sign_ins"
    http_status = 429


class Doorman:
    def __init__(self, sign_in: SignIn, executor: Executor | None = None) -> None:
        self._sign_in, self._executor = sign_in, executor
        self._key = secrets.token_bytes(32)
        self._known: OrderedDict[bytes, tuple[Who, float]] = OrderedDict()
        self._wrong: OrderedDict[str, tuple[int, float]] = OrderedDict()

    async def who(self, request: Request) -> Who:
        """Errors: NotSignedIn, TooManySignIns."""
        header = request.headers.get(b"authorization")
        if header is None:
            raise NotSignedIn
        digest, now_s = hashlib.blake2b(header, key=self._key).digest(), clock.steady_s()
        kept = self._known.get(digest)
        if kept is not None and kept[1] > now_s:
            return kept[0]
        self._known.pop(digest, None)
        source = network(request.address)
        if self._wrong_of(source, now_s) >= WRONG:
            raise TooManySignIns
        pair = _basic(header)
        found = None
        if pair is not None:
            found = await asyncio.get_running_loop().run_in_executor(
                self._executor, lambda: self._sign_in.check(*pair, address=request.address)
            )
        if found is None:
            self._count(source, now_s)
            raise NotSignedIn
        self._known[digest] = (found, now_s + KEPT_S)
        if len(self._known) > MOST_KEPT:
            self._known.popitem(last=False)
        return found

    def _wrong_of(self, source: str, now_s: float) -> int:
        count, until_s = self._wrong.get(source, (0, 0.0))
        return count if until_s > now_s else 0

    def _count(self, source: str, now_s: float) -> None:
        count = self._wrong_of(source, now_s)
        until_s = self._wrong[source][1] if count else now_s + WINDOW_S
        self._wrong[source] = (count + 1, until_s)
        self._wrong.move_to_end(source)
        if len(self._wrong) > MOST_ADDRESSES:
            self._wrong.popitem(last=False)


def network(address: str) -> str:
    """An IPv4 address, or the /64 of an IPv6 address: everybody behind one router."""
    try:
        found = ipaddress.ip_address(address)
    except ValueError:
        return ""
    return str(ipaddress.ip_network((found, 64), strict=False)) if found.version == 6 else str(found)


def _basic(header: bytes) -> tuple[str, str] | None:
    """(login, password), or None for anything else."""
    scheme, _, given = header.partition(b" ")
    if scheme.lower() != b"basic":
        return None
    try:
        login, colon, password = b64decode(given.strip(), validate=True).decode().partition(":")
    except (binascii.Error, UnicodeDecodeError):
        return None
    return (login, password) if colon and login and password else None
