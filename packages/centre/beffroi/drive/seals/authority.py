"""Asks the time-stamping authority of the settings (RFC 3161 over HTTP); without one there is none.

Process: drive-keeper.
Hostile: the answer: ``archives.stamps`` judges it before it is kept.
Fails:   closed: what cannot be proved is not kept, and is asked for again later.
Source:  RFC 3161, section 3.4.
"""

from __future__ import annotations

import contextlib
import http.client
import secrets
import socket
import ssl
import threading
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

from cryptography import x509

from beffroi.drive.archives import stamps
from beffroi.lib.config import Config, SettingInvalid
from beffroi.lib.errors import Unavailable

TIMEOUT_S = 20.0
WHOLE_S = 60.0
"""For an answer to its end: one that comes byte by byte keeps no folder waiting."""


def is_set(config: Config) -> bool:
    return bool(config.drive_time_authority)


def roots(config: Config) -> list[x509.Certificate]:
    """The trusted roots; none without an authority. Errors: SettingInvalid."""
    if not config.drive_time_roots:
        return []
    try:
        return x509.load_pem_x509_certificates(Path(config.drive_time_roots).read_bytes())
    except (OSError, ValueError):
        raise SettingInvalid(
            "drive_time_roots", config.state / "beffroi.toml", "must name a file of PEM certificates"
        ) from None


def are_roots_read(config: Config) -> bool:
    """Without them no stamp is judged, and no verification ends."""
    try:
        roots(config)
    except SettingInvalid:
        return False
    return True


def stamp(config: Config, statement: bytes) -> bytes:
    """The response, proved. Errors: SettingInvalid, Unavailable, StampInvalid."""
    trusted = roots(config)
    if not trusted:
        raise SettingInvalid(
            "drive_time_roots",
            config.state / "beffroi.toml",
            "is empty: no answer of the authority is believed",
        )
    nonce = secrets.randbits(64)
    response = _asked(config, stamps.request(statement, nonce))
    stamps.verify(response, statement, trusted, nonce=nonce)
    return response


def _asked(config: Config, body: bytes) -> bytes:
    place = urlsplit(config.drive_time_authority)
    try:
        if place.scheme not in ("http", "https") or not place.hostname:
            raise ValueError(place.scheme)
        port = place.port
    except ValueError:
        raise SettingInvalid(
            "drive_time_authority", config.state / "beffroi.toml", "must be an address, https://…"
        ) from None
    line: http.client.HTTPConnection
    if place.scheme == "https":
        line = http.client.HTTPSConnection(
            place.hostname, port, timeout=TIMEOUT_S, context=ssl.create_default_context()
        )
    else:
        line = http.client.HTTPConnection(place.hostname, port, timeout=TIMEOUT_S)
    path = (place.path or "/") + (f"?{place.query}" if place.query else "")
    try:
        with contextlib.closing(line):
            line.connect()
            with _ending(line.sock):
                line.request("POST", path, body, {"Content-Type": "application/timestamp-query"})
                answer = line.getresponse()
                response = answer.read(stamps.RESPONSE_BYTES + 1)
    except (OSError, UnicodeError, http.client.HTTPException) as error:
        raise Unavailable("The time-stamping authority") from error
    if answer.status != 200:
        raise Unavailable("The time-stamping authority")
    return response


@contextlib.contextmanager
def _ending(line: socket.socket) -> Iterator[None]:
    """``line`` ends WHOLE_S after it began: the pause of a socket is counted anew with each byte."""
    end = threading.Timer(WHOLE_S, _cut, (line,))
    end.daemon = True
    end.start()
    try:
        yield
    finally:
        end.cancel()


def _cut(line: socket.socket) -> None:
    with contextlib.suppress(OSError):
        line.shutdown(socket.SHUT_RDWR)
