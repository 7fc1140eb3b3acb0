"""`python -m beffroi.cli VERB`: every process of the centre and every command of a person starts here.

Purpose: one place where verbs become calls; an error of ours becomes one sentence on stderr and status 1, and so does
         a file that the system refuses.
Process: see each verb.
"""

from __future__ import annotations

import errno
import os
import sys
from collections.abc import Sequence

from beffroi.cli.options import run
from beffroi.lib.errors import BeffroiError

VERBS = {
    "up": "up.main",
    "boot": "boot.main",
    "status": "report.main",
    "code": "code.main",
    "stop": "remove.stop",
    "remove": "remove.main",
    "audit": "audit.main",
    "check": "check.main",
    "lists": "lists.main",
    "decision": "decision.main",
    "keys": "keys.main",
    "releases": "releases.main",
    "retention": "retention.main",
    "events": "events.main",
    "administrator": "administrators.main",
    "person": "persons.main",
    "commune": "communes.main",
    "mail": "mail.main",
    "drive": "drive.main",
    "database": "database.main",
    "scan": "scan.main",
    "prepare": "prepare.main",
    "worker": "consumers.worker",
    "remediation": "consumers.remediation",
    "webmail": "consumers.webmail",
    "sources": "sources.main",
    "import": "consumers.import_",
    "closing": "consumers.closing",
    "managesieve": "managesieve.main",
}


def main(arguments: Sequence[str]) -> int:
    place = VERBS.get(arguments[0]) if arguments else None
    if place is None:
        print(f"verbs: {', '.join(VERBS)}", file=sys.stderr)
        return 2
    try:
        return run(place, arguments[1:])
    except BeffroiError as error:
        said = str(error)
    except OSError as error:
        if error.filename is None and error.errno != errno.ENOSPC:
            raise  # of a connection: where it happened says more than a sentence
        said = f"{error.filename or 'This'}: {error.strerror}."
        if isinstance(error, PermissionError) and os.getuid() != 0:
            said += f" Next: sudo ./beffroi {arguments[0]} ..."
    except UnicodeEncodeError:
        if not any("\udc80" <= letter <= "\udcff" for word in arguments for letter in word):
            raise
        said = "A word of this command is not in UTF-8. Next: set the terminal to it, and type it again"
    except KeyboardInterrupt:
        print("beffroi: interrupted.", file=sys.stderr)
        return 130
    print(f"beffroi: {said}{_of_which(arguments, said)}", file=sys.stderr)
    return 1


def _of_which(arguments: Sequence[str], said: str) -> str:
    """What the commands in a sentence lack, where this one named a centre: without it they speak of another."""
    _, named, state = " ".join(arguments).replace("--state=", "--state ").partition("--state ")
    return (
        f" (with --state {state.split()[0]})"
        if named and "./beffroi " in said and "--state" not in said
        else ""
    )


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
