"""The box's HTTPS client: pins the centre's authority and signs each request.

Purpose: reach the centre from a box that may have no DNS and a wrong clock.
Trust:   TLS hides the traffic; what is believed is signed by the pinned root (feed) or by the box (requests).
         Dates in certificates are not checked (``authority``).
Input:   answers are hostile until their signature is verified; sizes are bounded.
"""

from __future__ import annotations

import http.client
import select
import socket
import ssl
import threading
import time
import zlib
from collections.abc import Callable
from functools import partial
from typing import Any

import msgspec
from beffroi_protocol.errors import UNDECODABLE
from beffroi_protocol.messages import MAX_POST_BYTES, Problem
from beffroi_protocol.requests import NONCE_HEADER, sign_request
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from beffroi_box import AGENT_VERSION
from beffroi_box.authority import authority, verifying_context
from beffroi_box.config import BoxConfig
from beffroi_box.errors import CentreRefused, CentreUnreachable

CONNECT_TIMEOUT_S = 5.0
ANSWER_TIMEOUT_S = 20.0
SAY_TIMEOUT_S = 5.0
NONCE_LIFE_S = 45.0  # less than the centre's 60 s
DNS_WAIT_S, DNS_FRESH_S = 2.0, 20.0
WORTH_DEFLATING_BYTES = 1024
MOST_REMEMBERED = 4
_OK, _PARTIAL = 200, 206
_NETWORK_ERRORS = (OSError, http.client.HTTPException, ssl.SSLError)


class _Tls(ssl.SSLSocket):
    """Once shared, one thread reads while others write.

    OpenSSL's state of a connection is for one at a time, and some versions of Python 3.13 hold their lock while a read
    waits, or have none. Here no one waits with the state in hand. Errors: TimeoutError, OSError.
    """

    _state: threading.Lock | None = None
    _writing: threading.Lock
    _read_limit_s = ANSWER_TIMEOUT_S

    def share(self, read_timeout_s: float) -> None:
        self._read_limit_s = read_timeout_s
        self.settimeout(0)
        self._state, self._writing = threading.Lock(), threading.Lock()

    def recv_into(self, buffer: Any, nbytes: int | None = None, flags: int = 0) -> int:
        if self._state is None:
            return super().recv_into(buffer, nbytes, flags)
        return self._done(lambda: ssl.SSLSocket.recv_into(self, buffer, nbytes, flags), self._read_limit_s)

    def say(self, data: bytes) -> None:
        """Write all of ``data``; on an error the connection is of no more use."""
        with self._writing:
            while data:
                data = data[self._done(partial(self.send, data), SAY_TIMEOUT_S) :]

    def _done(self, step: Callable[[], int], limit_s: float) -> int:
        assert self._state is not None
        until = time.monotonic() + limit_s
        while True:
            with self._state:
                try:
                    return step()
                except ssl.SSLWantReadError:
                    wanted = select.POLLIN
                except ssl.SSLWantWriteError:
                    wanted = select.POLLOUT
                descriptor = self.fileno()
            poll = select.poll()
            poll.register(descriptor, wanted)
            if not poll.poll(max(0.0, until - time.monotonic()) * 1000):
                raise TimeoutError("timed out")


class _Connection(http.client.HTTPSConnection):
    """Connects to known addresses, and checks the certificate against the centre's name."""

    def __init__(
        self,
        config: BoxConfig,
        context: ssl.SSLContext,
        addresses: tuple[str, ...],
        proved: Callable[[str], None],
    ) -> None:
        super().__init__(config.centre_host, config.centre_port, timeout=CONNECT_TIMEOUT_S, context=context)
        self._addresses = addresses
        self._tls = context
        self._proved = proved
        self.peer = ""

    def connect(self) -> None:
        """To the first address that answers and proves itself; ``peer`` names it. Errors: OSError, of the last one."""
        failure: OSError = OSError("no address of the centre is known")
        for address in self._addresses:
            try:
                raw = socket.create_connection((address, self.port), timeout=CONNECT_TIMEOUT_S)
            except OSError as error:
                failure = error
                continue
            raw.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            try:
                self.sock = self._tls.wrap_socket(raw, server_hostname=self.host)
            except OSError as error:
                raw.close()
                failure = error
                continue
            self.peer = address
            self._proved(address)
            return
        raise failure


