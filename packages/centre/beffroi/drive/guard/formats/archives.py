"""Other archives and locked containers: 7z, RAR, gzip, bzip2, xz, zstd; OpenPGP, CMS, age, AxCrypt, AES Crypt.

Looked at: of 7z both headers with their CRC; of packed streams the first PREFIX_BYTES; of locked containers and signed
documents how they begin.
"""

from __future__ import annotations

import bz2
import lzma
import zlib

import zstandard

from beffroi.drive.guard.formats.values import SEALED, SOUND, Finding, broken, torn
from beffroi.drive.guard.reading import Reader

PREFIX_BYTES = 64 * 1024
_UNPACKED_BYTES = 256 * 1024
SEVEN_ZIP = b"7z\xbc\xaf\x27\x1c"
_AES_OF_7Z = b"\x06\xf1\x07\x01"
_CMS = bytes.fromhex("06092a864886f70d0107")
"""OBJECT IDENTIFIER 1.2.840.113549.1.7, whose last number follows."""
_SIGNED, _ENVELOPED = 2, 3
_LOCKED = (
    b"age-encryption.org/v1\n",
    b"-----BEGIN AGE ENCRYPTED FILE-----",
    b"-----BEGIN PGP MESSAGE-----",
    b"AES\x01",
    b"AES\x02",
    b"Salted__",
    bytes.fromhex("c0b9072e4f93f146a015792ca1d9e821"),  # AxCrypt
)


def check_7z(reader: Reader) -> Finding:
    """7zFormat.txt of the LZMA SDK. A 7z whose headers are packed does not show whether it has a password: it counts as
    sealed. Errors: reading.Spent."""
    head = reader.head(32)
    if head[:6] != SEVEN_ZIP or len(head) < 32:
        return broken("header")
    if zlib.crc32(head[12:32]) != int.from_bytes(head[8:12], "little"):
        return broken("crc")
    offset, length = int.from_bytes(head[12:20], "little"), int.from_bytes(head[20:28], "little")
    if 32 + offset + length > reader.size_bytes:
        return torn("cut off")
    if not length or length > 1024 * 1024:
        return SOUND
    header = reader.at(32 + offset, length)
    if zlib.crc32(header) != int.from_bytes(head[28:32], "little"):
        return broken("crc")
    return SEALED if _AES_OF_7Z in header or header[:1] == b"\x17" else SOUND


def check_rar(reader: Reader) -> Finding:
    """RAR 1.5 to 5: magic, and in RAR 5 the CRC of the first header. Errors: reading.Spent."""
    head = reader.head(64)
    if head[:7] == b"Rar!\x1a\x07\x00":
        return SEALED if len(head) > 10 and head[10] & 0x80 else SOUND
    if head[:8] != b"Rar!\x1a\x07\x01\x00":
        return broken("header")
    if head[12] < 0x80 and zlib.crc32(head[12 : 13 + head[12]]) != int.from_bytes(head[8:12], "little"):
        return broken("crc")
    return SEALED if head[13] == 4 else SOUND


def check_packed(reader: Reader) -> Finding:
    """gzip, bzip2, xz, zstd by their beginning. Errors: reading.Spent."""
    data = reader.head(PREFIX_BYTES)
    try:
        if data[:2] == b"\x1f\x8b":
            zlib.decompressobj(31).decompress(data, _UNPACKED_BYTES)
        elif data[:3] == b"BZh":
            bz2.BZ2Decompressor().decompress(data, _UNPACKED_BYTES)
        elif data[:6] == b"\xfd7zXZ\0":
            lzma.LZMADecompressor(lzma.FORMAT_XZ, 64 * 1024 * 1024).decompress(data, _UNPACKED_BYTES)
        elif data[:4] == b"\x28\xb5\x2f\xfd":
            frame = zstandard.get_frame_parameters(data)
            if frame.window_size > 64 * 1024 * 1024:
                return SOUND
            with zstandard.ZstdDecompressor().stream_reader(data) as stream:
                stream.read(_UNPACKED_BYTES)
        else:
            return broken("header")
    except lzma.LZMAError as error:
        # A window larger than what is given here is not an error of the file.
        return SOUND if "memory" in str(error).lower() else broken("packed data")
    except (zlib.error, OSError, EOFError, ValueError, zstandard.ZstdError):
        return broken("packed data")
    return SOUND


def check_locked(reader: Reader) -> Finding:
    """Errors: reading.Spent."""
    return SEALED if is_locked(reader.head(64)) else broken("header")


def is_locked(head: bytes) -> bool:
    """How the common programs with which people lock a file of their own begin."""
    return head.startswith(_LOCKED) or _is_openpgp(head) or _cms(head) == _ENVELOPED


def is_signed(head: bytes) -> bool:
    """A document within its signature (.p7m)."""
    return _cms(head) == _SIGNED


def _cms(head: bytes) -> int:
    """The last number of a CMS content's type; 0 of what is none. RFC 5652 section 3; DER, or BER without a length."""
    at = 2 + (head[1] & 0x7F if head[1:2] >= b"\x80" else 0)
    is_cms = head[:1] == b"\x30" and head[at : at + len(_CMS)] == _CMS
    return int.from_bytes(head[at + len(_CMS) :][:1]) if is_cms else 0


def _is_openpgp(head: bytes) -> bool:
    """A session key for somebody (versions 3, 6) or behind a passphrase (4 to 6): RFC 9580 sections 4.2, 5.1 and 5.3.
    Two bytes that fit and a length: of random files one in thousands looks so."""
    if len(head) < 4:
        return False
    first, length = head[0], head[1]
    if first in {0xC1, 0xC3}:
        version = head[2] if length < 192 else head[3] if length < 224 else 0
        return version in ({3, 6} if first == 0xC1 else {4, 5, 6})
    if first == 0x84:
        return head[2] == 3
    if first == 0x85:
        return head[3] == 3 and length < 8
    return first == 0x8C and head[2] == 4
