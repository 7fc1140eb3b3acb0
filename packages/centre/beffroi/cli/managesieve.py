"""The process ``managesieve``: people's own Sieve scripts (``mail.scripts.server``)."""

from __future__ import annotations

import signal
import sys
from collections.abc import Sequence

import django

from beffroi.lib.config import load


def main(arguments: Sequence[str] = ()) -> int:
    django.setup()
    from beffroi.mail.scripts import server  # noqa: PLC0415 - needs Django's applications

    config = load()
    listener = server.listen(config)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    server.serve(config, listener)
    return 0
