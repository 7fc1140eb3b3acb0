"""What a mail server agrees to in TLS: hellos written by hand, so that what our own OpenSSL left behind can be offered.

Purpose: internet.nl's questions about TLS: versions, suites, order, parameters, compression, renegotiation.
Way:     STARTTLS, one hello, the clear part of the answer (to ServerHelloDone, or an alert), hang up. No key is made.
Hostile: every answer; at most ``_ANSWER_BYTES`` of it are read, and nothing after ``ends`` (monotonic seconds).
Fails:   a server that does not answer a hello is None, never "refused"; closing without an alert is a refusal, as old
         servers do.
Source:  RFC 5246 7.4, 8446 4.1, 7627 (Extended Master Secret), 5746 (renegotiation), 3749 (compression), 7919 (groups);
         internet.nl's mail test; NCSC-NL, IT security guidelines for TLS.
"""

from __future__ import annotations

import os
import smtplib
import socket
import struct
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from beffroi.mail.domains.results import Result

HELLO_S = 6.0
_ANSWER_BYTES = 64 * 1024
SSL3, TLS10, TLS11, TLS12 = 0x0300, 0x0301, 0x0302, 0x0303
VERSIONS = {SSL3: "SSLv3", TLS10: "TLSv1.0", TLS11: "TLSv1.1", TLS12: "TLSv1.2"}
# IANA's numbers. Good: ephemeral and authenticated encryption. Sufficient: one of the two is older.
GOOD = (0xC02C, 0xC030, 0xCCA9, 0xCCA8, 0xC02B, 0xC02F)
FINITE = (0x009F, 0xCCAA, 0x009E, 0x006B, 0x0067, 0x0039, 0x0033)
SUFFICIENT = (*FINITE, 0xC024, 0xC028, 0xC00A, 0xC014, 0xC023, 0xC027, 0xC009, 0xC013)
WEAK = {
    "NULL": (0x0001, 0x0002, 0x003B, 0xC006, 0xC010, 0xC015),
    "anonyme": (0x0034, 0x003A, 0x006C, 0x006D, 0x00A6, 0x00A7, 0xC018, 0xC019, 0x0018, 0x001B),
    "EXPORT": (0x0003, 0x0006, 0x0008, 0x000B, 0x000E, 0x0011, 0x0014),
    "RC4": (0x0004, 0x0005, 0xC007, 0xC011),
    "DES": (0x0009, 0x0015, 0x000A, 0x0016, 0xC008, 0xC012),
    "IDEA, SEED": (0x0007, 0x0096, 0x009A),
    "RSA": (0x009D, 0x009C, 0x003D, 0x003C, 0x0035, 0x002F),
}
"""Family -> suites that nobody should agree to; "RSA": its key, once stolen, opens what was recorded."""
STRONG_GROUPS, WEAK_GROUPS = (29, 30, 23, 24, 25), (19, 20, 21, 1, 3, 6, 8, 15, 16, 17, 18, 22)
FINITE_BITS = 2048
_MASTER_SECRET, _RENEGOTIATION = 0x0017, 0xFF01
_SIGNATURES = (0x0403, 0x0503, 0x0603, 0x0804, 0x0805, 0x0806, 0x0401, 0x0501, 0x0601, 0x0807, 0x0203, 0x0201)


@dataclass(frozen=True)
class Agreed:
    """What the server chose. ``suite`` 0: it refused. ``finite_bits``: size of its Diffie-Hellman prime, 0 without."""

    version: int = 0
    suite: int = 0
    compressed: bool = False
    extensions: frozenset[int] = frozenset()
    finite_bits: int = 0


ITEMS = (
    "tls_versions", "tls_suites", "tls_order", "tls_parameters",
    "tls_compression", "tls_renegotiation", "tls_master_secret",
)  # fmt: skip