class _Names:
    """The centre's addresses in DNS. A resolver that does not answer costs ``DNS_WAIT_S`` once in a while, not the
    system's own half a minute at each connection: the answer of before counts in the meantime."""

    def __init__(self, host: str) -> None:
        self._host = host
        self._lock = threading.Lock()
        self._asking: threading.Thread | None = None
        self._asked_at = float("-inf")
        self._found: tuple[str, ...] = ()

    def addresses(self) -> tuple[str, ...]:
        with self._lock:
            idle = self._asking is None or not self._asking.is_alive()
            if idle and time.monotonic() - self._asked_at > DNS_FRESH_S:
                self._asked_at = time.monotonic()
                self._asking = threading.Thread(target=self._ask, name="names", daemon=True)
                self._asking.start()
                self._asking.join(DNS_WAIT_S)
        return self._found

    def _ask(self) -> None:
        try:
            infos = socket.getaddrinfo(self._host, None, type=socket.SOCK_STREAM)
        except OSError:
            return
        self._found = tuple(str(info[4][0]) for info in infos)


class Centre:
    """Addresses and connections. ``remembered`` are addresses that answered earlier, for a start without DNS."""

    def __init__(self, config: BoxConfig, remembered: tuple[str, ...] = ()) -> None:
        self._config = config
        self._context: ssl.SSLContext | None = None
        self._remembered = remembered
        self._names = _Names(config.centre_host)

    def addresses(self) -> tuple[str, ...]:
        """Configured ones, then DNS, then remembered ones."""
        found = (*self._config.centre_addresses, *self._names.addresses(), *self._remembered)
        return tuple(dict.fromkeys(found))

    def proved(self) -> tuple[str, ...]:
        """Configured ones and those that showed its certificate; before the first one did, all: whoever forges the
        answers of DNS must not choose what a box never blocks."""
        return tuple(dict.fromkeys((*self._config.centre_addresses, *self._remembered))) or self.addresses()

    def open(self) -> _Connection:
        """Errors: CentreUnreachable (its authority cannot be read)."""
        if self._context is None:
            context = verifying_context(authority(self._config))
            context.sslsocket_class = _Tls
            self._context = context
        return _Connection(self._config, self._context, self.addresses(), self._remember)

    def _remember(self, address: str) -> None:
        if address not in self._remembered:
            self._remembered = (address, *self._remembered)[:MOST_REMEMBERED]

    def reached(self) -> bool:
        """One fresh connection and one answer: the proof of reach."""
        try:
            connection = self.open()
        except CentreUnreachable:
            return False
        try:
            connection.request("GET", "/v1/nonce", headers=_agent())
            answer = connection.getresponse()
            answer.read(4096)
        except _NETWORK_ERRORS:
            return False
        finally:
            connection.close()
        return answer.status == _OK

    def post_unsigned(self, path: str, body: bytes) -> bytes:
        """Errors: CentreUnreachable, CentreRefused."""
        connection = self.open()
        try:
            connection.request("POST", path, body, {**_agent(), "Content-Type": "application/json"})
            return _checked(connection.getresponse())
        except _NETWORK_ERRORS as error:
            raise CentreUnreachable(_why(error)) from None
        finally:
            connection.close()


