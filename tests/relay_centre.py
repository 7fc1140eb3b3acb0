"""The centre's submission as far as the relay of a boîtier talks to it, and a relay that finds it."""

from __future__ import annotations

import smtplib
import socketserver
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from beffroi_box import relay
from beffroi_box.relay import Relaying
from beffroi_box.relaylink import Order
from beffroi_box.relayspool import Envelope
from beffroi_protocol.relaying import Device, Relay

RELAY = Relay("copieur@beaune.fr", "boitiers.example", (Device("Copieur", "192.0.2.7"),), ("@beaune.fr",))


class Centre(socketserver.ThreadingTCPServer):
    """Takes mails. ``ends``: what it says at the end of a mail, "" to hang up without a word."""

    daemon_threads = True

    def __init__(self, ends: Callable[[bytes], str]) -> None:
        super().__init__(("127.0.0.1", 0), _Session)
        self.ends, self.taken = ends, list[bytes]()


class _Session(socketserver.StreamRequestHandler):
    server: Centre

    def handle(self) -> None:
        self.wfile.write(b"220 x\r\n")
        mail: list[bytes] | None = None
        for line in self.rfile:
            if mail is None:
                if line == b"DATA\r\n":
                    mail = []
                other = {b"QUIT\r\n": b"221 x\r\n"}.get(line, b"250 x\r\n")
                self.wfile.write(other if mail is None else b"354 x\r\n")
            elif line != b".\r\n":
                mail.append(line)
            else:
                whole, mail = b"".join(mail), None
                said = self.server.ends(whole)
                if said.startswith("250"):
                    self.server.taken.append(whole)
                self.wfile.write(f"{said}\r\n".encode() if said else b"")
                if not said or said.endswith("bye"):
                    return


@contextmanager
def centre(ends: Callable[[bytes], str]) -> Iterator[Centre]:
    with Centre(ends) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        try:
            yield server
        finally:
            server.shutdown()


def connected(server: Centre, timeout_s: float = 5.0) -> smtplib.SMTP:
    host, port = server.server_address[:2]
    return smtplib.SMTP(str(host), int(port), local_hostname="x", timeout=timeout_s)


class Box:
    """Its relay, without the way to the centre's submission, which another test has."""

    def __init__(self, directory: Path, server: Centre, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(relay, "connect", lambda *_: connected(server))
        self.relaying = Relaying(directory / "relay.sock", directory / "spool")
        self.relaying._obey(Order(RELAY, (), ()))
        self.spool = self.relaying._spool

    def take(self, text: bytes) -> str:
        draft = self.spool.draft()
        draft.write(b"Subject: " + text + b"\r\n")
        draft.keep(Envelope(1, "Copieur", ("mairie@beaune.fr",), self.relaying._now()))
        return draft.id

    def waiting(self) -> list[str]:
        return [mail_id for mail_id, _ in self.spool.waiting()]
