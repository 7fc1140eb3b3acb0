"""Hands in a namespace: one process that connects, looks up, sends and reads there, on request.

Purpose: every proof of a scenario is a real connection from the right place. `python -m beffroi_lab.hands` reads
         one JSON request a line on stdin ({"id", "do", ...}) and writes one JSON answer a line; requests run
         side by side in threads. ``Hands`` is the other end, in the laboratory's own process.
Process: in a namespace of the scenario; no privilege used.
Fails:   an exception of the network is an answer ("error"), as it is what the proof is about.
Source:  docs/internals/lab.md.
"""

from __future__ import annotations

import base64
import hashlib
import imaplib
import json
import re
import smtplib
import socket
import ssl
import sys
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from http.client import HTTPException, HTTPSConnection
from typing import Any
from urllib.parse import urlencode

import dns.exception
import dns.message
import dns.query
import dns.rcode
import dns.rdatatype

from beffroi_lab import traffic

Answer = dict[str, Any]
_SIDE_BY_SIDE, _PENALTY_S = 12, 25.0
_held: dict[str, socket.socket] = {}
SIGN_IN = "/connexion/"
_GET = b"GET / HTTP/1.1\r\nHost: landing\r\n\r\n"


def tcp(address: str, port: int, timeout_s: float = 1.5, source: str = "") -> Answer:
    """Try one TCP connection."""
    start = time.monotonic()
    try:
        with _connect(address, port, timeout_s, source):
            return {"ok": True, "ms": _ms(start)}
    except OSError as error:
        return {"ok": False, "error": _reason(error), "ms": _ms(start)}


def hold(key: str, address: str, port: int) -> Answer:
    """Open a connection and keep it, with one request answered on it."""
    try:
        held = _connect(address, port, 2, "")
        _held[key] = held
        return {"ok": _exchange(held)}
    except OSError as error:
        return {"ok": False, "error": _reason(error)}


def poke(key: str) -> Answer:
    """Ask again over a held connection: an established flow must be cut as well."""
    held = _held[key]
    held.settimeout(1.5)
    try:
        return {"ok": _exchange(held)}
    except OSError as error:
        return {"ok": False, "error": _reason(error)}


def until(
    address: str,
    port: int,
    open_: bool,
    limit_s: float,
    *,
    witness: str = "",
    source: str = "",
    witness_source: str = "",
) -> Answer:
    """Connect again and again until it works (or does not); ``at_ms`` is the epoch time of the first such.

    A refusal counts only while ``witness`` (an address) opens: a cut line is no refusal.
    """
    deadline = time.monotonic() + limit_s
    while time.monotonic() < deadline:
        began_ms = int(time.time() * 1000)
        seen = tcp(address, port, timeout_s=0.25, source=source)["ok"] is open_
        if seen and (open_ or not witness or tcp(witness, port, source=witness_source)["ok"]):
            return {"ok": True, "at_ms": began_ms}
        time.sleep(0.01)
    return {"ok": False, "error": f"not within {limit_s} s"}


def lookup(server: str, name: str, kind: str = "A") -> Answer:
    """Ask one server for one name."""
    try:
        query = dns.message.make_query(name, dns.rdatatype.from_text(kind))
        reply = dns.query.udp(query, server, timeout=2)
    except (dns.exception.DNSException, OSError) as error:
        return {"ok": False, "error": _reason(error), "answers": []}
    found = [str(r) for rrset in reply.answer for r in rrset if r.rdtype == dns.rdatatype.from_text(kind)]
    return {"ok": bool(found), "rcode": dns.rcode.to_text(reply.rcode()), "answers": found}


def smtp(
    *,
    host: str,
    port: int,
    source: str,
    helo: str,
    mail_from: str,
    recipient: str,
    data: str,
    timeout_s: float = 30,
) -> Answer:
    """Send one message and return the server's last word and where it fell."""
    try:
        with smtplib.SMTP(host, port, helo, timeout_s, (source, 0)) as session:
            return _send(session, mail_from, recipient, base64.b64decode(data))
    except smtplib.SMTPConnectError as error:
        return {"ok": False, "code": error.smtp_code, "text": _text(error.smtp_error), "stage": "connect"}
    except (smtplib.SMTPException, OSError) as error:
        return {"ok": False, "code": 0, "text": _reason(error), "stage": "connect"}


def _send(session: smtplib.SMTP, mail_from: str, recipient: str, data: bytes) -> Answer:
    session.ehlo_or_helo_if_needed()
    stages: list[tuple[str, Callable[[], tuple[int, bytes]]]] = [
        ("mail", lambda: session.mail(mail_from, ["BODY=8BITMIME"] if session.has_extn("8bitmime") else [])),
        ("rcpt", lambda: session.rcpt(recipient)),
        ("data", lambda: session.data(data)),
    ]
    code, text = 0, b""
    for stage, step in stages:
        try:
            code, text = step()
        except smtplib.SMTPDataError as error:
            code, raw = error.smtp_code, error.smtp_error
            text = raw if isinstance(raw, bytes) else raw.encode()
        if not 200 <= code < 400:
            return {"ok": False, "code": code, "text": _text(text), "stage": stage}
    return {"ok": True, "code": code, "text": _text(text), "stage": "data"}


