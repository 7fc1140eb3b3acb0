"""The relational database as Django's settings.

SQLite runs in WAL with synchronous=FULL: of the modes measured under power cuts it is the one that lost no
acknowledged row. Transactions begin IMMEDIATE (``settings.sqlite``), so a writer waits at the start and never fails in
the middle.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from beffroi.core.planes import write_lock
from beffroi.lib.config import SettingInvalid

SQLITE_PRAGMAS = "PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL; PRAGMA cache_size=-16000;"
_DJANGO_NAMES = {"dbname": "NAME", "user": "USER", "password": "PASSWORD", "host": "HOST", "port": "PORT"}


def database_settings(url: str) -> dict[str, Any]:
    """Return one value of DATABASES for ``sqlite:///PATH`` or ``postgresql://...``.

    Errors: SettingInvalid for any other scheme.
    """
    scheme = urlsplit(url).scheme
    if scheme == "sqlite":
        return {
            "ENGINE": "beffroi.settings.sqlite",
            "NAME": Path(url.removeprefix("sqlite:///")),
            "CONN_MAX_AGE": None,
            "OPTIONS": {
                "init_command": SQLITE_PRAGMAS,
                "timeout": write_lock.WAIT_S,
            },
        }
    if scheme not in ("postgresql", "postgres"):
        raise SettingInvalid("database_url", "beffroi.toml", "must begin with sqlite:/// or postgresql://")
    from psycopg.conninfo import conninfo_to_dict  # noqa: PLC0415 - where there is no server, none is needed

    parts = {key: value for key, value in conninfo_to_dict(url).items() if value is not None}
    named = {django: str(parts.pop(own)) for own, django in _DJANGO_NAMES.items() if own in parts}
    return {
        "ENGINE": "django.db.backends.postgresql",
        "CONN_MAX_AGE": None,
        "CONN_HEALTH_CHECKS": True,
        "OPTIONS": parts,
        **named,
    }
