"""`person erase | export | password`: rights of one person (GDPR articles 15, 17, 20), and a new password for them.

Process: the person's own; an export is opened before root becomes the Python user. An erasure is asked for by an
         administrator of the Département (password and code), and another one grants it on the console.
Privacy: the export names nobody else: it holds identifiers of others, never their names. It is 0600 and leaves the
         centre only by whoever asked for it.
Fails:   closed: nothing is erased by this command alone.
"""

from __future__ import annotations

import argparse
import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from beffroi.cli.person import FileUnusable, account, enter_centre, has_database, new_file, sign_in
from beffroi.lib.config import DEFAULT_STATE, load
from beffroi.lib.errors import BeffroiError

if TYPE_CHECKING:
    from beffroi.core.identity.models import Person

KEPT = """\
Kept, and why:
  an identifier without a name, with its memberships and their dates: the audit log and decisions stay verifiable
  incidents of the commune and what was written in them: its evidence
  mail: the commune's public archive, which it alone disposes of; traces of messages go by their own age
"""


class PersonUnknown(BeffroiError):
    """No account has this address."""

    code = "cli.person_unknown"


class PersonUnavailable(BeffroiError):
    """The database of {} does not answer, so nothing was done. Next: ./beffroi status"""

    code = "cli.person_unavailable"


def main(arguments: Sequence[str]) -> int:
    options = _parser().parse_args(arguments)
    config = load(options.state.resolve())
    if not has_database(config):
        raise PersonUnavailable(config.state)
    asking = account()
    out = new_file(options.output) if options.verb == "export" else -1
    enter_centre(config)
    from django.db import DatabaseError  # noqa: PLC0415 - needs Django's settings

    try:
        if options.verb == "export":
            return export(options.email, out, options.output, account=asking)
        work = password if options.verb == "password" else erase
        return work(options.email, reason=options.reason, by=options.by)
    except DatabaseError:
        raise PersonUnavailable(config.state) from None


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="beffroi person")
    verbs = parser.add_subparsers(dest="verb", required=True)
    erase_ = verbs.add_parser("erase", help="ask a second administrator to erase the name of an account")
    erase_.add_argument("email")
    erase_.add_argument("--reason", required=True, help="what the second administrator reads")
    erase_.add_argument("--by", required=True, metavar="EMAIL", help="the administrator who asks")
    export_ = verbs.add_parser("export", help="write all that is held about one person to a file")
    export_.add_argument("email")
    export_.add_argument("output", type=Path, metavar="FILE", help="a new file")
    password_ = verbs.add_parser("password", help="give a new password to a person who forgot theirs")
    password_.add_argument("email")
    password_.add_argument(
        "--reason", required=True, help="how you know that it is this person; kept in the audit log"
    )
    password_.add_argument("--by", required=True, metavar="EMAIL", help="the administrator who gives it")
    for verb in (erase_, export_, password_):
        verb.add_argument("--state", type=Path, default=DEFAULT_STATE)
    return parser


def erase(email: str, *, reason: str, by: str) -> int:
    """Errors: PersonUnknown, SignInRefused, Invalid, Conflict, ErasureHeld."""
    from beffroi.core.identity import erasure  # noqa: PLC0415

    actor = sign_in(by)
    person = _person(email)
    one = erasure.request(actor=actor, person=person, reason=reason)
    print(
        "Nothing is erased yet: another administrator must agree, on the console under Journal, Conservation."
    )
    print(f"Request {one.id}, until {one.expires_at:%Y-%m-%d}.")
    print("Erased then: name, address, passwords, second factors, sign-ins, and names in the audit log.")
    print(KEPT, end="")
    return 0


def password(email: str, *, reason: str, by: str) -> int:
    """Print it once. Errors: PersonUnknown, SignInRefused, Invalid, Conflict."""
    from beffroi.core.identity import actions  # noqa: PLC0415

    actor = sign_in(by)
    print(actions.give_password(actor=actor, person=_person(email), reason=reason))
    print("Say it to the person on the telephone number that you already have; never send it.")
    print(
        "Their sessions are closed. A second factor is asked for as before; their devices keep their own passwords."
    )
    return 0


def _person(email: str) -> Person:
    """Errors: PersonUnknown."""
    from beffroi.core.identity.models import Person  # noqa: PLC0415

    found = Person.objects.filter(email=email.strip().lower()).first()
    if found is None:
        raise PersonUnknown
    return found


def export(email: str, out: int, path: Path, *, account: str) -> int:
    """Errors: PersonUnknown, FileUnusable; then the file is left empty."""
    from beffroi.portal import person_file  # noqa: PLC0415

    with os.fdopen(out, "w", encoding="utf-8") as handle:
        content = person_file.compose(email, account=account)
        if content is None:
            raise PersonUnknown
        try:
            json.dump(content, handle, ensure_ascii=False, indent=1)
            handle.write("\n")
            handle.flush()
            os.fsync(handle.fileno())
        except OSError as error:
            os.ftruncate(handle.fileno(), 0)
            raise FileUnusable(path, error.strerror) from None
    print(f"All that is held about this person is in {path}, except the mail itself: it is in the mailbox.")
    print("It names a person: give it to them only, then delete it.")
    return 0
