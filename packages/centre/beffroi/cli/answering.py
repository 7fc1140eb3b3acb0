"""Whether a PostgreSQL server answers and lets the database be written: no process ends when it does not.

Process: the person's own (`status`, ``problem``) starts a child, the Python user, whom the server knows.
Fails:   asked by another user than root it says nothing.
"""

from __future__ import annotations

import os
import subprocess
import sys

from beffroi.core.planes import db
from beffroi.lib.config import STATE_VARIABLE, Config, load
from beffroi.lib.errors import BeffroiError
from beffroi.supervise import children

PATIENCE_S = 10.0
_NEXT = (
    "Pages and new decisions wait for it (files, too, with drive_on_server); mail for known addresses and what is"
    " enforced go on. Next: {}. Nothing of the centre has to be restarted"
)
_AWAY = "look at its server (systemctl status postgresql, its log, its disk) and at database_url"
_READ_ONLY = (
    "look whether its disk is full, or it is a copy that was never made the main one (pg_is_in_recovery)"
)


def problem(config: Config) -> str:
    """ "" or a sentence with what to do."""
    if not config.database_url or (os.getuid() != 0 and config.user):
        return ""
    try:
        done = subprocess.run(
            children.as_user((sys.executable, "-P", "-m", __spec__.name), config.user or None),
            env={"PATH": "/usr/bin:/bin", "LANG": "C.UTF-8", "PYTHONDONTWRITEBYTECODE": "1",
                 STATE_VARIABLE: str(config.state)},
            cwd="/", stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=PATIENCE_S, check=False,
        )  # fmt: skip
    except subprocess.TimeoutExpired:
        return f"The database did not answer within {PATIENCE_S:.0f} s. {_NEXT.format(_AWAY)}"
    if done.returncode:
        return (
            f"The database could not be asked: {(done.stderr.strip().splitlines() or ['no word'])[-1][:200]}"
        )
    return done.stdout.strip()


def asked(config: Config) -> str:
    """The same, as who may open it."""
    url = config.database
    try:
        database = db.connect(url)
        try:
            ((is_read_only,),) = database.execute("SHOW transaction_read_only")
        finally:
            database.close()
    except BeffroiError as error:
        return _away(error.__context__ or error)
    except db.errors(url) as error:
        return _away(error)
    return (
        f"The database can be read and not written. {_NEXT.format(_READ_ONLY)}"
        if is_read_only == "on"
        else ""
    )


def _away(error: BaseException) -> str:
    said = (str(error).strip().splitlines() or [type(error).__name__])[0][:200]
    return f"The database does not answer ({said}). {_NEXT.format(_AWAY)}"


if __name__ == "__main__":
    print(asked(load()))
