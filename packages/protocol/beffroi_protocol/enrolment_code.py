"""The code that a technician types when a box is plugged in.

Purpose: let a box that knows nothing find out, at its very first contact, that it speaks with its own centre.
Format:  24 characters of Crockford's base32 in groups of four: 80 secret bits, then 40 bits of check.
         ``check`` = first 40 bits of SHA-256 of ``beffroi/enrol-check/1`` LF secret, root public key.
         The box sends only the ``locator``, a hash of the secret: whoever relays the first contact never
         learns the secret, so it cannot search for a root key of its own that fits the check.
Input:   hostile; read as people type (case, spaces, O for 0, I and L for 1).
Source:  docs/internals/box.md.
"""

from __future__ import annotations

import hashlib
import secrets
from typing import NamedTuple

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from beffroi_protocol.errors import ProtocolError
from beffroi_protocol.signing import b64, public_bytes, unb64

SECRET_BYTES = 10
CHECK_BYTES = 5
_AGAIN = b"beffroi/enrol-again/1\n"
_ALPHABET = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
_READ = {letter: i for i, letter in enumerate(_ALPHABET)} | {"O": 0, "I": 1, "L": 1}


class CodeInvalid(ProtocolError):
    """This is not an enrolment code: 24 letters and digits in groups of four are expected."""

    code = "enrol.code_invalid"


class WrongCentre(ProtocolError):
    """The centre that answered does not hold the root key that the code was issued for. Nothing was stored."""

    code = "enrol.wrong_centre"


class EnrolmentCode(NamedTuple):
    secret: bytes
    check: bytes

    @property
    def locator(self) -> str:
        """What travels to the centre, and the only thing the centre stores: 64 hex digits."""
        return hashlib.sha256(b"beffroi/enrol-locator/1\n" + self.secret).hexdigest()

    def require_root(self, root_public_key: bytes) -> None:
        """Errors: WrongCentre."""
        if not secrets.compare_digest(self.check, _check(self.secret, root_public_key)):
            raise WrongCentre()

    def text(self) -> str:
        number = int.from_bytes(self.secret + self.check, "big")
        letters = "".join(_ALPHABET[number >> shift & 31] for shift in range(115, -1, -5))
        return "-".join(letters[i : i + 4] for i in range(0, 24, 4))


def new_code(root_public_key: bytes) -> EnrolmentCode:
    secret = secrets.token_bytes(SECRET_BYTES)
    return EnrolmentCode(secret, _check(secret, root_public_key))


def read_code(text: str) -> EnrolmentCode:
    """Errors: CodeInvalid."""
    letters = [c for c in text.upper() if not c.isspace() and c != "-"]
    if len(letters) != 24 or any(c not in _READ for c in letters):
        raise CodeInvalid()
    number = 0
    for letter in letters:
        number = number << 5 | _READ[letter]
    data = number.to_bytes(SECRET_BYTES + CHECK_BYTES, "big")
    return EnrolmentCode(data[:SECRET_BYTES], data[SECRET_BYTES:])


def prove_key(key: Ed25519PrivateKey) -> str:
    """The proof of a confirmed box that asks without a code who it is. It is no secret and may be heard: it opens an
    answer that names the box, and nothing else."""
    return b64(key.sign(_AGAIN + public_bytes(key)))


def key_proved(public_key: bytes, proof: str) -> bool:
    try:
        Ed25519PublicKey.from_public_bytes(public_key).verify(unb64(proof), _AGAIN + public_key)
    except (ValueError, InvalidSignature, ProtocolError):
        return False
    return True


def _check(secret: bytes, root_public_key: bytes) -> bytes:
    return hashlib.sha256(b"beffroi/enrol-check/1\n" + secret + root_public_key).digest()[:CHECK_BYTES]
