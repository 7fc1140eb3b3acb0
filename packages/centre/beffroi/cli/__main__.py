"""`python -m beffroi.cli VERB`: every process of the centre and every command of a person starts here.

Purpose: one place where verbs become calls; an error of ours becomes one sentence on stderr and status 1, and so does
         a file that the system refuses.
Process: see each verb.
"""

from __future__ import annotations

import errno
import os
import sys
from collections.abc import Callable, Sequence

from beffroi.lib.errors import BeffroiError


def _up(arguments: Sequence[str]) -> int:
    from beffroi.cli import up  # noqa: PLC0415 - a verb loads only what it needs

    return up.main(arguments)


def _status(arguments: Sequence[str]) -> int:
    from beffroi.cli import report  # noqa: PLC0415

    return report.main(arguments)


def _code(arguments: Sequence[str]) -> int:
    from beffroi.cli import report  # noqa: PLC0415

    return report.code(arguments)


def _stop(arguments: Sequence[str]) -> int:
    from beffroi.cli import remove  # noqa: PLC0415

    return remove.stop(arguments)


def _remove(arguments: Sequence[str]) -> int:
    from beffroi.cli import remove  # noqa: PLC0415

    return remove.main(arguments)


def _prepare(arguments: Sequence[str]) -> int:
    from beffroi.cli import prepare  # noqa: PLC0415

    return prepare.main(arguments)


def _audit(arguments: Sequence[str]) -> int:
    from beffroi.cli import audit  # noqa: PLC0415

    return audit.main(arguments)


def _check(arguments: Sequence[str]) -> int:
    from beffroi.cli import check  # noqa: PLC0415

    return check.main(arguments)


def _lists(arguments: Sequence[str]) -> int:
    from beffroi.cli import lists  # noqa: PLC0415

    return lists.main(arguments)


def _decision(arguments: Sequence[str]) -> int:
    from beffroi.cli import decision  # noqa: PLC0415

    return decision.main(arguments)


def _releases(arguments: Sequence[str]) -> int:
    from beffroi.cli import releases  # noqa: PLC0415

    return releases.main(arguments)


def _keys(arguments: Sequence[str]) -> int:
    from beffroi.cli import keys  # noqa: PLC0415

    return keys.main(arguments)


def _retention(arguments: Sequence[str]) -> int:
    from beffroi.cli import retention  # noqa: PLC0415

    return retention.main(arguments)


def _administrator(arguments: Sequence[str]) -> int:
    from beffroi.cli import administrators  # noqa: PLC0415

    return administrators.main(arguments)


def _person(arguments: Sequence[str]) -> int:
    from beffroi.cli import persons  # noqa: PLC0415

    return persons.main(arguments)


def _commune(arguments: Sequence[str]) -> int:
    from beffroi.cli import communes  # noqa: PLC0415

    return communes.main(arguments)


def _mail(arguments: Sequence[str]) -> int:
    from beffroi.cli import mail, mail_alias, mail_backup, mail_import, mail_quota, mail_unscanned  # noqa: PLC0415

    if arguments and arguments[0] == "alias":
        return mail_alias.main(arguments[1:])
    others = {
        "import": mail_import.main,
        "quota": mail_quota.main,
        "backup": mail_backup.main,
        "restore": mail_backup.main,
        "unscanned": mail_unscanned.main,
    }
    return others.get(next(iter(arguments), ""), mail.main)(arguments)


def _drive(arguments: Sequence[str]) -> int:
    from beffroi.cli import drive  # noqa: PLC0415

    return drive.main(arguments)


def _scan(arguments: Sequence[str]) -> int:
    from beffroi.cli import scan  # noqa: PLC0415

    return scan.main(arguments)


def _worker(_arguments: Sequence[str]) -> int:
    from beffroi.cli import consumers  # noqa: PLC0415

    return consumers.main("main")


def _remediation(_arguments: Sequence[str]) -> int:
    from beffroi.cli import consumers  # noqa: PLC0415

    return consumers.main("remediation")


def _webmail(_arguments: Sequence[str]) -> int:
    from beffroi.cli import consumers  # noqa: PLC0415

    return consumers.main("webmail")


def _sources(arguments: Sequence[str]) -> int:
    if not arguments and "DJANGO_SETTINGS_MODULE" in os.environ:  # the process; else the command of a person
        from beffroi.cli import consumers  # noqa: PLC0415

        return consumers.main("sources")
    from beffroi.cli import sources  # noqa: PLC0415

    return sources.main(arguments)


def _import(arguments: Sequence[str]) -> int:
    from beffroi.cli import consumers  # noqa: PLC0415

    return consumers.one_import(arguments[0]) if arguments else consumers.main("import")


def _closing(_arguments: Sequence[str]) -> int:
    from beffroi.cli import consumers  # noqa: PLC0415

    return consumers.closing()


def _managesieve(arguments: Sequence[str]) -> int:
    from beffroi.cli import managesieve  # noqa: PLC0415

    return managesieve.main(arguments)


VERBS: dict[str, Callable[[Sequence[str]], int]] = {
    "up": _up,
    "status": _status,
    "code": _code,
    "stop": _stop,
    "remove": _remove,
    "audit": _audit,
    "check": _check,
    "lists": _lists,
    "decision": _decision,
    "keys": _keys,
    "releases": _releases,
    "retention": _retention,
    "administrator": _administrator,
    "person": _person,
    "commune": _commune,
    "mail": _mail,
    "drive": _drive,
    "scan": _scan,
    "prepare": _prepare,
    "worker": _worker,
    "remediation": _remediation,
    "webmail": _webmail,
    "sources": _sources,
    "import": _import,
    "closing": _closing,
    "managesieve": _managesieve,
}


def main(arguments: Sequence[str]) -> int:
    verb = VERBS.get(arguments[0]) if arguments else None
    if verb is None:
        print(f"verbs: {', '.join(VERBS)}", file=sys.stderr)
        return 2
    try:
        return verb(arguments[1:])
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
    print(f"beffroi: {said}", file=sys.stderr)
    return 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
