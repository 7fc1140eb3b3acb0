"""The processes ``worker``, ``remediation``, ``webmail``, ``sources`` and ``import``: consumers of the outbox and
timers, for ever.

Process: the Python user; no listener. If it dies, events wait in the outbox.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime

import django

from beffroi.lib.config import load


def worker(_arguments: Sequence[str]) -> int:
    django.setup()
    from beffroi.core.decisions import warning_lists  # noqa: PLC0415 - needs Django's settings

    warning_lists.read()  # else the first decision does, with the write lock in hand
    return _run("main")


def remediation(_arguments: Sequence[str]) -> int:
    return _run("remediation")


def webmail(_arguments: Sequence[str]) -> int:
    return _run("webmail")


def sources() -> int:
    return _run("sources")


def import_(arguments: Sequence[str]) -> int:
    """With the identifier of an import: a child of the process."""
    if not arguments:
        return _run("import")
    django.setup()
    from beffroi.mail.importing import children  # noqa: PLC0415

    return children.child(load(), arguments[0])


def closing(arguments: Sequence[str]) -> int:
    """A child of ``worker``, which says its time: UTC epoch seconds."""
    django.setup()
    from beffroi.mail.closing import children  # noqa: PLC0415

    return children.child(load(), datetime.fromtimestamp(int(arguments[0]), UTC))


def _run(group: str) -> int:
    django.setup()
    from beffroi.core.events import running  # noqa: PLC0415 - needs Django's applications

    running.run_forever(group, load())
    return 0
