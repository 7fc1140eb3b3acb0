"""Signed lines: ``bf1 KID SIGNATURE PAYLOAD`` and the trust in the keys that make them.

Purpose: sign and verify the exact bytes sent; no canonical form to get wrong.
Trust:   an offline root, pinned at enrolment, delegates online keys for a role and a time. The root signs
         nothing else. An online key signs the feed and policies, never software: that is another role, of keys that
         are kept offline too. Each role has serials of its own.
Input:   hostile; a line that does not verify changes nothing.
Format:  ``bf1`` SP kid SP base64url(Ed25519 signature, no padding) SP payload (JSON, no line feed).
         The signature covers ``beffroi/ROLE/1`` LF payload, so that no line can be replayed in another role.
"""

from __future__ import annotations

import base64
import hashlib

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from beffroi_protocol.errors import (
    KeyExpired,
    KeyNotYet,
    KeyRetired,
    KeyUnknown,
    MessageMalformed,
    MessageTooLarge,
    SignatureInvalid,
)
from beffroi_protocol.messages import (
    MAX_MESSAGE_BYTES,
    Delegation,
    FeedMessage,
    Release,
    decode_feed,
    encode,
)

ROOT_KID = "root"
ROLE_FEED = "feed"
ROLE_SOFTWARE = "software"
ROLE_ROOT = "root"
_PREFIX = b"bf1"
_MAX_KID = 64


