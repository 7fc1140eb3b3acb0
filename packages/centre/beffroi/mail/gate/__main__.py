"""``python -m beffroi.mail.gate``: run mailgate until SIGTERM.

Process: mailgate.
Fails:   a stop always ends: what was acknowledged is in the spool, so after STOP_AT_MOST_S it simply leaves.
"""

from __future__ import annotations

import functools
import os
import signal
import threading

from beffroi.lib import programs
from beffroi.lib.config import Config
from beffroi.lib.serving import leave
from beffroi.mail.gate import app
from beffroi.mail.gate.server import Server

ADDRESS = "127.0.0.1"
STOP_AT_MOST_S = 6.0


def run(config: Config) -> int:
    """Serve until SIGTERM or SIGINT; return the exit code, 1 when the server ended by itself."""
    # No handlers: what a handler sets may be locked by the very thread that it interrupts.
    ends = {signal.SIGTERM, signal.SIGINT}
    signal.pthread_sigmask(signal.SIG_BLOCK, ends)  # threads take it over
    gate = app.Gate(config)
    server = Server((ADDRESS, config.mailgate_port), functools.partial(app.answer, gate))
    failed = threading.Event()

    def serve() -> None:
        try:
            server.serve_forever()
        except BaseException:
            failed.set()
            os.kill(os.getpid(), signal.SIGTERM)
            raise

    gate.start()
    threading.Thread(target=serve, name="mailgate-door", daemon=True).start()
    signal.sigwait(ends)
    guard = threading.Timer(STOP_AT_MOST_S, os._exit, (0,))
    guard.daemon = True
    guard.start()
    server.stop()
    gate.stop()
    return 1 if failed.is_set() else 0


def main() -> int:
    return programs.run(run)


if __name__ == "__main__":
    leave(main())