def look(address: str, port: int, name: str, *, budget_s: float) -> list[Result]:
    """One ``Result`` for each of ``ITEMS``. ``name``: of the server, for SNI; ``budget_s``: for all hellos together."""
    place = Place(address, port, name, time.monotonic() + budget_s)

    def offered(version: int, suites: Sequence[int], groups: Sequence[int] = STRONG_GROUPS) -> Agreed | None:
        return offer(place, version, suites, groups)

    everything = (*SUFFICIENT, *GOOD, *(one for family in WEAK.values() for one in family))
    old = {version: offered(version, everything) for version in (SSL3, TLS10, TLS11)}
    weak = offered(TLS12, [one for family in WEAK.values() for one in family])
    usual = offered(TLS12, (*SUFFICIENT, *GOOD))
    best = usual if usual and usual.suite in (0, *GOOD) else offered(TLS12, GOOD)
    parameters = [offered(TLS12, FINITE), offered(TLS12, (*GOOD, *SUFFICIENT), WEAK_GROUPS)]
    return [
        _versions(old),
        _suites(weak),
        *_usual(usual, best),
        _parameters(*parameters),
    ]


def _versions(old: dict[int, Agreed | None]) -> Result:
    accepted = [VERSIONS[version] for version, one in old.items() if one and one.version == version]
    if accepted:
        return Result("tls_versions", "bad", "old", ", ".join(accepted))
    if None in old.values():
        return Result("tls_versions", "unknown", "unanswered")
    return Result("tls_versions", "ok", "ok")


def _suites(weak: Agreed | None) -> Result:
    if weak is None:
        return Result("tls_suites", "unknown", "unanswered")
    if not weak.suite:
        return Result("tls_suites", "ok", "ok")
    family = next((name for name, suites in WEAK.items() if weak.suite in suites), "")
    return Result("tls_suites", "bad", "weak", f"{family} 0x{weak.suite:04X}".strip())


def _usual(usual: Agreed | None, best: Agreed | None) -> Iterator[Result]:
    """Order, and what TLS 1.2 has but 1.3 does not need. A server that refuses 1.2 has none of these faults.

    ``usual``: the lesser suites were offered first; ``best``: what the server takes where only good ones are.
    """
    ordered = usual is not None and (usual.suite in GOOD or (best is not None and not best.suite))
    judged = {
        "tls_order": (ordered, "client"),
        "tls_compression": (usual is not None and not usual.compressed, "used"),
        "tls_renegotiation": (usual is not None and _RENEGOTIATION in usual.extensions, "insecure"),
        "tls_master_secret": (usual is not None and _MASTER_SECRET in usual.extensions, "absent"),
    }
    for item, (good, code) in judged.items():
        if usual is None or (item == "tls_order" and best is None):
            yield Result(item, "unknown", "unanswered")
        elif good or not usual.suite:
            yield Result(item, "ok", "ok")
        else:
            yield Result(item, "warn", code)


def _parameters(finite: Agreed | None, curve: Agreed | None) -> Result:
    if finite and finite.suite and finite.finite_bits < FINITE_BITS:
        return Result("tls_parameters", "bad", "small", f"DH {finite.finite_bits} bits")
    if curve and curve.suite in (*GOOD, *SUFFICIENT[len(FINITE) :]):
        return Result("tls_parameters", "bad", "small", "ECDHE")
    if finite is None or curve is None:
        return Result("tls_parameters", "unknown", "unanswered")
    return Result("tls_parameters", "ok", "ok")


@dataclass(frozen=True)
class Place:
    """A server. ``name``: for SNI; ``ends``: when to stop asking, in monotonic seconds."""

    address: str
    port: int
    name: str
    ends: float


def offer(
    place: Place, version: int, suites: Sequence[int], groups: Sequence[int] = STRONG_GROUPS
) -> Agreed | None:
    """What the server makes of this hello; None where it did not answer in time."""
    left = min(HELLO_S, place.ends - time.monotonic())
    if left <= 0:
        return None
    try:
        with smtplib.SMTP(timeout=left) as client:
            client.connect(place.address, place.port)
            client.ehlo("check.invalid")
            code, _text = client.docmd("STARTTLS")
            if code != 220 or client.sock is None:
                return None
            line = client.sock
            client.sock = client.file = None  # what follows is no SMTP: no QUIT is sent into it
            with line:
                line.sendall(_hello(place.name, version, suites, groups))
                return _agreed(line, min(place.ends, time.monotonic() + HELLO_S))
    except (OSError, smtplib.SMTPException):
        return None


