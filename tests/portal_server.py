"""A real granian for the browser tests: ``seed`` fills an empty state directory, ``web`` and ``console`` serve it.

Run (granian --factory) with BEFFROI_STATE set to a directory of the test's own
and DJANGO_SETTINGS_MODULE to the listener's settings.
Only the mail server and the feed are absent: ``reader.open_mailbox`` shows fixed letters.
"""

from __future__ import annotations

import json
import secrets
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Any

import django

PASSWORD = "correct horse battery"


def prepare(state: Path) -> None:
    """Make what the settings read before anything else."""
    for name in ("secrets", "db", "run/wake", "doors"):
        (state / name).mkdir(parents=True, exist_ok=True, mode=0o700)
    for name in ("django.key", "door.token", "live.key", "commune-master.key"):
        (state / "secrets" / name).write_text(secrets.token_hex(32))


def seed_all() -> None:
    django.setup()
    from beffroi.core.audit import actions as audit
    from django.core.management import call_command

    from tests.fixtures_portal import seed

    call_command("migrate", verbosity=0)
    found = seed(PASSWORD)
    audit.seal()
    sys.stdout.write(json.dumps(asdict(found)))


def application() -> Any:
    django.setup()
    from beffroi.boxes import actions
    from beffroi.mail import reader
    from django.core.wsgi import get_wsgi_application

    from tests.fixtures_portal import letters, opener

    reader.open_mailbox = opener(letters)
    # A root key of the test's own: nothing here signs a feed.
    actions.pinned_root = lambda config: bytes(range(32))  # type: ignore[attr-defined]
    return get_wsgi_application()


if __name__ == "__main__":
    seed_all()
