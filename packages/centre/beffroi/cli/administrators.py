"""`administrator add | renew | end | list`: who signs in to the console of the Département.

Process: the person's own, in the centre's Python user. An administrator says so by password and code (``--by``). Only
         where no other one could, by whoever may run this on the centre's machine: the first one, and the only one who
         lost theirs. The audit log names the account of the machine then.
Fails:   closed: the last administrator stays.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from typing import TYPE_CHECKING

from beffroi.cli.entering import account, in_centre, sign_in
from beffroi.cli.options import of_centre, with_verbs
from beffroi.core.identity.actor import Actor
from beffroi.lib.config import Config
from beffroi.lib.errors import BeffroiError

if TYPE_CHECKING:
    from beffroi.core.identity.models import Administrator

MOST_ACTOR_CHARS = 80


class AdministratorUnknown(BeffroiError):
    """No administrator has this address. Next: ./beffroi administrator list"""

    code = "cli.administrator_unknown"


class AdministratorNeeded(BeffroiError):
    """Another administrator decides this: name one with --by; their password and code are asked for."""

    code = "cli.administrator_needed"


class AdministratorsUnavailable(BeffroiError):
    """The administrators of {} cannot be looked at: {}. Next: ./beffroi status"""

    code = "cli.administrators_unavailable"


def main(arguments: Sequence[str]) -> int:
    options = _parser().parse_args(arguments)
    config, asking = of_centre(options.state), account()
    with in_centre(config, AdministratorsUnavailable):
        match options.verb:
            case "add":
                return add(config, options.email, name=options.name, by=options.by, account=asking)
            case "renew":
                return renew(config, options.email, by=options.by, account=asking)
            case "end":
                return end(options.email, by=options.by)
            case _:
                return show()


def _parser() -> argparse.ArgumentParser:
    parser, verbs = with_verbs("beffroi administrator")
    add_ = verbs.add_parser("add", help="one more; prints the password and the second factor once")
    add_.add_argument("email")
    add_.add_argument("--name", required=True, help="first and last name")
    renew_ = verbs.add_parser("renew", help="a new password and second factor; opens a closed account again")
    renew_.add_argument("email")
    end_ = verbs.add_parser("end", help="close the account and its sessions")
    end_.add_argument("email")
    for verb in (add_, renew_):
        verb.add_argument("--by", default="", metavar="EMAIL", help="the administrator who does it")
    end_.add_argument("--by", required=True, metavar="EMAIL", help="the administrator who does it")
    verbs.add_parser("list", help="all of them, also closed ones")
    return parser


def add(config: Config, email: str, *, name: str, by: str, account: str) -> int:
    """Errors: AdministratorNeeded, SignInRefused, Invalid, Conflict."""
    from beffroi.core.identity import actions, administrators  # noqa: PLC0415 - needs Django's settings

    actor = _actor(by, account)
    password = actions.new_password()
    made = administrators.create_administrator(actor=actor, email=email, name=name, password=password)
    _tell(config, made.record.email, password, made.totp_secret)
    return 0


def renew(config: Config, email: str, *, by: str, account: str) -> int:
    """Errors: AdministratorUnknown, AdministratorNeeded, SignInRefused."""
    from beffroi.core.identity import actions, administrators  # noqa: PLC0415 - as above

    found = _administrator(email)
    actor = _actor(by, account, but=found)
    password = actions.new_password()
    secret = administrators.renew_administrator(actor=actor, administrator=found, password=password)
    _tell(config, found.email, password, secret)
    return 0


def end(email: str, *, by: str) -> int:
    """Errors: AdministratorUnknown, SignInRefused, Conflict."""
    from beffroi.core.identity import administrators  # noqa: PLC0415 - as above

    found = _administrator(email)
    administrators.end_administrator_access(actor=sign_in(by), administrator=found)
    print(
        f"{found.email} signs in no more, and is signed out. What they decided stays on record; their name and address"
        " are erased by the daily purge, after the time that retention_accounts_days says."
    )
    return 0


def show() -> int:
    from beffroi.core.identity import administrator_reviews as reviews  # noqa: PLC0415 - as above
    from beffroi.core.identity import queries  # noqa: PLC0415 - as above

    rows = queries.administrators()
    for one in rows:
        state, came = "open" if one.is_active else "closed", reviews.last_came(one)
        last = f"last came {came:%Y-%m-%d}" if came else "never came with this second factor"
        print(f"{one.email}  {one.name}  {state}, since {one.created_at:%Y-%m-%d}, {last}")
    if not rows:
        print("Nobody signs in to the console yet. Next: ./beffroi administrator add EMAIL --name NAME")
    elif sum(one.is_active for one in rows) < 2:
        print("What needs two administrators waits: add a second one.")
    if reviews.is_due():
        print("Two of them read this list again each half-year, and now: console, Journal, Administrateurs.")
    return 0


def _actor(by: str, account: str, but: Administrator | None = None) -> Actor:
    """``but``: who cannot do it. Errors: AdministratorNeeded, SignInRefused."""
    from beffroi.core.identity import queries  # noqa: PLC0415 - as above

    if by:
        return sign_in(by)
    if any(one.is_active and one != but for one in queries.administrators()):
        raise AdministratorNeeded
    return Actor.system(f"command:{account}"[:MOST_ACTOR_CHARS])


def _administrator(email: str) -> Administrator:
    """Errors: AdministratorUnknown."""
    from beffroi.core.identity import queries  # noqa: PLC0415 - as above

    wanted = email.strip().lower()
    found = next((one for one in queries.administrators() if one.email == wanted), None)
    if found is None:
        raise AdministratorUnknown
    return found


def _tell(config: Config, email: str, password: str, secret: str) -> None:
    from django.conf import settings  # noqa: PLC0415 - set up by now

    from beffroi.core.identity import totp  # noqa: PLC0415 - as above

    print(f"{email} signs in to {config.console_origin}")
    print(f"Password: {password}")
    print(f"Second factor, for a program that makes codes: {secret}")
    uri = totp.provisioning_uri(secret, account=email, issuer=settings.MFA_TOTP_ISSUER)
    print(f"The same as an address: {uri}")
    print("Both are shown once. Hand them over yourself, never by mail.")
