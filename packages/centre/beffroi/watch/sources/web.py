"""A small HTTPS client for hostile servers: what it was told to ask, nothing else.

Purpose: fetch a source's pages within a deadline and a size, without ever being led elsewhere.
Process: fetch, in a child that may be killed at any moment.
Input:   every byte of the answer; the address is an administrator's.
Rule:    https only, certificates always verified. A redirect is followed within the same host and port; one that
         leads elsewhere is an error that names the place, since whoever takes over a domain must not choose where we
         go. Addresses of private networks are refused unless the setting ``sources_networks`` lists them: an address
         typed on a page must not reach what stands behind the centre. Credentials go to the source's own host only.
Fails:   closed, each failure with its own code.
Source:  RFC 9110, RFC 9112 (9.8: an answer that ends without TLS saying so is not whole).
"""

from __future__ import annotations

import base64
import contextlib
import gzip
import http.client
import io
import ipaddress
import socket
import ssl
import zipfile
import zlib
from dataclasses import dataclass
from typing import IO, Any, cast
from urllib.parse import SplitResult, quote, urljoin, urlsplit

from beffroi.lib import public
from beffroi.watch.sources.errors import (
    AddressInside,
    AddressInvalid,
    ArchiveUnusable,
    Moved,
    NotTrusted,
    Refused,
    TooBig,
    Unreachable,
)
from beffroi.watch.sources.handover import Ask

STEP_TIMEOUT_S = 30.0
MAX_REDIRECTS = 3
_PIECE_BYTES = 64 * 1024
_REDIRECTS = frozenset({301, 302, 303, 307, 308})
AGENT = "Beffroi"
KEY = "{key}"
"""Stands in the query of an address for the source's secret, where its publisher wants it there."""


@dataclass(frozen=True)
class Answer:
    """``body``: without its transfer coding. Empty when ``not_modified``."""

    body: bytes
    etag: str = ""
    last_modified: str = ""
    not_modified: bool = False


def checked(address: str) -> SplitResult:
    """Errors: AddressInvalid."""
    try:
        parts = urlsplit(address)
        port = parts.port
    except ValueError:
        raise AddressInvalid("it cannot be read") from None
    if parts.scheme != "https" or not parts.hostname or "@" in parts.netloc or port == 0:
        raise AddressInvalid(parts.hostname or "no host")
    if any(ord(sign) <= 0x20 or ord(sign) > 0x7E for sign in address):
        raise AddressInvalid("it holds blanks or other signs than ASCII")
    return parts


class Web:
    """Asks one source. ``bytes_left`` counts down over all its pages."""

    def __init__(self, ask: Ask) -> None:
        self._ask = ask
        self._home = checked(ask.address)
        self._context = ssl.create_default_context()
        if ask.authority:
            self._context.load_verify_locations(cadata=ask.authority)
        # Where no size is said, the end of the connection is the end of the list: TLS says it, or it was cut.
        self._context.options &= ~ssl.OP_IGNORE_UNEXPECTED_EOF
        self._networks = [ipaddress.ip_network(text) for text in ask.networks]
        self.bytes_left = ask.max_bytes

    def get(self, address: str, *, accept: str = "*/*", conditional: bool = False) -> Answer:
        """Errors: SourceError of every kind."""
        for _ in range(MAX_REDIRECTS + 1):
            parts = checked(address)
            if (parts.hostname, parts.port or 443) != (self._home.hostname, self._home.port or 443):
                raise Moved(parts.hostname)
            answer = self._once(parts, accept=accept, conditional=conditional)
            if isinstance(answer, Answer):
                return answer
            address = _led_to(address, answer)
        raise Refused("with too many redirects")

    def _once(self, parts: SplitResult, *, accept: str, conditional: bool) -> Answer | str:
        """One request; the address where a redirect leads, as it was sent."""
        host = parts.hostname or ""
        connection = self._connection(host, parts.port or 443)
        query = parts.query.replace(KEY, quote(self._ask.secret, safe=""))
        target = (parts.path or "/") + (f"?{query}" if query else "")
        try:
            with contextlib.closing(connection):
                connection.connect()
                cast("Any", connection.sock).suppress_ragged_eofs = False
                connection.request("GET", target, headers=self._headers(accept, conditional=conditional))
                response = connection.getresponse()
                if response.status in _REDIRECTS:
                    return response.getheader("Location", "")
                if response.status == 304 and conditional:
                    return Answer(b"", not_modified=True)
                if response.status != 200:
                    raise Refused(response.status)
                body = self._body(response)
                return Answer(
                    body,
                    (response.getheader("ETag") or "")[:200],
                    (response.getheader("Last-Modified") or "")[:100],
                )
        except ssl.SSLCertVerificationError:
            raise NotTrusted(host) from None
        except TimeoutError:
            raise Unreachable(f"no answer for {STEP_TIMEOUT_S:.0f} seconds") from None
        except (OSError, http.client.HTTPException) as error:
            raise Unreachable(_why(error)) from None

    def _connection(self, host: str, port: int) -> http.client.HTTPSConnection:
        if self._ask.proxy:
            proxy = urlsplit(self._ask.proxy)
            through = _ThroughProxy(proxy.hostname or "", proxy.port or 3128, self._context)
            through.set_tunnel(host, port)
            return through
        return _Direct(host, port, self._context, self._addresses(host, port))

    def _addresses(self, host: str, port: int) -> list[str]:
        """The host's addresses, all of which may be asked. Errors: Unreachable, AddressInside."""
        try:
            found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
        except (OSError, UnicodeError):
            raise Unreachable("the name is not known") from None
        addresses = list(dict.fromkeys(str(entry[4][0]) for entry in found))
        for text in addresses:
            address = public.reached(text)
            if not public.is_public(address) and not any(address in network for network in self._networks):
                raise AddressInside(host)
        return addresses

    def _headers(self, accept: str, *, conditional: bool) -> dict[str, str]:
        ask = self._ask
        headers = {"User-Agent": AGENT, "Accept": accept, "Accept-Encoding": "gzip", "Connection": "close"}
        if KEY in self._home.query:
            pass  # it is in the address
        elif ask.secret and ask.account:
            pair = base64.b64encode(f"{ask.account}:{ask.secret}".encode()).decode()
            headers["Authorization"] = f"Basic {pair}"
        elif ask.secret:
            headers["Authorization"] = f"Bearer {ask.secret}"
        if conditional and ask.etag:
            headers["If-None-Match"] = ask.etag
        if conditional and ask.last_modified:
            headers["If-Modified-Since"] = ask.last_modified
        return headers

    def _body(self, response: http.client.HTTPResponse) -> bytes:
        coding = (response.getheader("Content-Encoding") or "identity").lower()
        if coding not in ("identity", "gzip"):
            raise Unreachable("the transfer coding was not asked for")
        packed = bytearray()
        while piece := response.read(_PIECE_BYTES):
            packed += piece
            if len(packed) > self.bytes_left:
                raise TooBig(_megabytes(self._ask.max_bytes))
        if response.length:  # the connection ended before the announced size
            raise Unreachable("the answer was cut off")
        body = gunzip(bytes(packed), self.bytes_left) if coding == "gzip" else bytes(packed)
        self.bytes_left -= len(body)
        return body