def imap_login(
    *, host: str, port: int, user: str, password: str, source: str = "", timeout_s: float = 10
) -> Answer:
    """Try to sign in over TLS; ``answer`` is the server's word."""
    try:
        with _imap(host, port, source, timeout_s) as session:
            session.login(user, password)
            return {"ok": True}
    except (imaplib.IMAP4.error, OSError) as error:
        return {"ok": False, "error": _reason(error)}


def imap_find(*, host: str, port: int, user: str, password: str, message_ids: list[str]) -> Answer:
    """Return {"folders": {folder: [message ids found]}, "listed": [folders]} over every folder that is shown."""
    try:
        with _imap(host, port, "", 15) as session:
            session.login(user, password)
            _, lines = session.list()
            listed = [name for line in lines if isinstance(line, bytes) and (name := _folder(line))]
            found: dict[str, list[str]] = {}
            for folder in listed:
                status, _ = session.select(f'"{folder}"', readonly=True)
                if status != "OK":
                    continue
                hits = [m for m in message_ids if _search(session, m)]
                if hits:
                    found[folder] = hits
            return {"ok": True, "folders": found, "listed": listed}
    except (imaplib.IMAP4.error, OSError) as error:
        return {"ok": False, "error": _reason(error), "folders": {}, "listed": []}


def https(
    *,
    host: str,
    address: str,
    port: int,
    method: str,
    path: str,
    source: str = "",
    body: str = "",
    body64: str = "",
    headers: dict[str, str] | None = None,
    timeout_s: float = 8,
) -> Answer:
    """One HTTPS request to ``address`` under the name ``host``; the certificate is proved elsewhere.

    ``body64``: a body of any bytes, in base64. ``sha256``: of the answer's, as far as it was read.
    """
    context = ssl._create_unverified_context()
    connection = HTTPSConnection(host, port, timeout=timeout_s, context=context)
    try:
        connection.sock = context.wrap_socket(
            _connect(address, port, timeout_s, source), server_hostname=host
        )
        connection.request(method, path, base64.b64decode(body64) or body.encode() or None, headers or {})
        reply = connection.getresponse()
        data = reply.read(400_000)
        cookies = [value for name, value in reply.getheaders() if name.lower() == "set-cookie"]
        return {
            "ok": True,
            "status": reply.status,
            "text": data.decode("utf-8", "replace"),
            "sha256": hashlib.sha256(data).hexdigest(),
            "cookies": cookies,
            "location": reply.getheader("Location", ""),
        }
    except (OSError, HTTPException) as error:
        return {"ok": False, "error": _reason(error), "status": 0, "text": "", "cookies": []}
    finally:
        connection.close()


def until_shut(limit_s: float, imap: Answer, portal: Answer) -> Answer:
    """Try both doors of sign-in until each refuses: ``imap_at_ms`` (correct credentials), ``portal_at_ms`` (403 even
    to a look at the form): the start of the first such try, 0 if there was none within ``limit_s``.

    Dovecot lets an address wait that failed before, up to 15 s, so that tries at IMAP run side by side.
    """
    refused: dict[str, list[int]] = {"imap": [], "portal": []}

    def at_imap(now_ms: int) -> None:
        # Only the server's own word is a refusal: a try that it lets wait is none.
        if imap_login(**imap, timeout_s=_PENALTY_S).get("error", "").startswith("error: "):
            refused["imap"].append(now_ms)

    deadline = time.monotonic() + limit_s
    pool = ThreadPoolExecutor(_SIDE_BY_SIDE)
    running: list[Future[None]] = []
    while not all(refused.values()) and time.monotonic() < deadline:
        now_ms = int(time.time() * 1000)
        running = [one for one in running if not one.done()]
        if not refused["imap"] and len(running) < _SIDE_BY_SIDE:
            running.append(pool.submit(at_imap, now_ms))
        if not refused["portal"] and https(method="GET", path=SIGN_IN, **portal)["status"] == 403:
            refused["portal"].append(now_ms)
        time.sleep(0.1)
    pool.shutdown(wait=False, cancel_futures=True)  # those that wait end by themselves
    found = {f"{door}_at_ms": min(moments, default=0) for door, moments in refused.items()}
    return {"ok": all(found.values()), **found}


