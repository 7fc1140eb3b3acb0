"""The first packet of a QUIC connection (RFC 9001, section 5 and appendix A), as a browser sends it: TLS's ClientHello,
protected by keys that anyone on the way derives from the connection's id."""

from __future__ import annotations

import os
import ssl
import struct

from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.hmac import HMAC
from cryptography.hazmat.primitives.kdf.hkdf import HKDFExpand

_SALT_V1 = bytes.fromhex("38762cf7f55934b34d179ae6a4c80cadccbb7f0a")
_LENGTH, _PIECE = 1200, 1100
"""A ClientHello with a post-quantum key is longer than a packet: as in browsers, the rest would follow."""


def client_hello(name: str) -> bytes:
    """A TLS record with the ClientHello of Python's own TLS."""
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    sent = ssl.MemoryBIO()
    try:
        context.wrap_bio(ssl.MemoryBIO(), sent, server_hostname=name).do_handshake()
    except ssl.SSLWantReadError:
        pass
    return sent.read()


def initial_packet(name: str) -> bytes:
    """A version 1 Initial packet of 1200 bytes."""
    connection = os.urandom(8)
    secret = HMAC(_SALT_V1, SHA256())
    secret.update(connection)
    client = _expand(secret.finalize(), b"client in", 32)
    key, nonce, hide = (
        _expand(client, b"quic key", 16),
        _expand(client, b"quic iv", 12),
        _expand(client, b"quic hp", 16),
    )
    hello = client_hello(name)[5 : 5 + _PIECE]
    payload = b"\x06\x00" + _number(len(hello)) + hello
    head = b"\xc0\x00\x00\x00\x01" + bytes([8]) + connection + b"\x00\x00"
    room = _LENGTH - len(head) - 2 - 1
    payload += bytes(room - len(payload) - 16)
    head += _number(1 + room) + b"\x00"
    sealed = AESGCM(key).encrypt(nonce, payload, head)
    mask = Cipher(algorithms.AES(hide), modes.ECB()).encryptor().update(sealed[3:19])
    return bytes([head[0] ^ (mask[0] & 15)]) + head[1:-1] + bytes([head[-1] ^ mask[1]]) + sealed


def _number(value: int) -> bytes:
    return struct.pack(">H", 0x4000 | value)


def _expand(secret: bytes, label: bytes, length: int) -> bytes:
    name = b"tls13 " + label
    info = struct.pack(">H", length) + bytes([len(name)]) + name + b"\x00"
    return HKDFExpand(SHA256(), length, info).derive(secret)