class SignedSession:
    """Signed requests over one kept connection; opened again when it broke."""

    def __init__(self, centre: Centre, box_id: Callable[[], str], key: Ed25519PrivateKey) -> None:
        self._centre = centre
        self._box_id = box_id
        self._key = key
        self._connection: _Connection | None = None
        self._requested: _Tls | None = None
        self._held: _Tls | None = None
        self._nonce = ""
        self._nonce_at = 0.0
        self._deflate = False
        self._lock = threading.Lock()

    @property
    def peer(self) -> str:
        return self._connection.peer if self._connection else ""

    def open_feed(self, path: str, *, read_timeout_s: float) -> http.client.HTTPResponse:
        """Return an open response whose lines are read as they come; the request stays open for ``say``.

        Errors: as ``post``.
        """
        with self._lock:
            answer = self._retried("POST", path, None, read_timeout_s)
            self._held = self._requested
            assert self._held is not None
            self._held.share(read_timeout_s)
            return answer

    def say(self, line: bytes) -> None:
        """Send one line on the open feed. Errors: CentreUnreachable; then that feed has ended too."""
        held = self._held
        if held is None:
            raise CentreUnreachable("no open feed")
        try:
            held.say(b"%x\r\n%s\n\r\n" % (len(line) + 1, line))
        except OSError as error:
            self.interrupt()
            raise CentreUnreachable(_why(error)) from None

    def get_file(self, sha256: str, *, start: int) -> http.client.HTTPResponse:
        """Return an open response with a file's compressed bytes: from ``start`` on when its status is 206.

        Whoever reads it to its end may ask again; else ``close``. Errors: as ``post``.
        """
        with self._lock:
            more = {"Range": f"bytes={start}-"} if start else {}
            return self._retried("GET", f"/v1/files/{sha256}", b"", ANSWER_TIMEOUT_S, more)

    def post(self, path: str, body: bytes) -> bytes:
        """Errors: CentreUnreachable, CentreRefused."""
        with self._lock:
            return _checked(self._retried("POST", path, body, ANSWER_TIMEOUT_S))

    def close(self) -> None:
        self._held = None
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def interrupt(self) -> None:
        """Wake a thread that waits in a read."""
        sock = self._held or (self._connection.sock if self._connection else None)
        if sock is not None:
            try:
                sock.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass

    def _retried(
        self, method: str, path: str, body: bytes | None, timeout_s: float, more: dict[str, str] | None = None
    ) -> http.client.HTTPResponse:
        """A kept connection may have been closed, a nonce may be stale: each is worth one new attempt. ``body`` None:
        it begins after the answer, and a refusal leaves the connection of no use."""
        for attempt in (1, 2, 3):
            try:
                answer = self._once(method, path, body, timeout_s, more or {})
            except _NETWORK_ERRORS as error:
                self.close()
                self._nonce = ""
                if attempt == 1:
                    continue
                raise CentreUnreachable(_why(error)) from None
            self._keep_nonce(answer)
            if answer.status in (_OK, _PARTIAL):
                return answer
            refusal = _refusal(answer)
            if body is None:
                self.close()
            if refusal.problem == "request.nonce_refused" and attempt < 3:
                self._nonce = ""
                continue
            raise refusal
        raise CentreUnreachable("no usable nonce")

    def _once(
        self, method: str, path: str, body: bytes | None, timeout_s: float, more: dict[str, str]
    ) -> http.client.HTTPResponse:
        if self._connection is None:
            self._connection = self._centre.open()
        connection = self._connection
        if not self._nonce or time.monotonic() - self._nonce_at > NONCE_LIFE_S:
            connection.request("GET", "/v1/nonce", headers=_agent())
            first = connection.getresponse()
            first.read(4096)
            self._keep_nonce(first)
        nonce, self._nonce = self._nonce, ""
        if self._deflate and body is not None and len(body) >= WORTH_DEFLATING_BYTES:
            body, more = zlib.compress(body), {**more, "Content-Encoding": "deflate"}
        headers = sign_request(
            self._key, box_id=self._box_id(), method=method, path=path, nonce=nonce, body=body or b""
        )
        if body:
            headers["Content-Type"] = "application/json"
        if body is None:
            more = {**more, "Transfer-Encoding": "chunked"}
            connection.putrequest(method, path)
            for name, value in {**_agent(), **headers, **more}.items():
                connection.putheader(name, value)
            connection.endheaders()
        else:
            connection.request(method, path, body or None, {**_agent(), **headers, **more})
        assert isinstance(connection.sock, _Tls)
        self._requested = connection.sock
        self._requested.settimeout(timeout_s)
        return connection.getresponse()

    def _keep_nonce(self, answer: http.client.HTTPResponse) -> None:
        """And what the centre takes: one that says nothing gets plain bodies."""
        self._deflate = answer.getheader("Accept-Encoding", "") == "deflate"
        if nonce := answer.getheader(NONCE_HEADER):
            self._nonce, self._nonce_at = nonce[:200], time.monotonic()


def _agent() -> dict[str, str]:
    return {"User-Agent": f"beffroi-box/{AGENT_VERSION}"}


def _checked(answer: http.client.HTTPResponse) -> bytes:
    if answer.status != _OK:
        raise _refusal(answer)
    body = answer.read(MAX_POST_BYTES + 1)
    if len(body) > MAX_POST_BYTES:
        raise CentreUnreachable("answer too long")
    return body


def _refusal(answer: http.client.HTTPResponse) -> CentreRefused:
    body = answer.read(65536)
    try:
        problem = msgspec.json.decode(body, type=Problem).code[:60]
    except UNDECODABLE:
        problem = "no reason given"
    return CentreRefused(answer.status, problem)


def _why(error: BaseException) -> str:
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"its certificate does not fit the pinned authority ({error.verify_message})"
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    return type(error).__name__
