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
    for name in ("secrets", "db", "run/wake", "doors", "lists"):
        (state / name).mkdir(parents=True, exist_ok=True, mode=0o700)
    for name in ("django.key", "door.token", "live.key", "commune-master.key"):
        (state / "secrets" / name).write_text(secrets.token_hex(32))


def seed_all() -> None:
    django.setup()
    from beffroi.core.audit import actions as audit
    from beffroi.core.decisions import lists
    from beffroi.core.identity.actor import Actor
    from django.core.management import call_command

    from tests.fixtures_portal import seed

    call_command("migrate", verbosity=0)
    found = seed(PASSWORD)
    for name, ttl_s in (
        ("phishing-names", 0),
        ("a-name-as-long-as-a-list-may-have.and-then-some-more.2026-11", 864000),
    ):
        lists.publish_list(
            actor=Actor.system("tests"),
            name=name,
            kind="domain",
            values=[f"n{number}.lure.example.net" for number in range(1200)],
            source="https://lists.example.org/names/phishing/current.txt",
            licence="CC0 1.0",
            ttl_s=ttl_s,
        )
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
