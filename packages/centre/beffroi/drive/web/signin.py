"""Basic sign-in of clients: a positive answer is kept for some seconds; everything else is asked each time.

Hostile: the header, and how often it comes. The password is kept nowhere, only a keyed digest of the header.
Fails:   closed. What was revoked is refused KEPT_S later at the latest. Who was let in before goes on while others
         behind the same address fail too often: their password is asked about again, their address is not.
"""

from __future__ import annotations

import asyncio
import binascii
import hashlib
import secrets
from base64 import b64decode
from collections import OrderedDict
from collections.abc import Callable
from concurrent.futures import Executor

from beffroi.drive.sign_ins import SignIns
from beffroi.drive.web.messages import Request
from beffroi.drive.who import SignIn, Who
from beffroi.lib import clock
from beffroi.lib.errors import BeffroiError

KEPT_S = 10.0
MOST_KEPT = 10_000
CHALLENGE = (b"www-authenticate", b'Basic realm="Beffroi", charset="UTF-8"')


class NotSignedIn(BeffroiError):
    """Sign in with an app password for files."""

    code = "drive.sign_in"
    http_status = 401


class TooManySignIns(BeffroiError):
    """Too many wrong passwords came from this address."""

    code = "drive.too_many_sign_ins"
    http_status = 429


class AddressRefused(BeffroiError):
    """This address is blocked by collective immunity."""

    code = "drive.address_refused"
    http_status = 403


class Doorman:
    def __init__(
        self,
        sign_in: SignIn,
        sign_ins: SignIns,
        require: Callable[[Who], object],
        executor: Executor | None = None,
    ) -> None:
        """``sign_ins``: which addresses are refused or failed too often. ``require``: refuses a device that is stopped.
        ``executor``: where passwords are checked."""
        self._require = require
        self._sign_in, self._sign_ins, self._executor = sign_in, sign_ins, executor
        self._key = secrets.token_bytes(32)
        self._known: OrderedDict[bytes, tuple[Who, float]] = OrderedDict()
        self._given_up: set[str] = set()
        """App passwords that their devices gave up while this process runs: the worker ends them a moment later."""

    async def who(self, request: Request) -> Who:
        """Errors: AddressRefused, NotSignedIn, TooManySignIns, DeviceStopped."""
        found = await self._signed_in(request)
        if found.app_password_id in self._given_up:
            raise NotSignedIn
        self._require(found)
        return found

    async def still(self, who: Who) -> None:
        """Asked again, where much time passed. Errors: NotSignedIn (also in another role), DeviceStopped."""
        found = await self._asked(lambda: self._sign_in.holder(who.app_password_id))
        is_same = found is not None and (found.membership_id, found.role) == (who.membership_id, who.role)
        if not is_same or who.app_password_id in self._given_up:
            raise NotSignedIn
        self._require(who)

    async def holder(self, app_password_id: str, address: str) -> Who | None:
        """Whose app password this is, where something else proved it; None for one that opens nothing any more.

        Errors: AddressRefused, DeviceStopped.
        """
        if self._sign_ins.refuses(address):
            raise AddressRefused
        found = await self._asked(lambda: self._sign_in.holder(app_password_id))
        if found is None or app_password_id in self._given_up:
            return None
        self._require_address(address, found)
        self._require(found)
        return found

    def _require_address(self, address: str, who: Who) -> None:
        if self._sign_ins.refuses(address, who.collectivite_id):
            raise AddressRefused

    async def _asked(self, question: Callable[[], Who | None]) -> Who | None:
        return await asyncio.get_running_loop().run_in_executor(self._executor, question)

    def refuse(self, app_password_id: str) -> None:
        """From now on."""
        self._given_up.add(app_password_id)

    async def _signed_in(self, request: Request) -> Who:
        if self._sign_ins.refuses(request.address):
            raise AddressRefused
        header = request.headers.get(b"authorization")
        if header is None:
            raise NotSignedIn
        digest, now_s = hashlib.blake2b(header, key=self._key).digest(), clock.steady_s()
        kept = self._known.get(digest)
        if kept is not None and kept[1] > now_s:
            self._require_address(request.address, kept[0])
            return kept[0]
        if kept is None and self._sign_ins.too_many(request.address):
            raise TooManySignIns
        login, password = _basic(header)
        if not login:
            raise NotSignedIn
        found = await self._asked(lambda: self._sign_in.check(login, password, address=request.address))
        if found is None:
            self._known.pop(digest, None)
            self._sign_ins.failed(request.address, login, fetch_site=request.header(b"sec-fetch-site"))
            raise NotSignedIn
        self._require_address(request.address, found)
        self._sign_ins.succeeded(request.address, found.login, found.app_password_id)
        self._known[digest] = (found, now_s + KEPT_S)
        self._known.move_to_end(digest)
        if len(self._known) > MOST_KEPT:
            self._known.popitem(last=False)
        return found


def _basic(header: bytes) -> tuple[str, str]:
    """(login, password), both empty for anything else."""
    scheme, _, given = header.partition(b" ")
    if scheme.lower() != b"basic":
        return "", ""
    try:
        login, colon, password = b64decode(given.strip(), validate=True).decode().partition(":")
    except (binascii.Error, UnicodeDecodeError):
        return "", ""
    return (login, password) if colon else ("", "")
