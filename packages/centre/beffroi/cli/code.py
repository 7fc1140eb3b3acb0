"""`code`: the present one-time code of a demonstration account.

Process: root's own; reads the demonstration's accounts.
"""

from __future__ import annotations

from collections.abc import Sequence

from beffroi.cli.options import Parser, of_centre
from beffroi.core.identity import totp
from beffroi.lib import clock
from beffroi.lib.errors import BeffroiError
from beffroi.supervise import accounts


class NoSuchAccount(BeffroiError):
    """No demonstration account {} with a one-time code is readable here. Next: as root: ./beffroi status --accounts"""

    code = "cli.no_such_account"


def main(arguments: Sequence[str]) -> int:
    parser = Parser(prog="beffroi code")
    parser.add_argument("email")
    options = parser.parse_args(arguments)
    for account in accounts.load(of_centre(options.state)):
        if account.email == options.email.strip().lower() and account.totp_secret:
            print(totp.code_at(account.totp_secret, clock.epoch()))
            return 0
    raise NoSuchAccount(options.email)
