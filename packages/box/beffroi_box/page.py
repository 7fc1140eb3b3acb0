"""The box's own page: first boot, state, and what a person sees instead of a blocked site. HTTP for the LAN.

Process: an unprivileged user of its own; knows nothing but what the agent's socket says (``local.py``).
Input:   anybody in the LAN, and whatever a browser sends to a blocked address: hostile. A request has 8 KiB and 5 s as
         a whole, a machine four connections, the page 24; one request a connection. The packet rules let nobody in
         from the internet. What it says of the box, it says at an address, never at a name: a foreign site whose name
         leads here (DNS rebinding) reads nothing. A code is taken only from the page itself (Origin).
Fails:   without the agent it says so; blocks do not depend on it.
Source:  RFC 9110, 9112; linux/netfilter_ipv4.h (SO_ORIGINAL_DST).
"""

from __future__ import annotations

import ipaddress
import logging
import socket
import struct
import threading
import time
from collections import Counter
from dataclasses import dataclass, field
from http import HTTPStatus
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

from beffroi_box.local import Answer, AskBlock, AskEnrol, AskState, AskToken, Request, State, ask
from beffroi_box.pagehtml import POLICY, blocked_page, first_boot_page, note_page, state_page
from beffroi_box.pagerules import PAGE_ADDRESS
from beffroi_box.pagewords import language_of

log = logging.getLogger("beffroi_box.page")

MAX_REQUEST_BYTES = 8192
DEADLINE_S = 5.0
MAX_CONNECTIONS, MAX_OF_ONE = 24, 4
SO_ORIGINAL_DST = 80


class Refused(Exception):
    """This request is not answered with a page."""

    def __init__(self, status: int) -> None:
        super().__init__(status)
        self.status = status


@dataclass
class Asked:
    """One request. ``dialled``: the address that the client meant, before the packet rules sent it here."""

    method: str
    path: str
    query: dict[str, str]
    headers: dict[str, str]
    body: bytes
    dialled: str
    local: str
    peer: str = ""

    @property
    def host(self) -> str:
        """As the browser names it, in lower case and without a port; "" when it is no host."""
        name = self.headers.get("host", "").lower()
        name = name[1:].partition("]")[0] if name.startswith("[") else name.partition(":")[0]
        sound = all(c.isalnum() or c in "-._:" for c in name)
        return name if sound and name.isascii() and len(name) <= 253 else ""

    @property
    def own(self) -> bool:
        return self.dialled in (self.local, PAGE_ADDRESS)

    @property
    def by_address(self) -> bool:
        """The browser has the page of an address: to a site whose name leads here it would give what it reads."""
        try:
            ipaddress.ip_address(self.host)
        except ValueError:
            return False
        return True

    @property
    def from_page(self) -> bool:
        """A post by this very page."""
        return self.headers.get("origin", "").lower() == "http://" + self.headers.get("host", "").lower()


@dataclass
class Reply:
    status: int
    html: str = ""
    headers: dict[str, str] = field(default_factory=dict)


def reply_to(asked: Asked, agent: Path) -> Reply:
    """What a browser of the LAN gets. ``agent``: the agent's socket. Errors: Refused (the method)."""
    language = language_of(asked.headers.get("accept-language", ""), asked.query.get("lang", ""))
    if asked.method not in ("GET", "HEAD", "POST"):
        raise Refused(405)
    if asked.own and not asked.by_address:
        return Reply(421, note_page(language, "by_name"))
    if asked.path == "/debloquer":
        return _lift(language, asked, agent)
    if not asked.own:
        return _blocked(language, asked, agent)
    if asked.path != "/":
        return Reply(404, note_page(language, "not_found"))
    if asked.method == "POST":
        return _enrol(language, asked, agent)
    state = _ask(agent, AskState(asked.peer)).state
    if state is None:
        return Reply(503, state_page(language, State("", "", "", enrolled=True, trouble="agent")))
    return Reply(200, state_page(language, state) if state.enrolled else first_boot_page(language, state))


