"""What web, console and the command line ask of the keeper of the backups.

Process: any of the centre's Python user; STATE/run/backup.sock.
Fails:   BackupUnavailable (retryable) when the keeper does not answer; BackupRefused with the keeper's own sentence.
Source:  mail/backup/keeper.py.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from beffroi.lib import asked
from beffroi.lib.config import Config
from beffroi.lib.errors import Conflict, Unavailable
from beffroi.mail.backup import keeper

TIMEOUT_S = 6 * 3600.0
"""A first backup of large mailboxes takes hours."""


class BackupUnavailable(Unavailable):
    """The keeper of the backups does not answer ({}); what was begun goes on by itself or is done again by the same
    command. Next: ./beffroi status"""

    code = "backup.unavailable"


class BackupRefused(Conflict):
    """{}"""

    code = "backup.refused"


def ask(
    config: Config, verb: str, tell: Callable[[int, int], None] | None = None, **values: Any
) -> dict[str, Any]:
    """The answer to one request; ``tell`` gets (done, total) meanwhile. Errors: BackupUnavailable, BackupRefused."""
    try:
        for answer in asked.answers(
            keeper.socket_path(config), {"verb": verb, **values}, timeout_s=TIMEOUT_S
        ):
            if "ok" in answer:
                break
            if tell is not None:
                tell(answer["done"], answer["total"])
        else:
            raise BackupUnavailable("it ended meanwhile")
    except (OSError, ValueError, KeyError):
        raise BackupUnavailable("no answer") from None
    if not answer["ok"]:
        raise BackupRefused(answer["why"])
    return answer