def _block(width: int, data: bytes) -> bytes:
    """``data`` after its length in ``width`` bytes."""
    return len(data).to_bytes(width, "big") + data


def _numbers(values: Sequence[int]) -> bytes:
    return b"".join(struct.pack(">H", one) for one in values)


def _hello(name: str, version: int, suites: Sequence[int], groups: Sequence[int]) -> bytes:
    extensions = {
        0x0000: _block(2, b"\0" + _block(2, name.encode("ascii", "ignore"))),
        0x000A: _block(2, _numbers(groups)),
        0x000B: _block(1, b"\0"),
        _MASTER_SECRET: b"",
        _RENEGOTIATION: _block(1, b""),
    }
    if version >= TLS12:
        extensions[0x000D] = _block(2, _numbers(_SIGNATURES))
    # 1: DEFLATE, offered to see whether anyone still takes it.
    body = (
        struct.pack(">H", version) + os.urandom(32) + _block(1, b"") + _block(2, _numbers(suites)) + b"\2\1\0"
    )
    if version > SSL3:
        body += _block(
            2, b"".join(struct.pack(">H", kind) + _block(2, one) for kind, one in extensions.items())
        )
    return b"\x16" + struct.pack(">H", min(version, TLS10)) + _block(2, b"\1" + _block(3, body))


def _agreed(line: socket.socket, ends: float) -> Agreed | None:
    """Read records until the server's part ends. Malformed answers are a refusal: nothing was agreed."""
    raw = bytearray()
    found = Agreed()
    while len(raw) < _ANSWER_BYTES and (left := ends - time.monotonic()) > 0:
        line.settimeout(left)
        try:
            more = line.recv(16384)
        except ConnectionResetError:
            return found
        except TimeoutError:
            return None
        raw += more
        try:
            found, done = _read(bytes(raw))
        except (IndexError, struct.error):
            return Agreed()
        if done or not more:
            return found
    return None


def _read(raw: bytes) -> tuple[Agreed, bool]:
    """(what is agreed so far, whether the server's part is over)."""
    text, start, done = bytearray(), 0, False
    while len(raw) >= start + 5:
        kind, _version, length = struct.unpack(">BHH", raw[start : start + 5])
        if len(raw) < start + 5 + length:
            break
        if kind != 22:  # an alert, or no TLS at all
            done = True
            break
        text += raw[start + 5 : start + 5 + length]
        start += 5 + length
    agreed, at = Agreed(), 0
    while len(text) >= at + 4:
        kind, length = text[at], int.from_bytes(text[at + 1 : at + 4], "big")
        if len(text) < at + 4 + length:
            break
        body = bytes(text[at + 4 : at + 4 + length])
        if kind == 2:
            agreed = _server_hello(body)
        elif kind == 12 and agreed.suite in FINITE:
            bits = int.from_bytes(body[2 : 2 + int.from_bytes(body[:2], "big")], "big").bit_length()
            agreed = Agreed(agreed.version, agreed.suite, agreed.compressed, agreed.extensions, bits)
        done = done or kind == 14
        at += 4 + length
    return agreed, done


def _server_hello(body: bytes) -> Agreed:
    [version] = struct.unpack(">H", body[:2])
    at = 35 + body[34]
    suite, compression = struct.unpack(">HB", body[at : at + 3])
    extensions, at = set(), at + 5
    while len(body) >= at + 4:
        kind, length = struct.unpack(">HH", body[at : at + 4])
        extensions.add(kind)
        at += 4 + length
    return Agreed(version, suite, compression != 0, frozenset(extensions))
