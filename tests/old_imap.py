"""An old server that says what real ones say and no Dovecot would: names of folders as programs once sent them, odd
dates, LOGIN alone. With the old provider's certificate, on its wire's port."""

from __future__ import annotations

import contextlib
import re
import socket
import ssl
import threading
from collections.abc import Mapping, Sequence

from tests import old_provider
from tests.old_provider import OldProvider

_FETCH = re.compile(rb"UID FETCH ([\d,:]+) \((.*)\)")


class OldImap:
    """``folders``: mails of each, by the name on the wire. ``dates``: INTERNALDATE of all. What was sent is in
    ``lines``."""

    def __init__(
        self, provider: OldProvider, folders: Mapping[bytes, Sequence[bytes]], *, date: bytes = b""
    ) -> None:
        self.lines: list[bytes] = []
        self.folders = dict(folders)
        self._date = date or b"01-Jan-2020 10:00:00 +0000"
        self._context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        self._context.load_cert_chain(provider.home / "server.pem", provider.home / "server.key")
        self._server = socket.create_server(("127.0.0.1", old_provider.WIRE_PORT))
        threading.Thread(target=self._serve, daemon=True).start()

    def close(self) -> None:
        with contextlib.suppress(OSError):
            self._server.shutdown(socket.SHUT_RDWR)
        self._server.close()

    def _serve(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                near = self._server.accept()[0]
                threading.Thread(target=self._talk, args=(near,), daemon=True).start()

    def _talk(self, plain: socket.socket) -> None:
        with contextlib.suppress(OSError), self._context.wrap_socket(plain, server_side=True) as near:
            near.sendall(b"* OK [CAPABILITY IMAP4rev1] hi\r\n")
            chosen: Sequence[bytes] = ()
            for line in near.makefile("rb"):
                self.lines.append(line)
                tag, command = line.rstrip(b"\r\n").split(b" ", 1)
                answer, code = b"", b"OK"
                name = command.partition(b'"')[2].rpartition(b'"')[0]
                if command.startswith(b"CAPABILITY"):
                    answer = b"* CAPABILITY IMAP4rev1\r\n"
                elif command.startswith(b"LIST"):
                    wanted = command.split(b'"')[-2]
                    shown = [one for one in self.folders if wanted in (b"*", one)]
                    answer = b"".join(b'* LIST (\\HasNoChildren) "/" "%b"\r\n' % one for one in shown)
                elif command.startswith(b"STATUS"):
                    count = len(self.folders.get(name, ()))
                    answer = b'* STATUS "%b" (MESSAGES %d)\r\n' % (name, count)
                elif command.startswith((b"SELECT", b"EXAMINE")):
                    if name in self.folders:
                        chosen = self.folders[name]
                        numbers = (len(chosen), len(chosen) + 1)
                        answer = b"* %d EXISTS\r\n* OK [UIDVALIDITY 1]\r\n* OK [UIDNEXT %d]\r\n" % numbers
                    else:
                        code = b"NO"
                elif command.startswith(b"UID SEARCH"):
                    answer = b"* SEARCH %b\r\n" % b" ".join(b"%d" % (n + 1) for n in range(len(chosen)))
                elif found := _FETCH.match(command):
                    answer = b"".join(self._row(int(uid), chosen, found[2]) for uid in found[1].split(b","))
                near.sendall(answer + tag + b" " + code + b" done\r\n")

    def _row(self, uid: int, chosen: Sequence[bytes], asked: bytes) -> bytes:
        mail = chosen[uid - 1]
        if b"BODY.PEEK[]" in asked:
            return b"* %d FETCH (UID %d BODY[] {%d}\r\n%b)\r\n" % (uid, uid, len(mail), mail)
        head = b"".join(
            line for line in mail.splitlines(keepends=True) if line.startswith((b"Message-ID", b"Date"))
        )
        return (
            b'* %d FETCH (UID %d FLAGS () INTERNALDATE "%b" RFC822.SIZE %d BODY[HEADER.FIELDS (MESSAGE-ID DATE)] '
            b"{%d}\r\n%b)\r\n" % (uid, uid, self._date, len(mail), len(head), head)
        )
