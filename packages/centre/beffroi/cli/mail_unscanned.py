"""`mail unscanned show | allow --hours N --by ADMIN | stop`: while rspamd is away, incoming mail passes for some hours.

Process: the person's own; root becomes the Python user first. To allow it takes an administrator's password and code.
Fails:   closed; mail waits with its senders.
Source:  mail/unscanned.py; docs/decisions.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence

from beffroi.cli.entering import in_centre, sign_in
from beffroi.cli.mail import ACTOR, MailUnavailable
from beffroi.cli.options import parsed, with_verbs
from beffroi.core.identity.actor import Actor


def main(arguments: Sequence[str]) -> int:
    options, config = parsed(_parser(), arguments)
    with in_centre(config, MailUnavailable):
        if not (config.state / "projections").is_dir():
            raise MailUnavailable(config.state, "it was never started, so nothing would read this")
        return _run(options)


def _parser() -> argparse.ArgumentParser:
    parser, verbs = with_verbs("beffroi mail unscanned")
    verbs.add_parser("show", help="whether mail may pass now")
    allow = verbs.add_parser("allow", help="incoming mail passes while rspamd is away, and is checked later")
    allow.add_argument("--hours", type=int, choices=range(1, 25), required=True, metavar="N", help="1 to 24")
    allow.add_argument(
        "--by", required=True, metavar="ADMIN", help="who decides: address of an administrator"
    )
    verbs.add_parser("stop", help="mail waits again")
    return parser


def _run(options: argparse.Namespace) -> int:
    """Errors: SignInRefused."""
    from beffroi.mail import unscanned  # noqa: PLC0415

    if options.verb == "allow":
        unscanned.allow(actor=sign_in(options.by), hours=options.hours)
    elif options.verb == "stop":
        unscanned.stop(actor=Actor.system(ACTOR))
    end = unscanned.until()
    if end is None:
        print("While rspamd is away, incoming mail waits with its senders.")
    else:
        print(
            f"Until {end:%Y-%m-%d %H:%M} UTC incoming mail passes while rspamd is away, marked as not checked."
        )
        print("It is checked when rspamd is back. Earlier end: ./beffroi mail unscanned stop")
    return 0
