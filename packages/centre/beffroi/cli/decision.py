"""`decision show | block | undo | let-pass`: what the console does by hand, on the command line.

Purpose: block or open something while the console is out of reach, and see why something is refused.
Process: the person's own; root becomes the Python user first. Who changes something is an administrator of the
         Département (password and code), never an account of the machine: the second word stays another person's.
Input:   VALUE is what somebody read on a screen or in a mail.
Fails:   closed: what is protected is refused, what is wide waits on the console for a second administrator.
Source:  docs/internals/decisions.md, By hand; docs/runbooks/undo-a-decision.md.
"""

from __future__ import annotations

import argparse
import json
import shlex
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any

from beffroi_protocol.errors import IndicatorInvalid
from beffroi_protocol.indicators import Indicator, Kind, normalise
from beffroi_protocol.threats import Threat

from beffroi.cli.entering import in_centre, sign_in
from beffroi.cli.options import parsed, with_verbs
from beffroi.core.decisions import rules
from beffroi.core.identity.actor import Actor
from beffroi.lib import digits
from beffroi.lib.errors import BeffroiError, Invalid

if TYPE_CHECKING:
    from beffroi.core.communes.models import Collectivite

ACTOR = "decision-command"
DAY_S, HOUR_S = 86400, 3600
MAX_WORDS = 500
KINDS = [kind.value for kind in rules.BY_HAND]
WIDE = {
    "range": "it is a range",
    "shared": "the address serves members or protected names too",
    "reach": "too many communes use it",
}


class DecisionsUnavailable(BeffroiError):
    """The decisions of {} cannot be used: {}. Nothing was changed. Next: ./beffroi status"""

    code = "cli.decisions_unavailable"


class ValueUnreadable(BeffroiError):
    """This is not {}. Nothing was changed."""

    code = "cli.value_unreadable"


class NotBlocked(BeffroiError):
    """{}. Next: block its exact page (url) or file (sha256); what is "never again" is taken back on the console"""

    code = "cli.not_blocked"


class NotLetPass(BeffroiError):
    """{}. Next: ./beffroi decision show VALUE; where it is blocked wrongly, ./beffroi decision undo ID"""

    code = "cli.not_let_pass"


class CommuneUnclear(BeffroiError):
    """{} collectivités have this name or code. Next: the INSEE code, as the console shows it under Communes"""

    code = "cli.commune_unclear"


def main(arguments: Sequence[str]) -> int:
    options, config = parsed(_parser(), arguments)
    with in_centre(config, DecisionsUnavailable):
        if options.verb == "show":
            return show(options.about, as_json=options.json)
        change = {"block": block, "undo": undo, "let-pass": let_pass}[options.verb]
        return change(options, sign_in(options.by))


def _parser() -> argparse.ArgumentParser:
    parser, verbs = with_verbs("beffroi decision")
    show_ = verbs.add_parser("show", help="a decision, or all that refuses a value or lets it pass")
    show_.add_argument("about", metavar="ID|VALUE")
    show_.add_argument("--json", action="store_true")
    block_ = verbs.add_parser(
        "block", help="block it everywhere; what is wide waits for a second administrator"
    )
    block_.add_argument("kind", metavar="KIND", choices=KINDS, help=", ".join(KINDS))
    block_.add_argument("value", metavar="VALUE")
    block_.add_argument(
        "--threat",
        default="",
        choices=[threat.value for threat in Threat],
        help="what it is; nobody in a town hall may unblock a command server",
    )
    block_.add_argument("--days", type=_number(366), default=7, metavar="N", help="its life; without: 7 days")
    undo_ = verbs.add_parser("undo", help="end a decision at every door")
    undo_.add_argument("id", metavar="ID")
    let_pass_ = verbs.add_parser("let-pass", help="let a value pass for one commune alone")
    let_pass_.add_argument("value", metavar="VALUE")
    let_pass_.add_argument(
        "--commune", required=True, metavar="TEXT", help="its INSEE code, name or identifier"
    )
    let_pass_.add_argument("--hours", type=_number(90 * 24), required=True, metavar="N", help="up to 90 days")
    for verb in (block_, undo_, let_pass_):
        verb.add_argument("--reason", type=_words, required=True, metavar="TEXT", help="what colleagues read")
        verb.add_argument("--by", required=True, metavar="EMAIL", help="the administrator who decides")
    return parser


def _number(most: int) -> Callable[[str], int]:
    def read(text: str) -> int:
        if 0 < (found := digits.number(text) or 0) <= most:
            return found
        raise argparse.ArgumentTypeError(f"a number from 1 to {most} is needed")

    return read


def _words(text: str) -> str:
    if 0 < len(text.strip()) <= MAX_WORDS and "\x00" not in text:
        return text.strip()
    raise argparse.ArgumentTypeError(f"1 to {MAX_WORDS} characters are needed")


