"""The key pair of a mailbox: both halves belong together, and nothing shows the private one."""

from __future__ import annotations

import base64

import pytest
from beffroi.mail import key_pairs
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
from cryptography.hazmat.primitives.serialization import load_pem_private_key


def test_both_halves_are_of_one_key_and_the_same_each_time() -> None:
    secret = key_pairs.new_secret()
    pair = key_pairs.of_secret(secret)
    assert pair == key_pairs.of_secret(secret)
    private = load_pem_private_key(base64.b64decode(pair.private), password=None)
    assert isinstance(private, X25519PrivateKey)
    assert private.private_bytes_raw() == secret
    assert base64.b64decode(pair.public).startswith(b"-----BEGIN PUBLIC KEY-----")
    assert key_pairs.of_secret(key_pairs.new_secret()) != pair


def test_a_pair_that_is_printed_shows_no_private_half() -> None:
    pair = key_pairs.of_secret(key_pairs.new_secret())
    assert pair.private not in repr(pair) and pair.public in repr(pair)


@pytest.mark.parametrize("secret", [b"", b"short", bytes(33)])
def test_anything_but_32_bytes_is_refused(secret: bytes) -> None:
    with pytest.raises(ValueError, match="32"):
        key_pairs.of_secret(secret)