def b64(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def unb64(text: str) -> bytes:
    """Only the one spelling that ``b64`` makes: else a changed line could still verify.

    Errors: MessageMalformed.
    """
    try:
        data = base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
    except ValueError:
        raise MessageMalformed("not base64url") from None
    if b64(data) != text:
        raise MessageMalformed("not base64url")
    return data


def public_bytes(key: Ed25519PrivateKey | Ed25519PublicKey) -> bytes:
    public = key.public_key() if isinstance(key, Ed25519PrivateKey) else key
    return public.public_bytes_raw()


def key_id(public_key: bytes) -> str:
    """Short name of a public key in lines: 16 hex digits."""
    return hashlib.sha256(public_key).hexdigest()[:16]


def fingerprint(public_key: bytes) -> str:
    """What a person compares: SHA-256 of the key, first 80 bits, in groups of four hex digits."""
    digest = hashlib.sha256(public_key).hexdigest()[:20].upper()
    return " ".join(digest[i : i + 4] for i in range(0, 20, 4))


def payload_hash(payload: bytes) -> str:
    """The link of a channel's chain: hex SHA-256 of a payload's exact bytes."""
    return hashlib.sha256(payload).hexdigest()


class Signer:
    """Makes signed lines with one private key."""

    def __init__(self, key: Ed25519PrivateKey, *, role: str = ROLE_FEED, kid: str | None = None) -> None:
        self._key = key
        self._role = role
        self.kid = kid or key_id(public_bytes(key))

    def line(self, message: FeedMessage) -> bytes:
        """Return the signed line, without its final line feed."""
        payload = encode(message)
        signature = self._key.sign(_signed_bytes(self._role, payload))
        return b" ".join((_PREFIX, self.kid.encode(), b64(signature).encode(), payload))


def delegate(
    root: Ed25519PrivateKey,
    public_key: bytes,
    *,
    serial: int,
    not_before: int,
    not_after: int,
    role: str = ROLE_FEED,
) -> bytes:
    """Return the root's signed line that lets ``public_key`` sign for ``role``."""
    message = Delegation(1, key_id(public_key), b64(public_key), (role,), serial, not_before, not_after)
    return Signer(root, role=ROLE_ROOT, kid=ROOT_KID).line(message)


def split_line(line: bytes) -> tuple[str, bytes, bytes]:
    """Return (kid, signature, payload) of an unverified line. Errors: MessageMalformed, MessageTooLarge."""
    if len(line) > MAX_MESSAGE_BYTES:
        raise MessageTooLarge(len(line), MAX_MESSAGE_BYTES)
    parts = line.rstrip(b"\r\n").split(b" ", 3)
    if len(parts) != 4 or parts[0] != _PREFIX or len(parts[1]) > _MAX_KID:
        raise MessageMalformed("not a signed line")
    try:
        kid, signature = parts[1].decode("ascii"), unb64(parts[2].decode("ascii"))
    except UnicodeDecodeError:
        raise MessageMalformed("not a signed line") from None
    return kid, signature, parts[3]


class TrustStore:
    """The pinned root and the keys it delegated. Pure: the caller brings time and keeps the lines."""

    def __init__(self, root_public_key: bytes) -> None:
        self.root_public_key = root_public_key
        self._root = Ed25519PublicKey.from_public_bytes(root_public_key)
        self._keys: dict[str, tuple[Ed25519PublicKey, Delegation]] = {}
        self._newest: dict[tuple[str, ...], int] = {}
        self.lines: dict[str, bytes] = {}

    def add_delegation(self, line: bytes) -> Delegation:
        """Verify with the root and keep. A higher serial retires every key of a lower one minus one,
        so that the current and the previous key overlap during a rotation; a serial two higher retires
        all others at once. An old line, sent again, changes nothing.

        Errors: KeyUnknown, KeyRetired, SignatureInvalid, MessageMalformed, MessageTooLarge, VersionUnknown.
        """
        kid, signature, payload = split_line(line)
        if kid != ROOT_KID:
            raise KeyUnknown(kid, ROLE_ROOT)
        _verify(self._root, kid, signature, _signed_bytes(ROLE_ROOT, payload))
        message = decode_feed(payload)
        if not isinstance(message, Delegation):
            raise MessageMalformed("not a delegation")
        key = _load_public_key(message.public_key)
        if message.kid != key_id(public_bytes(key)):
            raise MessageMalformed("the key has another name")
        known = self._keys.get(message.kid)
        if known is not None and known[1].roles != message.roles:
            raise MessageMalformed("one key signs for one role")
        newest = self._newest.get(message.roles, 0)
        if message.serial < newest - 1 or (known is not None and _rank(message) < _rank(known[1])):
            raise KeyRetired(message.kid, message.serial)
        self._newest[message.roles] = newest = max(newest, message.serial)
        self._keys[message.kid] = (key, message)
        self.lines[message.kid] = line
        for old in [
            k for k, (_, d) in self._keys.items() if d.roles == message.roles and d.serial < newest - 1
        ]:
            del self._keys[old]
            del self.lines[old]
        return message

    def role(self, kid: str) -> str:
        """ROLE_SOFTWARE for a key delegated for it; else ROLE_FEED, where an unknown key is refused."""
        known = self._keys.get(kid)
        return ROLE_SOFTWARE if known is not None and ROLE_SOFTWARE in known[1].roles else ROLE_FEED

    def verify(self, line: bytes, *, now: int, role: str = ROLE_FEED) -> tuple[FeedMessage, bytes]:
        """Return (message, payload) of a verified line.

        Units:  ``now`` in epoch seconds: the trusted time, not a clock that may be wrong.
        Errors: KeyUnknown, KeyExpired, KeyNotYet, SignatureInvalid, MessageMalformed, MessageTooLarge,
                VersionUnknown.
        """
        return self.verify_parts(split_line(line), now=now, role=role)

    def verify_parts(
        self, parts: tuple[str, bytes, bytes], *, now: int, role: str = ROLE_FEED
    ) -> tuple[FeedMessage, bytes]:
        """As ``verify``, of what ``split_line`` returned. ``now``: trusted epoch seconds.

        Errors: KeyUnknown (also of another role), SignatureInvalid, KeyExpired, KeyNotYet, MessageMalformed."""
        kid, signature, payload = parts
        known = self._keys.get(kid)
        if known is None or role not in known[1].roles:
            raise KeyUnknown(kid, role)
        key, delegation = known
        _verify(key, kid, signature, _signed_bytes(role, payload))
        if now > delegation.not_after:
            raise KeyExpired(kid, delegation.not_after)
        message = decode_feed(payload, at_door=True)
        if isinstance(message, Release) != (role == ROLE_SOFTWARE):
            raise MessageMalformed("a message of another role")
        if not isinstance(message, Delegation):
            # The message's own time, so that neither a centre whose clock ran ahead nor a key used
            # outside its term can push the trusted time of every door past the end of the delegation.
            if message.issued_at > delegation.not_after:
                raise KeyExpired(kid, delegation.not_after)
            if message.issued_at < delegation.not_before:
                raise KeyNotYet(kid, delegation.not_before)
        return message, payload


def _rank(delegation: Delegation) -> tuple[int, int]:
    return delegation.serial, delegation.not_after


def _signed_bytes(role: str, payload: bytes) -> bytes:
    return b"beffroi/" + role.encode() + b"/1\n" + payload


def _verify(key: Ed25519PublicKey, kid: str, signature: bytes, data: bytes) -> None:
    try:
        key.verify(signature, data)
    except InvalidSignature:
        raise SignatureInvalid(kid) from None


def _load_public_key(text: str) -> Ed25519PublicKey:
    try:
        return Ed25519PublicKey.from_public_bytes(unb64(text))
    except ValueError:
        raise MessageMalformed("not an Ed25519 key") from None
