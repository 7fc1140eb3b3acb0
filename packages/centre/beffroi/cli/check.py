"""`check domain NAME`: what DNS answers about a mail domain now, what is wrong and what to do. `check backup`, `seal`.

Process: the person's own; root becomes the Python user first. Asks DNS, and our own mail server and front door.
Output:  French, one result a line: this is what goes to a commune or its provider. ``--json`` for machines.
Status:  0 when nothing is wrong, 1 when something is, or the resolver does not answer.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from beffroi_protocol.errors import IndicatorInvalid
from beffroi_protocol.indicators import Kind, normalise

from beffroi.cli.entering import enter_centre, has_database
from beffroi.cli.options import of_centre, take_state
from beffroi.lib.config import Config, load
from beffroi.lib.errors import BeffroiError

if TYPE_CHECKING:
    from beffroi.mail.domains.checking import Report
    from beffroi.mail.domains.scores import Score


class NoSuchName(BeffroiError):
    """This is not a domain name. Example: ./beffroi check domain mairie-saulieu.fr"""

    code = "cli.no_such_name"


class ResolverUnclear(BeffroiError):
    """A resolver is an address, or address@port."""

    code = "cli.resolver_unclear"


def main(arguments: Sequence[str]) -> int:
    options = _parser().parse_args(arguments)
    if options.verb == "seal":
        from beffroi.cli import check_seal  # noqa: PLC0415 - each command imports what it needs

        return check_seal.main(options.package, document=options.document, key=options.key)
    config = load(options.state.resolve())
    if options.verb == "backup":
        from beffroi.cli import check_backup  # noqa: PLC0415

        return check_backup.main(of_centre(options.state))
    try:
        name = normalise(Kind.DOMAIN, options.name).value
    except IndicatorInvalid:
        raise NoSuchName() from None
    address, _, port = (options.resolver or f"127.0.0.1@{config.resolver_port}").partition("@")
    if port and not port.isdecimal():
        raise ResolverUnclear()
    return domain(config, name, address, int(port or 53), as_json=options.json)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="beffroi check")
    verbs = parser.add_subparsers(dest="verb", required=True)
    domain_ = verbs.add_parser("domain", help="a mail domain, enrolled or not")
    domain_.add_argument("name", metavar="NAME")
    domain_.add_argument("--resolver", metavar="IP[@PORT]", default="", help="without: the centre's own")
    domain_.add_argument("--json", action="store_true")
    backup = verbs.add_parser("backup", help="whether the Coffre would come back from its backups")
    seal = verbs.add_parser(
        "seal", help="a proof of one file, or a BagIt export of a sealed folder; needs no centre"
    )
    seal.add_argument(
        "package", metavar="PACKAGE", type=Path, help="the ZIP of a proof; an export as ZIP, tar or folder"
    )
    seal.add_argument(
        "--document", type=Path, metavar="FILE", help="whether it is the one that a proof is about"
    )
    seal.add_argument(
        "--key", metavar="HEX", default="", help="the collectivité's, from its audit log; else the package's"
    )
    for one in (domain_, backup):
        take_state(one)
    return parser


def domain(config: Config, name: str, address: str, port: int, *, as_json: bool) -> int:
    """Errors: ResolverUnclear."""
    enter_centre(config)
    from beffroi.mail.domains import checking, queries  # noqa: PLC0415 - needs Django's settings
    from beffroi.mail.domains.asking import Asker  # noqa: PLC0415

    try:
        asker = Asker(address, port)
    except ValueError:
        raise ResolverUnclear() from None
    enrolled = has_database(config) and queries.is_enrolled(name)
    found = checking.report(checking.subject(name, config, enrolled=enrolled), asker)
    if as_json:
        print(json.dumps(_plain(name, found, enrolled=enrolled), ensure_ascii=False, indent=1))
    else:
        _print(name, found, enrolled=enrolled)
    return 1 if found.silent or any(one.state == "bad" for one in found.results) else 0


def _plain(name: str, found: Report, *, enrolled: bool) -> Mapping[str, Any]:
    from beffroi.portal import domain_words  # noqa: PLC0415

    def told(score: Score) -> Mapping[str, Any]:
        return {
            "points": dict(score.points),
            "passed": score.passed,
            "tested": score.tested,
            "level": score.level,
        }

    results = []
    for one in found.results:
        words = domain_words.line(one.item, one.state, one.code, one.seen)
        results.append({**asdict(one), "label": words.label, "said": words.said, "todo": words.todo})
    return {
        "domain": name,
        "enrolled": enrolled,
        "results": results,
        "rpnt": told(found.rpnt),
        "internet_nl": told(found.internet_nl),
    }


def _print(name: str, found: Report, *, enrolled: bool) -> None:
    from beffroi.portal import domain_words  # noqa: PLC0415

    if not enrolled:
        print(f"{name} n’est pas inscrit ici : comparé à ce qu’il devrait dire s’il l’était.\n")
    for one in found.results:
        words = domain_words.line(one.item, one.state, one.code, one.seen)
        todo = f" → {words.todo}" if words.todo else ""
        print(f"[{domain_words.MARKS[one.state]!s:^8}] {words.label} : {words.said}{todo}")
        if one.state in ("warn", "bad") and one.seen:
            print(f"{'':11}vu : {one.seen}")
    if found.silent:
        return
    rpnt, nl = found.rpnt, found.internet_nl
    level = f", niveau {rpnt.level}" if rpnt.level else ""
    print(
        f"\nRPNT : {rpnt.passed} critères remplis sur {rpnt.tested} vérifiables d’ici (16 en tout){level}."
        f"\nInternet.nl, test du courriel : {nl.passed} points sur {nl.tested} vérifiables d’ici."
    )
