"""Whether a request comes from the editor whose discovery we read: it signs each one.

Hostile: everything in a request.
Fails:   closed: ProofRefused for whatever does not hold.
Source:  WOPI, "Verify that requests originate from ... by using proof keys": the token, the address in capitals and the
         time, each after its length; RSA with SHA-256; an editor that changes its key signs with both for a while.
"""

from __future__ import annotations

import base64
import struct
from binascii import Error as Base64Error
from collections.abc import Sequence

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from cryptography.hazmat.primitives.hashes import SHA256

from beffroi.lib import digits
from beffroi.lib.errors import BeffroiError

OLDEST_S = 20 * 60
_TICKS_A_S = 10_000_000
_TICKS_AT_EPOCH = 621_355_968_000_000_000
"""Of 100 ns since the year 1."""


class ProofRefused(BeffroiError):
    """This request was not signed by the editor of this centre."""

    code = "drive.editor_proof_refused"
    http_status = 500


def message(token: str, address: str, ticks: int) -> bytes:
    """What is signed."""
    parts = (token.encode(), address.upper().encode(), struct.pack(">q", ticks))
    return b"".join(struct.pack(">i", len(one)) + one for one in parts)


def ticks(epoch_s: float) -> int:
    return int(epoch_s * _TICKS_A_S) + _TICKS_AT_EPOCH


def require(
    keys: Sequence[RSAPublicKey],
    *,
    token: str,
    address: str,
    time: str,
    proof: str,
    former: str,
    now_s: float,
) -> None:
    """``keys``: the present one, and perhaps the one before. ``time``, ``proof``, ``former``: X-WOPI-TimeStamp,
    X-WOPI-Proof, X-WOPI-ProofOld. Errors: ProofRefused."""
    then = digits.number(time)
    if then is None:
        raise ProofRefused
    age_s = (ticks(now_s) - then) / _TICKS_A_S
    if not -OLDEST_S <= age_s <= OLDEST_S:
        raise ProofRefused
    expected = message(token, address, then)
    # Their key may be newer than ours, or ours newer than theirs.
    tried = [(keys[0], proof), (keys[0], former), *((one, proof) for one in keys[1:])]
    if not any(_fits(key, signature, expected) for key, signature in tried):
        raise ProofRefused


def _fits(key: RSAPublicKey, signature: str, expected: bytes) -> bool:
    try:
        key.verify(base64.b64decode(signature, validate=True), expected, PKCS1v15(), SHA256())
    except (InvalidSignature, Base64Error, ValueError):
        return False
    return True
