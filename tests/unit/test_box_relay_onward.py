"""What a boîtier hands over waits for its answer."""

from __future__ import annotations

import io
import smtplib
import socketserver
import threading

from beffroi_box.relayonward import hand_over


class _Slow(socketserver.StreamRequestHandler):
    """A server whose filter takes longer than all its other answers may."""

    def handle(self) -> None:
        self.wfile.write(b"220 x\r\n")
        whole = False
        for line in self.rfile:
            if line == b".\r\n":
                whole = False
                threading.Event().wait(1.5)
            if not whole:
                self.wfile.write(
                    {b"DATA\r\n": b"354 x\r\n", b"QUIT\r\n": b"221 x\r\n"}.get(line, b"250 x\r\n")
                )
            whole = whole or line == b"DATA\r\n"


def test_a_mail_that_the_centre_looks_at_for_long_is_known_to_have_passed() -> None:
    with socketserver.TCPServer(("127.0.0.1", 0), _Slow) as server:
        threading.Thread(target=server.handle_request).start()
        with smtplib.SMTP(*server.server_address, local_hostname="x", timeout=0.5) as smtp:
            outcome = hand_over(smtp, "a@b.example", ["c@d.example"], io.BytesIO(b"Subject: x\r\n"))
    assert (outcome.sent, outcome.later) == (["c@d.example"], [])
