"""`scan FILE...`: what the scanner of attached files finds in a file; `scan --rules`: whether STATE/rules can be used.

Process: the person's own, who must be root or in rspamd's group to reach the scanner; the file is read here and opened
         there. Text of a document is counted, not shown.
Status:  0 nothing was found, 3 something was (or a file of rules is refused), 1 it could not be asked.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

from beffroi.cli.options import Parser, parsed
from beffroi.lib.config import Config
from beffroi.lib.errors import BeffroiError
from beffroi.scan import kinds, rules, values, wire
from beffroi.scan.kinds import File
from beffroi.scan.values import Report
from beffroi.scan.wire import socket_path

FOUND = 3


class FileUnreadable(BeffroiError):
    """{} cannot be read: {}."""

    code = "cli.file_unreadable"


class ScannerAway(BeffroiError):
    """The scanner of {} does not answer: {}. Next: ./beffroi status, as root"""

    code = "cli.scanner_away"


def main(arguments: Sequence[str]) -> int:
    parser = Parser(prog="beffroi scan")
    parser.add_argument("files", metavar="FILE", nargs="*", type=Path)
    parser.add_argument(
        "--rules", action="store_true", help="try the YARA rules of STATE/rules, and say what is in force"
    )
    parser.add_argument("--json", action="store_true")
    options, config = parsed(parser, arguments)
    if options.rules:
        return show_rules(config)
    if not options.files:
        parser.error("name a file, or --rules")
    status = 0
    for path in options.files:
        report = examined(config, path)
        status = FOUND if report.found else status
        if options.json:
            told = {
                "file": str(path),
                "found": report.found,
                "text": len(report.text),
                "sha256": report.sha256,
            }
            print(json.dumps(told, ensure_ascii=False))
        else:
            print(f"{path}: {', '.join(report.names()) or 'nothing found'}")
            if report.text:
                print(f"  {len(report.text)} characters of text are looked at for bank details")
    return status


def examined(config: Config, path: Path) -> Report:
    """What the scanner finds in the file, and what its name adds. Errors: FileUnreadable, ScannerAway."""
    try:
        with path.open("rb") as file:
            data = file.read(values.MAX_FILE_BYTES + 1)
    except OSError as error:
        raise FileUnreadable(path, error.strerror) from None
    if len(data) > values.MAX_FILE_BYTES:
        raise FileUnreadable(
            path, f"it is longer than {values.MAX_FILE_BYTES // 2**20} MiB, more than any mail"
        )
    report = values.decode(_ask(config, wire.FACTS, data))
    extension, before = kinds.extensions(path.name)
    flags = frozenset({"hidden"} if kinds.hides(path.name) else ())
    by_name = kinds.found([File(extension, before, kinds.detect(data), flags)])
    found = {
        code: report.found.get(code, []) for code in kinds.ORDER if code in by_name or code in report.found
    }
    return Report(found, report.text, report.sha256)


def show_rules(config: Config) -> int:
    """Try every file as the process does. Errors: ScannerAway."""
    folder = rules.Folder(rules.directory(config.state))
    folder.changed()
    for why in folder.refused.values():
        print(why)
    print(f"STATE/rules and our own: {folder.rules.count} rules can be used ({folder.rules.mark})")
    print(f"in force: {_ask(config, wire.VERSION).decode('utf-8', 'replace')}")
    return FOUND if folder.refused else 0


def _ask(config: Config, command: str, data: bytes = b"") -> bytes:
    try:
        return wire.ask(socket_path(config.state), command, data)
    except OSError as error:
        raise ScannerAway(config.state, error.strerror or error) from None
    except wire.Ended:
        raise ScannerAway(config.state, "it ended the conversation") from None
