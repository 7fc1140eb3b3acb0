"""The process ``managesieve``: people's own Sieve scripts (``mail.scripts.server``)."""

from __future__ import annotations

from collections.abc import Sequence

import django

from beffroi.lib import programs
from beffroi.lib.config import load


def main(arguments: Sequence[str] = ()) -> int:
    django.setup()
    from beffroi.mail.scripts import server  # noqa: PLC0415 - needs Django's applications

    config = load()
    listener = server.listen(config)
    programs.Ending()
    server.serve(config, listener)
    return 0
