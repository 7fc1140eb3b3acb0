"""Who asks: a box by its signature, a door in the datacenter by the shared token.

Process: stream.
Input:   hostile. A box is known by its key alone; what it may see follows from its row in the database,
         never from the request. Door headers count only on requests that did not pass the front door.
Fails:   closed. An unknown box and a wrong signature get the same answer: identifiers cannot be probed.
Source:  beffroi_protocol.requests.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from beffroi_protocol.errors import ProtocolError, SignatureInvalid
from beffroi_protocol.requests import BOX_HEADER, NONCE_HEADER, verify_request
from beffroi_protocol.signing import unb64
from beffroi_protocol.table import overlay
from starlette.requests import Request

from beffroi.core.planes.follower import DOOR_HEADER, TOKEN_HEADER
from beffroi.core.planes.tokens import door_token_fits
from beffroi.lib.config import Config
from beffroi.lib.errors import BeffroiError, NotFound
from beffroi.lib.ids import is_id
from beffroi.stream.nonces import Nonces
from beffroi.stream.store import BoxRow

LISTENER_HEADER = "X-Beffroi-Listener"
DOORS = {"mailgate": "mail", "login": "login", "drive": "drive"}
"""Local doors and the base channel of each."""
CONNECTIONS_A_DOOR = 32
CONNECTIONS_A_BOX = 1


class NotSignedIn(BeffroiError):
    """The request carries no valid signature."""

    code = "request.not_signed_in"
    http_status = 401


class BoxPending(BeffroiError):
    """This box is not confirmed yet; compare its fingerprint in the console."""

    code = "box.pending"
    http_status = 403
    retryable = True


class BoxRevoked(BeffroiError):
    """This box was revoked; enrol it again."""

    code = "box.revoked"
    http_status = 403


@dataclass(frozen=True)
class Caller:
    """An authenticated box or door."""

    owner: str
    base: str
    box: BoxRow | None
    at_most: int

    def check_channels(self, names: list[str]) -> None:
        """Errors: NotFound for any channel that is not the caller's, whether it exists or not."""
        if not all(map(self.may_follow, names)):
            raise NotFound("channel")

    def may_follow(self, channel: str) -> bool:
        if self.box is not None:
            return channel in (self.base, overlay(self.base, self.box.collectivite_id))
        return channel == self.base or channel.startswith(self.base + "@")


class Gatekeeper:
    """``find_box`` looks a box up in the database at every request, so that a revocation counts at once."""

    def __init__(
        self, config: Config, nonces: Nonces, find_box: Callable[[str], Awaitable[BoxRow | None]]
    ) -> None:
        self._config = config
        self._nonces = nonces
        self._find_box = find_box

    async def caller(self, request: Request, body: bytes = b"") -> Caller:
        """Errors: NotSignedIn, NonceRefused, TooManyRequests, SignatureInvalid, BoxPending, BoxRevoked."""
        if DOOR_HEADER in request.headers and is_local(request):
            return self._door(request)
        box = await self._box(request, body)
        return Caller(box.id, "box", box, CONNECTIONS_A_BOX)

    def _door(self, request: Request) -> Caller:
        name = request.headers[DOOR_HEADER]
        if name not in DOORS or not door_token_fits(self._config, request.headers.get(TOKEN_HEADER, "")):
            raise NotSignedIn
        return Caller(f"door:{name}", DOORS[name], None, CONNECTIONS_A_DOOR)

    async def _box(self, request: Request, body: bytes) -> BoxRow:
        box_id = request.headers.get(BOX_HEADER, "")
        if not is_id(box_id, "box"):
            raise NotSignedIn
        nonce = self._nonces.check(request.headers.get(NONCE_HEADER, ""), box_id)
        box = await self._find_box(box_id)
        if box is None:
            raise SignatureInvalid(box_id)
        headers = {
            BOX_HEADER: box_id,
            NONCE_HEADER: request.headers[NONCE_HEADER],
            "X-Beffroi-Signature": request.headers.get("X-Beffroi-Signature", ""),
        }
        try:
            verify_request(
                unb64(box.public_key), headers, method=request.method, path=_signed_path(request), body=body
            )
        except ProtocolError:
            raise SignatureInvalid(box_id) from None
        self._nonces.burn(nonce, box_id)
        if box.state == "revoked":
            raise BoxRevoked
        if box.state != "active":
            raise BoxPending
        return box


def is_local(request: Request) -> bool:
    """True when the request came over the Unix socket itself: the front door always names its listener."""
    return LISTENER_HEADER not in request.headers


def _signed_path(request: Request) -> str:
    raw: bytes = request.scope.get("raw_path") or request.scope["path"].encode()
    query: bytes = request.scope.get("query_string", b"")
    path = raw.partition(b"?")[0]
    return (path + b"?" + query if query else path).decode("latin-1")
