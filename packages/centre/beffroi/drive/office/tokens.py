"""Who an editor acts for: the portal's grant for one file, as the editor shows it with each request.

Rule:    bound to person, collectivité, role, file, the share that leads to it where it is another collectivité's, and
         whether it may be written; by the same key and form as the grants of a browser
         (docs/decisions/0074-bytes-by-grant.md), whose paths it does not open, nor they its. It lives no longer than
         the session that asked for it.
         A file's name at the editor holds its collectivité: an editor takes two requests of one name for one document,
         and lets those people write in it together.
Secrets: a session's key opens the portal, and the editor reads tokens: it stands there sealed.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import re
import secrets
from binascii import Error as Base64Error
from typing import NamedTuple

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from beffroi.core.planes.tokens import Grant, GrantRefused, make_grant, read_grant
from beffroi.drive.who import Role, Who

FILES = "/wopi/files"
TTL_S = 8 * 3600
"""A working day: an editor cannot ask for another one, and what was written since the last save would be lost. Whether
person and session are still what they were is asked at each request besides."""
_DEVICE = re.compile(r"office:per_[0-9a-z]{1,40}:[0-9]{1,9}", re.ASCII)
_NAME = re.compile(r"(col_[0-9a-z]{1,40})-([0-9]{1,18})", re.ASCII)
_ROLES: dict[str, Role] = {"agent": "agent", "elu": "elu", "referent": "referent", "dpo": "dpo"}
_NONCE_BYTES = 12


def device_of(grant: Grant) -> str:
    """What somebody writes in the editor on a day is of one device: judged, and stopped, as their other ones. One that
    was stopped stays so, and the tokens of another day are of another device."""
    return f"office:{grant.subject_id}:{grant.expires_at // 86400}"


def is_device(device_id: str) -> bool:
    return _DEVICE.fullmatch(device_id) is not None


class File(NamedTuple):
    """What an editor calls a file. ``collectivite_id``: its owner."""

    collectivite_id: str
    node_id: int

    @property
    def path(self) -> str:
        return f"{FILES}/{self.collectivite_id}-{self.node_id}"


def file_of(name: str) -> File:
    """Errors: GrantRefused."""
    found = _NAME.fullmatch(name)
    if found is None:
        raise GrantRefused
    return File(found[1], int(found[2]))


class Session(NamedTuple):
    """Of the portal. ``key``: its secret; ``password``: of the person (``password_digest``)."""

    key: str
    password: str

    def sealed(self, key: bytes) -> str:
        """``key``: drive-grant.key."""
        nonce = secrets.token_bytes(_NONCE_BYTES)
        data = nonce + AESGCM(_session_key(key)).encrypt(nonce, f"{self.key} {self.password}".encode(), None)
        return base64.urlsafe_b64encode(data).decode()


def password_digest(record: str) -> str:
    """``record``: a salted hash; so its digest tells nobody anything, but that it is another one."""
    return hashlib.sha256(record.encode()).hexdigest()[:32]


class Holder(NamedTuple):
    """Whom a token names. ``made_at``: epoch seconds, when the person asked for it."""

    person_id: str
    collectivite_id: str
    role: Role
    session: Session
    made_at: int


def holder(key: bytes, grant: Grant) -> Holder:
    """Errors: GrantRefused."""
    role, collectivite_id = _ROLES.get(grant.role), grant.collectivite_id
    if role is None or collectivite_id is None:
        raise GrantRefused
    try:
        data = base64.urlsafe_b64decode(grant.session)
        opened = AESGCM(_session_key(key)).decrypt(data[:_NONCE_BYTES], data[_NONCE_BYTES:], None)
    except (Base64Error, InvalidTag, ValueError):
        raise GrantRefused from None
    session_key, _, password = opened.decode().partition(" ")
    return Holder(grant.subject_id, collectivite_id, role, Session(session_key, password), grant.made_at)


def make(
    key: bytes,
    who: Who,
    file: File,
    *,
    may_write: bool,
    session: str,
    share_id: str = "",
    ttl_s: int = TTL_S,
    made_at: int | None = None,
) -> str:
    """``session``: sealed. ``share_id``: of a file of another collectivité. ``made_at``: of the token that asked for
    this one."""
    return make_grant(
        key,
        subject_id=who.person_id,
        collectivite_id=who.collectivite_id,
        paths=(file.path, f"{file.path}/contents") if may_write else (file.path,),
        ttl_s=ttl_s,
        role=who.role,
        share_id=share_id,
        session=session,
        made_at=made_at,
    )


def read(key: bytes, text: str, file: File) -> Grant:
    """Errors: GrantRefused."""
    grant = read_grant(key, text, path=file.path)
    if not grant.share_id and grant.collectivite_id != file.collectivite_id:
        raise GrantRefused
    return grant


def may_write(grant: Grant, file: File) -> bool:
    return f"{file.path}/contents" in grant.paths


def _session_key(key: bytes) -> bytes:
    return hmac.digest(key, b"beffroi: sessions in tokens of editors", "sha256")
