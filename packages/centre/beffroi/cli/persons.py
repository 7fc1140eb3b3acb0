"""`person add | erase | export | password`: a person added; rights of one (GDPR articles 15, 17, 20); a new password.

Process: the person's own; an export is opened before root becomes the Python user. An erasure is asked for by an
         administrator of the Département (password and code), and another one grants it on the console.
Privacy: the export names nobody else: it holds identifiers of others, never their names. It is 0600 and leaves the
         centre only by whoever asked for it.
Fails:   closed: nothing is erased by this command alone.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, TextIO

from beffroi.cli.decision import commune_named
from beffroi.cli.entering import account, in_centre, new_file, sign_in
from beffroi.cli.options import parsed, with_verbs
from beffroi.lib.errors import BeffroiError

if TYPE_CHECKING:
    from beffroi.core.identity.models import Person

KEPT = """\
Kept, and why:
  an identifier without a name, with its memberships and their dates: the audit log and decisions stay verifiable
  incidents of the commune and what was written in them: its evidence
  mail: the commune's public archive, which it alone disposes of; their mailbox is closed; traces go by their own age
"""


class PersonUnknown(BeffroiError):
    """No account has this address."""

    code = "cli.person_unknown"


class PersonUnavailable(BeffroiError):
    """The database of {} does not answer, so nothing was done. Next: ./beffroi status"""

    code = "cli.person_unavailable"


def main(arguments: Sequence[str]) -> int:
    options, config = parsed(_parser(), arguments)
    asking = account()
    if options.verb == "export":
        with new_file(options.output) as out, in_centre(config, PersonUnavailable):
            export(options.email, out, account=asking)
        print(f"All that is held about this person is in {options.output},")
        print("except mail and files: they are where they lie.")
        print("It names a person: give it to them only, then delete it.")
        return 0
    with in_centre(config, PersonUnavailable):
        if options.verb == "add":
            return add(
                options.email, name=options.name, commune=options.commune, role=options.role, by=options.by
            )
        work = password if options.verb == "password" else erase
        return work(options.email, reason=options.reason, by=options.by)


def _parser() -> argparse.ArgumentParser:
    parser, verbs = with_verbs("beffroi person")
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
    add_ = verbs.add_parser(
        "add", help="add a person to a collectivité, with a mailbox; prints the code of the sheet"
    )
    add_.add_argument("email", help="on a domain of the collectivité; the mailbox, too")
    add_.add_argument("--name", required=True, help="first and last name")
    add_.add_argument("--commune", required=True, metavar="TEXT", help="identifier, INSEE code or name")
    add_.add_argument("--role", required=True, choices=("agent", "elu", "referent", "dpo"))
    add_.add_argument("--by", required=True, metavar="EMAIL", help="the administrator who adds")
    return parser


def add(email: str, *, name: str, commune: str, role: str, by: str) -> int:
    """Print the code once. Errors: SignInRefused, CommuneUnclear, Invalid, AddressUnusable, ArrivalAddressTaken."""
    from beffroi.mail.people import arriving  # noqa: PLC0415
    from beffroi.portal.persons import sheet  # noqa: PLC0415

    actor = sign_in(by)
    collectivite = commune_named(actor, commune)
    first, _, last = name.strip().partition(" ")
    local, _, domain = email.strip().lower().rpartition("@")
    made = arriving.arrive(
        actor=actor,
        collectivite=collectivite,
        name=arriving.full_name(first, last),
        role=role,
        local=local,
        domain=domain,
    )
    shown = sheet(collectivite, made.person, made.sheet)
    print(f"{made.person.email} is added in {collectivite.name}, with a mailbox.")
    print(f"Page of the first visit: {shown['portal']}")
    print(f"Code: {made.sheet.code}")
    print(f"It opens the account once, until {made.sheet.record.expires_at:%Y-%m-%d %H:%M} UTC.")
    print("Give it by hand or say it on a telephone number that you already have; never send it by mail.")
    return 0


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


def export(email: str, out: TextIO, *, account: str) -> None:
    """Errors: PersonUnknown."""
    from beffroi.portal import person_file  # noqa: PLC0415

    content = person_file.compose(email, account=account)
    if content is None:
        raise PersonUnknown
    json.dump(content, out, ensure_ascii=False, indent=1)
    out.write("\n")