def _blocked(language: str, asked: Asked, agent: Path) -> Reply:
    answer = _ask(agent, AskBlock(asked.dialled))
    shown = asked.host or asked.dialled
    if shown != asked.dialled:
        shown = f"{shown} ({asked.dialled})"
    if answer.error == "agent":
        return Reply(503, note_page(language, "weather_agent"))
    if answer.block is None:
        # Lifted between the first packet and now.
        return Reply(200, blocked_page(language, asked.host or asked.dialled, None))
    return Reply(403, blocked_page(language, shown, answer.block))


def _lift(language: str, asked: Asked, agent: Path) -> Reply:
    """Send the person to the portal, with the box's word on what is blocked."""
    answer = _ask(agent, AskToken(asked.query.get("quoi", "")[:253]))
    if not answer.link:
        return Reply(404, note_page(language, "weather_agent" if answer.error == "agent" else "lift_never"))
    return Reply(303, "", {"Location": answer.link})


def _enrol(language: str, asked: Asked, agent: Path) -> Reply:
    if not asked.from_page:
        return Reply(403, note_page(language, "wrong_door"))
    form = _fields(asked.body.decode("utf-8", "replace"))
    code, centre = form.get("code", "")[:60], form.get("centre", "")[:200]
    error = _ask(agent, AskEnrol(code, centre)).error
    if not error:
        return Reply(303, "", {"Location": f"/?lang={language}"})
    state = _ask(agent, AskState()).state
    if state is None or state.enrolled:
        return Reply(303, "", {"Location": "/"})
    return Reply(200, first_boot_page(language, state, error=error, code=code, centre=centre))


def _ask(agent: Path, request: Request) -> Answer:
    try:
        return ask(agent, request)
    except (OSError, ValueError):
        return Answer(error="agent")


def _fields(text: str) -> dict[str, str]:
    try:
        return {name: values[0] for name, values in parse_qs(text, max_num_fields=10).items()}
    except ValueError:
        return {}


# -- one connection ------------------------------------------------------------------------------------------


def read_request(peer: socket.socket) -> Asked:
    """Errors: Refused, OSError."""
    end = time.monotonic() + DEADLINE_S
    data = b""
    while b"\r\n\r\n" not in data:
        data += _more(peer, end, len(data))
    head, _, body = data.partition(b"\r\n\r\n")
    try:
        first, *lines = head.decode("latin-1").split("\r\n")
        method, target, version = first.split(" ")
        headers = {}
        for line in lines:
            name, colon, value = line.partition(":")
            if not colon or not name or name != name.strip() or name.lower() in headers:
                raise Refused(400)
            headers[name.lower()] = value.strip()
        parts = urlsplit(target)
    except ValueError:
        raise Refused(400) from None
    if version not in ("HTTP/1.1", "HTTP/1.0") or "transfer-encoding" in headers:
        raise Refused(400)
    length = headers.get("content-length", "0")
    if not (length.isascii() and length.isdigit()):
        raise Refused(400)
    if len(length) > 5 or len(head) + int(length) > MAX_REQUEST_BYTES:
        raise Refused(413)
    while len(body) < int(length):
        body += _more(peer, end, len(head) + len(body))
    dialled, local = _dialled(peer)
    query = _fields(parts.query)
    source = str(peer.getpeername()[0]).partition("%")[0]
    return Asked(method, parts.path or "/", query, headers, body[: int(length)], dialled, local, source)


def _more(peer: socket.socket, end: float, have: int) -> bytes:
    left = end - time.monotonic()
    if left <= 0:
        raise Refused(408)
    if have >= MAX_REQUEST_BYTES:
        raise Refused(413)
    peer.settimeout(left)
    try:
        piece = peer.recv(MAX_REQUEST_BYTES - have)
    except TimeoutError:
        raise Refused(408) from None
    if not piece:
        raise Refused(400)
    return piece


