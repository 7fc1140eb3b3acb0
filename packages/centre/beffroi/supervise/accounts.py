"""The demonstration's accounts on disk: STATE/secrets/demo-accounts.json, root's alone (0600).

Purpose: `up` shows them on the first run; `status --accounts` and `code` show them again. Delete the file, and only the
         hashes in the database are left.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from beffroi.lib.config import Config
from beffroi.supervise.secret_files import supervisor_owner, write_file


@dataclass(frozen=True)
class Account:
    email: str
    name: str
    password: str
    role: str
    communes: tuple[str, ...]
    console: bool
    totp_secret: str


def path(config: Config) -> Path:
    return config.secrets / "demo-accounts.json"


def save(config: Config, values: dict[str, Any]) -> None:
    write_file(
        path(config), json.dumps(values, ensure_ascii=False).encode(), mode=0o600, owner=supervisor_owner()
    )


def load(config: Config) -> list[Account]:
    """[] when there are none, or they are not ours to read, or somebody emptied the file."""
    try:
        values = json.loads(path(config).read_text("utf-8"))
        return [Account(**{**one, "communes": tuple(one["communes"])}) for one in values["accounts"]]
    except (OSError, ValueError, TypeError, KeyError):
        return []