class _Direct(http.client.HTTPSConnection):
    """Connects to addresses that were checked: the name is not asked again, so it cannot answer differently."""

    def __init__(self, host: str, port: int, context: ssl.SSLContext, addresses: list[str]) -> None:
        super().__init__(host, port, timeout=STEP_TIMEOUT_S, context=context)
        self._tls = context
        self._addresses = addresses

    def connect(self) -> None:
        failure: OSError = OSError("no address")
        for address in self._addresses:
            try:
                plain = socket.create_connection((address, self.port), timeout=STEP_TIMEOUT_S)
            except OSError as error:
                failure = error
                continue
            self.sock = self._tls.wrap_socket(plain, server_hostname=self.host)
            return
        raise failure


class _ThroughProxy(http.client.HTTPSConnection):
    """By CONNECT: the proxy sees the host's name, never what is asked. It resolves the name."""

    def __init__(self, host: str, port: int, context: ssl.SSLContext) -> None:
        super().__init__(host, port, timeout=STEP_TIMEOUT_S, context=context)


def _led_to(address: str, location: str) -> str:
    """Where a redirect leads. Errors: Moved."""
    try:
        led = urljoin(address, location)
        parts = urlsplit(led)
    except ValueError:
        raise Moved("an address that cannot be read") from None
    if parts.scheme != "https":
        raise Moved(parts.hostname or "another kind of address")
    return led


def unpacked(data: bytes, limit_bytes: int) -> bytes:
    """Open a file that is itself gzip or zip (one file in it); anything else is returned as it is.

    Errors: TooBig, ArchiveUnusable.
    """
    if data[:2] == b"\x1f\x8b":
        return gunzip(data, limit_bytes)
    if data[:4] != b"PK\x03\x04":
        return data
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            entries = [entry for entry in archive.infolist() if not entry.is_dir()]
            if len(entries) != 1:
                raise ArchiveUnusable(f"it holds {len(entries)} files instead of one")
            with archive.open(entries[0]) as file:
                return _bounded(file, limit_bytes)
    except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError, OSError, ValueError):
        raise ArchiveUnusable("it is damaged, or locked") from None


def gunzip(data: bytes, limit_bytes: int) -> bytes:
    """Errors: TooBig, ArchiveUnusable."""
    try:
        with gzip.GzipFile(fileobj=io.BytesIO(data)) as file:
            return _bounded(file, limit_bytes)
    except (zlib.error, EOFError, OSError):
        raise ArchiveUnusable("it is damaged") from None


def _bounded(file: IO[bytes] | gzip.GzipFile, limit_bytes: int) -> bytes:
    # The sizes that an archive claims are its author's: only what comes out counts.
    out = bytearray()
    while piece := file.read(_PIECE_BYTES):
        out += piece
        if len(out) > limit_bytes:
            raise TooBig(_megabytes(limit_bytes))
    return bytes(out)


def _megabytes(size_bytes: int) -> str:
    return f"{max(1, size_bytes // (1024 * 1024))} MiB"


def _why(error: Exception) -> str:
    if isinstance(error, http.client.HTTPException | ssl.SSLEOFError):
        return "the answer is not HTTP, or was cut off"
    if isinstance(error, ssl.SSLError):
        return "TLS failed"
    return (error.strerror if isinstance(error, OSError) else "") or "the connection failed"