def portal_sign_in(
    *, host: str, address: str, port: int, email: str, password: str, source: str, form_source: str
) -> Answer:
    """Fill in the portal's sign-in form: fetched from ``form_source``, sent from ``source``.

    An attacker can fetch the form from anywhere, so that only the refusal of the POST counts. ``status``: the
    answer to it; ``ok``: the session that it gave opens the home page.
    """
    where: dict[str, Any] = {"host": host, "address": address, "port": port}
    form = https(**where, method="GET", path=SIGN_IN, source=form_source)
    token = re.search(r'name="csrfmiddlewaretoken" value="([^"]+)"', form["text"])
    if token is None:
        return {"ok": False, "status": 0, "error": f"no form: {form['status']} {form.get('error', '')}"}
    origin = f"https://{host}" if port == 443 else f"https://{host}:{port}"
    cookies = _cookies(form)
    fields = {"csrfmiddlewaretoken": token[1], "login": email, "password": password}
    headers = {
        "Content-Type": "application/x-www-form-urlencoded",
        "Cookie": _cookie_header(cookies),
        "Origin": origin,
        "Referer": origin + SIGN_IN,
    }
    posted = https(
        **where, method="POST", path=SIGN_IN, source=source, body=urlencode(fields), headers=headers
    )
    cookies |= _cookies(posted)
    home = https(**where, method="GET", path="/", source=source, headers={"Cookie": _cookie_header(cookies)})
    return {
        "ok": posted["status"] == 302 and home["status"] == 200,
        "status": posted["status"],
        "error": posted.get("error", ""),
    }


def _cookies(answer: Answer) -> dict[str, str]:
    pairs = (line.partition(";")[0].partition("=") for line in answer["cookies"])
    return {name: value for name, _, value in pairs}


def _cookie_header(cookies: dict[str, str]) -> str:
    return "; ".join(f"{name}={value}" for name, value in cookies.items())


def _connect(address: str, port: int, timeout_s: float, source: str) -> socket.socket:
    origin = (source, 0) if source else None
    return socket.create_connection((address, port), timeout_s, origin)


def _exchange(held: socket.socket) -> bool:
    held.sendall(_GET)
    return held.recv(4096).startswith(b"HTTP/1.1 200")


def _imap(host: str, port: int, source: str, timeout_s: float) -> imaplib.IMAP4_SSL:
    context = ssl._create_unverified_context()
    if not source:
        return imaplib.IMAP4_SSL(host, port, ssl_context=context, timeout=timeout_s)

    class FromSource(imaplib.IMAP4_SSL):
        def _create_socket(self, timeout: float | None) -> socket.socket:
            plain = _connect(host, port, timeout_s, source)
            return context.wrap_socket(plain, server_hostname=host)

    return FromSource(host, port, ssl_context=context, timeout=timeout_s)


def _search(session: imaplib.IMAP4, message_id: str) -> bool:
    status, data = session.search(None, "HEADER", "Message-ID", f'"{message_id}"')
    return status == "OK" and bool(data and data[0])


def _folder(line: bytes) -> str:
    match = re.fullmatch(rb'\(([^)]*)\) (?:"[^"]*"|NIL) "?([^"]+)"?', line)
    if match is None or b"\\Noselect" in match[1]:
        return ""
    return match[2].decode("ascii", "replace")


def _reason(error: BaseException) -> str:
    if isinstance(error, TimeoutError | dns.exception.Timeout):
        return "timeout"
    return f"{type(error).__name__}: {error}"[:300]


def _text(raw: bytes | str) -> str:
    return raw.decode("utf-8", "replace") if isinstance(raw, bytes) else raw


def _ms(start: float) -> int:
    return int((time.monotonic() - start) * 1000)


_DEEDS: dict[str, Callable[..., Answer]] = {
    f.__name__: f
    for f in (
        tcp, hold, poke, until, until_shut, lookup, smtp, imap_login, imap_find, https, portal_sign_in, *traffic.DEEDS,
    )
}  # fmt: skip


def serve(deeds: dict[str, Callable[..., Answer]], finish: Callable[[], None] = lambda: None) -> None:
    """Answer requests on stdin until it ends; ``finish`` runs after each, in its thread."""
    lock = threading.Lock()

    def answer(request: dict[str, Any]) -> None:
        number, deed = request.pop("id"), request.pop("do")
        try:
            result = deeds[deed](**request)
        except Exception as error:  # noqa: BLE001 - the outermost loop of this process
            result = {"ok": False, "error": f"{type(error).__name__}: {error}"[:300], "broken": True}
        finish()
        with lock:
            sys.stdout.write(json.dumps({"id": number, **result}) + "\n")
            sys.stdout.flush()

    with ThreadPoolExecutor(16) as pool:
        for line in sys.stdin:
            pool.submit(answer, json.loads(line))


if __name__ == "__main__":
    try:
        serve(_DEEDS)
    except KeyboardInterrupt:
        pass
