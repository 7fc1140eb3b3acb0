"""The processes ``worker``, ``remediation``, ``sources`` and ``import``: consumers of the outbox and timers, for ever.

Process: the Python user; no listener. If it dies, events wait in the outbox.
"""

from __future__ import annotations

import django

from beffroi.lib.config import load


def main(group: str) -> int:
    django.setup()
    from beffroi.core.events import running  # noqa: PLC0415 - needs Django's applications

    running.run_forever(group, load())
    return 0


def one_import(job_id: str) -> int:
    """A child of ``import``."""
    django.setup()
    from beffroi.mail.importing import children  # noqa: PLC0415

    return children.child(load(), job_id)


def closing() -> int:
    """A child of ``worker``."""
    django.setup()
    from beffroi.mail.closing import children  # noqa: PLC0415

    return children.child(load())