def block(options: argparse.Namespace, actor: Actor) -> int:
    """Errors: ValueUnreadable, NotBlocked, Conflict (it waits already)."""
    from beffroi.core.decisions import actions, by_hand  # noqa: PLC0415
    from beffroi.portal import touched  # noqa: PLC0415

    try:
        indicator = normalise(Kind(options.kind), options.value)
        preview = touched.look(actor, indicator)
        done = by_hand.block(
            actor=actor,
            indicator=indicator,
            reason=options.threat or by_hand.OTHER,
            why=options.reason,
            ttl_s=options.days * DAY_S,
            reach=preview.reach,
        )
    except IndicatorInvalid:
        raise ValueUnreadable(f"a value of the kind {options.kind}") from None
    except Invalid:  # all else was read before
        raise ValueUnreadable("narrow enough: a range goes up to /24 (IPv4) or /48 (IPv6)") from None
    except actions.ProtectedIndicator as error:
        raise NotBlocked(error) from None
    if done.decision is not None:
        one = done.decision
        print(f"Blocked everywhere until {_moment(one.expires_at)}: {one.kind} {one.value}")
        print(
            f"Decision {one.id}. To take it back: ./beffroi decision undo {one.id} --reason TEXT --by EMAIL"
        )
    if (asked := done.approval) is not None:
        serves = f": {', '.join(preview.serves)}" if preview.wide == "shared" else ""
        print(f"Nothing is blocked yet: {WIDE[preview.wide]}{serves}, so another administrator must agree,")
        print("on the console under Décisions, À trancher.")
        print(f"Request {asked.id}, until {_moment(asked.expires_at)}.")
    return 0


def undo(options: argparse.Namespace, actor: Actor) -> int:
    """Errors: NotFound."""
    from beffroi.core.decisions import by_hand, queries  # noqa: PLC0415

    found = queries.access_decision(actor, options.id)
    if not by_hand.undo(actor=actor, decision=found, why=options.reason):
        print(f"The decision {found.id} had ended before, at {_moment(found.ended_at)}.")
        return 0
    print(f"The decision {found.id} is undone; the doors forget it as they hear of it.")
    print(f"What else refuses it: ./beffroi decision show {shlex.quote(found.value)}")
    return 0


def let_pass(options: argparse.Namespace, actor: Actor) -> int:
    """Errors: ValueUnreadable, CommuneUnclear, NotLetPass, Conflict (too many)."""
    from beffroi.core.decisions import exceptions  # noqa: PLC0415

    commune = commune_named(actor, options.commune)
    try:
        made = exceptions.allow_locally(
            actor=actor,
            collectivite_id=commune.id,
            indicator=_read(options.value),
            ttl_s=options.hours * HOUR_S,
            reason=options.reason,
        )
    except exceptions.ExceptionRefused as error:
        raise NotLetPass(error) from None
    print(
        f"{made.value} passes for {commune.name} until {_moment(made.expires_at)}; the others stay protected."
    )
    print("To end it earlier: the console, under Décisions, À trancher.")
    return 0


def show(about: str, *, as_json: bool) -> int:
    """Errors: NotFound, ValueUnreadable, Unavailable."""
    from beffroi.portal import explaining, why  # noqa: PLC0415

    actor = Actor.system(ACTOR)
    if about.startswith("dec_"):
        told, lines = explaining.as_json(explaining.explain(actor, about)), _of_decision
    else:
        told, lines = why.as_json(why.explain(actor, _read(about)), departement=True), _of_value
    print(json.dumps(told, ensure_ascii=False) if as_json else "\n".join(lines(told)))
    return 0


def _of_decision(told: Mapping[str, Any]) -> Iterator[str]:
    what, met = told["indicator"], told["protected"]
    yield f"{told['id']}  {what['kind']} {what['value']}"
    yield f"  {told['action']}, {told['state']}, scope {told['scope']}"
    yield f"  reason {told['reason']}, rule {told['rule']['code']}"
    ends = told["ended_at"] or told["expires_at"]
    yield f"  decided {_of_iso(told['proposed_at'])}, {'ended' if told['ended_at'] else 'until'} {_of_iso(ends)}"
    yield f"  refused: {met['flows_in']} flows in, {met['flows_out']} out, in {met['communes']} communes"
    for one in told["hit"]["exceptions"]:
        yield f"  a local exception, {one['state']}, until {_of_iso(one['expires_at'])}"
    for one in told["hit"]["appeals"]:
        yield f"  contested {_of_iso(one['created_at'])}, {one['state']}"


def _of_value(told: Mapping[str, Any]) -> Iterator[str]:
    what, never = told["indicator"], told["never_again"]
    yield f"{what['kind']} {what['value']}: {'blocked' if told['blocked'] else 'not blocked'}"
    for one in told["decisions"]:
        yield f"  decision {one['id']}, {one['state']}"
    for one in told["lists"]:
        threat = f", {one['threat']}" if one["threat"] else ""
        yield f"  list {one['list']}{threat}: {one['entry']['value']}"
    if never is not None:
        until = f", until {_of_iso(never['until'])}" if never["until"] else ""
        yield f"  never blocked again{until}: {never['entry']['value']} ({never['reason']})"
    for one in told["local_exceptions"]:
        yield f"  passes for {one['collectivite']} until {_of_iso(one['expires_at'])}: {one['entry']['value']}"
    for one in told["appeals"]:
        yield f"  contested by {one['collectivite']} {_of_iso(one['created_at'])}, {one['state']}"


def _read(text: str) -> Indicator:
    """Errors: ValueUnreadable."""
    from beffroi.portal import why  # noqa: PLC0415

    if (found := why.read(text)) is None:
        raise ValueUnreadable(
            "an address, range, name, link, sender or hash, nor the identifier of a decision"
        )
    return found


def commune_named(actor: Actor, text: str) -> Collectivite:
    """Errors: CommuneUnclear."""
    from beffroi.core.communes import queries  # noqa: PLC0415

    found = queries.named(actor, text.strip())
    if len(found) != 1:
        raise CommuneUnclear(len(found))
    return found[0]


def _moment(moment: datetime | None) -> str:
    return f"{moment:%Y-%m-%d %H:%M} UTC" if moment else "without an end"


def _of_iso(text: str | None) -> str:
    return _moment(datetime.fromisoformat(text) if text else None)
