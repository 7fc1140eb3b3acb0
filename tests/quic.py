"""The first packets of a QUIC connection (RFC 9001, section 5 and appendix A), as a browser sends them: ClientHello in
shuffled pieces, protected by keys that anyone on the way derives from the connection's id."""

from __future__ import annotations

import os
import random
import ssl
import struct

from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.hmac import HMAC
from cryptography.hazmat.primitives.kdf.hkdf import HKDFExpand

from tests.certificates import unverified

_SALT_V1 = bytes.fromhex("38762cf7f55934b34d179ae6a4c80cadccbb7f0a")
_PACKET, _PIECE = 1200, 90


def client_hello(name: str) -> bytes:
    """A TLS record with the ClientHello of Python's own TLS, longer than a packet of QUIC."""
    context = unverified()
    sent = ssl.MemoryBIO()
    try:
        context.wrap_bio(ssl.MemoryBIO(), sent, server_hostname=name).do_handshake()
    except ssl.SSLWantReadError:
        pass
    return sent.read()


def first_packets(name: str) -> list[bytes]:
    """Initial packets of version 1."""
    hello = client_hello(name)[5:]
    pieces = [(at, hello[at : at + _PIECE]) for at in range(0, len(hello), _PIECE)]
    random.Random(name).shuffle(pieces)
    each = (_PACKET - 60) // (_PIECE + 8)
    connection = os.urandom(8)
    groups = [pieces[at : at + each] for at in range(0, len(pieces), each)]
    return [_packet(connection, number, group) for number, group in enumerate(groups)]


def _packet(connection: bytes, number: int, pieces: list[tuple[int, bytes]]) -> bytes:
    secret = HMAC(_SALT_V1, SHA256())
    secret.update(connection)
    client = _expand(secret.finalize(), b"client in", 32)
    key, iv, hide = (
        _expand(client, label, size)
        for label, size in ((b"quic key", 16), (b"quic iv", 12), (b"quic hp", 16))
    )
    payload = b"".join(b"\x06" + _number(at) + _number(len(piece)) + piece for at, piece in pieces)
    head = b"\xc0\x00\x00\x00\x01\x08" + connection + b"\x00\x00"
    room = _PACKET - len(head) - 3
    payload += bytes(room - len(payload) - 16)
    head += _number(1 + room) + bytes([number])
    nonce = (int.from_bytes(iv) ^ number).to_bytes(12)
    sealed = AESGCM(key).encrypt(nonce, payload, head)
    mask = Cipher(algorithms.AES(hide), modes.ECB()).encryptor().update(sealed[3:19])
    return bytes([head[0] ^ (mask[0] & 15)]) + head[1:-1] + bytes([head[-1] ^ mask[1]]) + sealed


def _number(value: int) -> bytes:
    return struct.pack(">H", 0x4000 | value)


def _expand(secret: bytes, label: bytes, length: int) -> bytes:
    name = b"tls13 " + label
    info = struct.pack(">H", length) + bytes([len(name)]) + name + b"\x00"
    return HKDFExpand(SHA256(), length, info).derive(secret)
