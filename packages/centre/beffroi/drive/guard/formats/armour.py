"""Bytes that are written as text: base64, hexadecimal. What is in them says whether anybody lost something.

Honest programs write so: keys and certificates (PEM), signatures (.p7m), pictures in HTML, mail, CSV. So does some
ransomware, with a line of its own before the text or without one (Chaos, RAA, what is made with Fernet).
Told by:  a beginning of such signs alone; or a text as dense as no language and no table is, since six bits of eight
          are random: base85 and uuencode, too, which are not decoded.
Hostile:  every byte.
Source:   RFC 4648, RFC 7468, X.690; docs/internals/ransomware.md.
"""

from __future__ import annotations

import base64
import re

from beffroi.drive.guard.formats import texts
from beffroi.drive.guard.noise import BLOCK_BYTES, BLOCKS, Noise, density_of
from beffroi.drive.guard.reading import EDGE_BYTES, Reader, spread

KIND = "armour"
DENSE, _DENSE_LEAST_BYTES = 0.7, 2048
"""Mean density (``noise``): prose and tables stay below 0.65, base64 of random bytes is at 0.76."""
_SIGNS = rb"[A-Za-z0-9+/_-]"
_RUN = re.compile(
    rb"(?<!" + _SIGNS + rb")" + _SIGNS + rb"{60,}={0,2}(?:\r?\n ?(?!--)" + _SIGNS + rb"+={0,2})*"
)
_HEX = re.compile(rb"[0-9A-Fa-f]+")
_OTHERS = re.sub(_SIGNS, b"", bytes(range(256)))
"""Breaks, padding, and whatever stands behind a beginning that is armour."""
_VAULT = b"$ANSIBLE_VAULT;"
_LOCKED = (_VAULT, b"age-encryption.org/")
_KEYS = (b"openssh-key-v1\0", b"PuTTY-User-Key-File")
# INTEGER, OBJECT IDENTIFIER, SEQUENCE, [0]: what certificates, keys, requests and signatures begin with.
_FIRST_TAGS = b"\x02\x06\x30\xa0"
# Keys and signatures of OpenPGP: first byte → where the version stands, or one byte later (RFC 9580 section 4.2).
_OPENPGP = {0x88: 2, 0x89: 3, 0x94: 2, 0x95: 3, 0x98: 2, 0x99: 3, 0xC2: 2, 0xC5: 2, 0xC6: 2}
_OPENPGP_VERSIONS = range(3, 7)


def is_dense(reader: Reader, noise: Noise) -> bool:
    """Of a file that is text. Of UTF-16 without the zeros, which half of it are. Errors: reading.Spent."""
    mark = texts.wide(reader.head(4096))
    if mark is None:
        return reader.size_bytes >= _DENSE_LEAST_BYTES and noise.mean >= DENSE
    if reader.size_bytes < 2 * _DENSE_LEAST_BYTES:
        return False
    numbers = spread(max(1, reader.size_bytes // (2 * BLOCK_BYTES)), BLOCKS)
    blocks = (reader.at(2 * number * BLOCK_BYTES, 2 * BLOCK_BYTES) for number in numbers)
    return sum(density_of(texts.narrow(block, mark)) for block in blocks) >= DENSE * len(numbers)


def decoded(reader: Reader) -> bytes:
    """What the text stands for, or its longest piece, as far as one look reaches; empty where none is found. What
    people locked by a program that says so comes as it is. Errors: reading.Spent."""
    data = reader.head(reader.size_bytes if reader.is_whole else EDGE_BYTES)
    data = texts.narrow(data, texts.wide(data))
    if data.startswith(_VAULT):
        return data
    if texts.is_armour(data[:4096]):
        run = data
    else:
        run = max((found[0] for found in _RUN.finditer(data)), key=len, default=b"")
    signs = run.translate(None, _OTHERS)
    if _HEX.fullmatch(signs):
        return bytes.fromhex(signs[: len(signs) & ~1].decode("ascii"))
    signs = signs[: len(signs) - (len(signs) % 4 == 1)]
    return base64.b64decode(signs.translate(bytes.maketrans(b"-_", b"+/")) + b"=" * (-len(signs) % 4))


def is_locked(inside: bytes) -> bool:
    return inside.startswith(_LOCKED)


def is_key(inside: bytes) -> bool:
    """A key, a certificate, a signature: told by its beginning and its length alone."""
    if inside.startswith(_KEYS):
        return True
    if len(inside) < 64:
        return False
    if (at := _OPENPGP.get(inside[0])) is not None:
        return inside[at] in _OPENPGP_VERSIONS or inside[at + 1] in _OPENPGP_VERSIONS
    if inside[0] != 0x30:
        return False
    count = inside[1] & 0x7F if inside[1] & 0x80 else 0
    if count > 4 or inside[2 + count] not in _FIRST_TAGS:
        return False
    if inside[1] == 0x80:
        return True
    length = int.from_bytes(inside[2 : 2 + count]) if count else inside[1]
    return length + 2 + count >= len(inside) - 2
