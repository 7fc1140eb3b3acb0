"""Short secrets between the centre's own processes: the door token, and grants for a browser.

A grant lets one browser hold one kind of connection (live updates), or send and fetch files, for some minutes. It
names its subject, its collectivité and the paths it opens; ``stream`` and ``drive`` check it without a database. Each
kind has a key of its own.
Fails: closed; every defect of a grant gives the same refusal.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import secrets
from binascii import Error as Base64Error

import msgspec
from beffroi_protocol.errors import UNDECODABLE

from beffroi.lib import clock
from beffroi.lib.config import Config
from beffroi.lib.errors import BeffroiError

MAX_GRANT_BYTES = 2048
CLOCKS_DIFFER_S = 60
"""What was made later than this from now was made by a clock that ran ahead, and would last for as long."""


class GrantRefused(BeffroiError):
    """This page's live connection is no longer allowed; reload the page."""

    code = "live.grant_refused"
    http_status = 403


class Grant(msgspec.Struct, frozen=True):
    """``collectivite_id`` None sees the whole département (the console). ``role``: of the membership.
    ``share_id``: by which share of another collectivité; ``session``: what it lives by (``sessions``), or which visit
    of a link it is of. ``nonce``: two that are made within a second are not one. ``made_at``, ``expires_at``: UTC epoch
    seconds."""

    subject_id: str
    collectivite_id: str | None
    paths: tuple[str, ...]
    expires_at: int
    role: str = ""
    share_id: str = ""
    session: str = ""
    nonce: str = ""
    made_at: int = 0


_DECODER = msgspec.json.Decoder(Grant)


def door_token_fits(config: Config, given: str) -> bool:
    """Whether a local door showed the shared secret."""
    return hmac.compare_digest(config.secret("door.token"), given.encode("utf-8", "replace"))


def make_grant(
    key: bytes,
    *,
    subject_id: str,
    collectivite_id: str | None,
    paths: tuple[str, ...],
    ttl_s: int = 300,
    role: str = "",
    share_id: str = "",
    session: str = "",
) -> str:
    """Return the text of a grant, fit for a cookie. ``key``: STATE/secrets/live.key, or drive-grant.key."""
    now_s = clock.epoch_s()
    nonce = secrets.token_urlsafe(9)
    grant = Grant(subject_id, collectivite_id, paths, now_s + ttl_s, role, share_id, session, nonce, now_s)
    body = base64.urlsafe_b64encode(msgspec.json.encode(grant)).decode().rstrip("=")
    return f"{body}.{_mac(key, body)}"


def read_grant(key: bytes, text: str, *, path: str) -> Grant:
    """Return the grant if it is whole, in time and opens ``path``. Errors: GrantRefused."""
    body, dot, mac = text.partition(".")
    if len(text) > MAX_GRANT_BYTES or not dot or not text.isascii():
        raise GrantRefused
    if not hmac.compare_digest(_mac(key, body), mac):
        raise GrantRefused
    try:
        grant = _DECODER.decode(base64.urlsafe_b64decode(body + "=" * (-len(body) % 4)))
    except (Base64Error, *UNDECODABLE):
        raise GrantRefused from None
    now_s = clock.epoch_s()
    if grant.expires_at <= now_s or grant.made_at > now_s + CLOCKS_DIFFER_S or path not in grant.paths:
        raise GrantRefused
    return grant


def _mac(key: bytes, body: str) -> str:
    return hmac.new(key, b"live-grant\0" + body.encode(), hashlib.sha256).hexdigest()
