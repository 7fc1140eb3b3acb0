"""A ManageSieve client that shows the answers as they are; the real program in the tests is sieve-connect."""

from __future__ import annotations

import base64
import re
import socket
from collections.abc import Iterator
from contextlib import contextmanager

from beffroi.lib.config import Config
from beffroi.mail import tokens

from tests.certificates import unverified
from tests.waiting import PATIENCE_S

OTHER_LOOPBACK = "127.0.0.2"


class Sieve:
    """``said``: the text of the last answer, with its OK, NO or BYE in front."""

    def __init__(self, connection: socket.socket) -> None:
        self._socket = connection
        self._file = connection.makefile("rb")
        self.said = self.answer()

    def starttls(self) -> None:
        assert self.do("STARTTLS").startswith("OK")
        self._socket = unverified().wrap_socket(self._socket)
        self._file = self._socket.makefile("rb")
        self.said = self.answer()

    def answer(self) -> str:
        """Everything up to the line that ends an answer, with the texts behind their lengths."""
        found = b""
        while True:
            line = self._file.readline()
            found += line
            literal = re.search(rb"\{(\d+)\}\r\n$", line)
            if literal:
                found += self._file.read(int(literal.group(1)))
            if not line or (line.split(b" ")[0].strip() in (b"OK", b"NO", b"BYE") and not literal):
                return found.decode()
            if literal and line.startswith((b"NO", b"OK")):
                return (found + self._file.readline()).decode()

    def do(self, command: str | bytes) -> str:
        self._socket.sendall((command.encode() if isinstance(command, str) else command) + b"\r\n")
        self.said = self.answer()
        return self.said

    def sign_in(self, address: str, secret: str) -> str:
        text = base64.b64encode(f"\0{address}\0{secret}".encode()).decode()
        return self.do(f'AUTHENTICATE "PLAIN" "{text}"')

    def sign_in_with_token(self, config: Config, address: str) -> str:
        token = tokens.mailbox_token(config, address)
        text = base64.b64encode(f"n,a={address},\x01auth=Bearer {token}\x01\x01".encode()).decode()
        return self.do(f'AUTHENTICATE "OAUTHBEARER" "{text}"')

    def put(self, name: str, text: str) -> str:
        data = text.encode()
        return self.do(f'PUTSCRIPT "{name}" {{{len(data)}+}}\r\n'.encode() + data)


@contextmanager
def sieve(config: Config, *, tls: bool = True, source: str = OTHER_LOOPBACK) -> Iterator[Sieve]:
    """``source``: another address than the server's, which Dovecot takes for safe without TLS."""
    server, here = ("127.0.0.1", config.sieve_port), (source, 0)
    with socket.create_connection(server, timeout=PATIENCE_S, source_address=here) as connection:
        client = Sieve(connection)
        if tls:
            client.starttls()
        yield client