def _dialled(peer: socket.socket) -> tuple[str, str]:
    """Return the address that the client meant, and the one that it reached."""
    local = str(peer.getsockname()[0]).partition("%")[0]
    try:
        if peer.family == socket.AF_INET:
            raw = peer.getsockopt(socket.SOL_IP, SO_ORIGINAL_DST, 16)
            return socket.inet_ntoa(struct.unpack_from("4s", raw, 4)[0]), local
        raw = peer.getsockopt(socket.IPPROTO_IPV6, SO_ORIGINAL_DST, 28)
        return str(ipaddress.IPv6Address(raw[8:24])), local
    except OSError:
        return local, local  # the kernel holds no redirected flow


def _write(peer: socket.socket, reply: Reply, *, head_only: bool) -> None:
    body = reply.html.encode()
    headers = {
        "Content-Type": "text/html; charset=utf-8",
        "Content-Length": str(len(body)),
        "Content-Security-Policy": POLICY,
        "Cache-Control": "no-store",
        "Referrer-Policy": "same-origin",  # with none, a browser posts its form with the origin "null"
        "X-Content-Type-Options": "nosniff",
        "Connection": "close",
        **reply.headers,
    }
    lines = [
        f"HTTP/1.1 {reply.status} {HTTPStatus(reply.status).phrase}",
        *(f"{k}: {v}" for k, v in headers.items()),
    ]
    peer.settimeout(DEADLINE_S)
    peer.sendall("\r\n".join(lines).encode("latin-1", "replace") + b"\r\n\r\n" + (b"" if head_only else body))


class PageServer:
    def __init__(self, agent: Path) -> None:
        self._agent = agent
        self._lock = threading.Lock()
        self._open: Counter[str] = Counter()

    def serve(self, listener: socket.socket) -> None:
        """Never returns, but by an error of the listener."""
        while True:
            try:
                peer, address = listener.accept()
            except ConnectionAbortedError:
                continue
            source = str(address[0])
            with self._lock:
                full = self._open.total() >= MAX_CONNECTIONS or self._open[source] >= MAX_OF_ONE
                if not full:
                    self._open[source] += 1
            if full:
                peer.close()
                continue
            threading.Thread(target=self._serve_one, args=(peer, source), daemon=True).start()

    def _serve_one(self, peer: socket.socket, source: str) -> None:
        try:
            with peer:
                self.answer(peer)
        except OSError:
            pass
        except Exception as error:  # noqa: BLE001 - one bad request must not end the page
            log.error("a request failed: %s", type(error).__name__)
        finally:
            with self._lock:
                self._open[source] -= 1
                self._open += Counter()  # forget who has none

    def answer(self, peer: socket.socket) -> None:
        head_only = False
        try:
            asked = read_request(peer)
            head_only = asked.method == "HEAD"
            reply = reply_to(asked, self._agent)
        except Refused as refused:
            reply = Reply(refused.status)
        _write(peer, reply, head_only=head_only)
        # A client that still sends would turn the answer into a reset.
        peer.shutdown(socket.SHUT_WR)
        peer.settimeout(0.5)
        peer.recv(1)


def serve_page(agent: Path, port: int) -> None:
    """Errors: OSError (the port is taken)."""
    server = PageServer(agent)
    listeners = []
    for family, address in ((socket.AF_INET, "0.0.0.0"), (socket.AF_INET6, "::")):  # noqa: S104 - the rules say who
        one = socket.socket(family, socket.SOCK_STREAM)
        one.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            one.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        one.bind((address, port))
        one.listen(64)
        listeners.append(one)
    for one in listeners[1:]:
        threading.Thread(target=server.serve, args=(one,), daemon=True).start()
    log.info("the page is on port %d", port)
    server.serve(listeners[0])
