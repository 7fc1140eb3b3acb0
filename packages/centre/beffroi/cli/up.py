"""`up`: check, prepare, start, watch, stop. ``./beffroi up`` comes here once everything is installed.

Process: root; becomes the supervisor.
Options for scripts and the laboratory: --state, --demo FILE | --no-demo, --json-ready FD-or-FILE, --foreground
         (the default, accepted for clarity), --no-install (likewise: this part never installs).
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import socket
import sys
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from beffroi.cli import report
from beffroi.cli.options import Parser
from beffroi.lib import clock_steps
from beffroi.lib.config import Config, SettingInvalid, load
from beffroi.lib.errors import BeffroiError
from beffroi.mail.backup import staging
from beffroi.mail.backup.database.keeping import Databases
from beffroi.supervise import accounts, centre, checks, children, preparation, status
from beffroi.supervise.supervisor import Supervisor


class NeedsRoot(BeffroiError):
    """Starting the mail servers needs root. Next: sudo ./beffroi up"""

    code = "cli.needs_root"


class NotBackedUp(BeffroiError):
    """This version changes the database, which could not be backed up before; nothing was changed: {}. Next: mend that,
    or go without: ./beffroi up --without-backup"""

    code = "cli.not_backed_up"


def _parser() -> argparse.ArgumentParser:
    parser = Parser(prog="beffroi up", description="Start the centre and watch it.")
    parser.add_argument("--check", action="store_true", help="start all, wait until healthy, stop")
    parser.add_argument("--demo", default="default", metavar="FILE", help="seed file for a first run")
    parser.add_argument("--no-demo", dest="demo", action="store_const", const="", help="start empty")
    parser.add_argument(
        "--json-ready",
        default="",
        type=_open_or_file,
        metavar="FD|FILE",
        help="write the status here when ready",
    )
    parser.add_argument(
        "--without-backup",
        action="store_true",
        help="a new version changes the database without a backup before",
    )
    parser.add_argument("--foreground", action="store_true", help=argparse.SUPPRESS)
    parser.add_argument("--no-install", action="store_true", help=argparse.SUPPRESS)
    return parser


def _open_or_file(text: str) -> str:
    """Asked at once, not when all has started. Errors: ArgumentTypeError, which argparse tells."""
    if text.isdigit():
        try:
            os.fstat(int(text))
        except (OSError, OverflowError):
            raise argparse.ArgumentTypeError(f"no file is open under the number {text}") from None
    elif text and not Path(text).resolve().parent.is_dir():
        raise argparse.ArgumentTypeError(f"there is no directory for {text}")
    return text


def main(arguments: Sequence[str]) -> int:
    options = _parser().parse_args(arguments)
    if os.getuid() != 0:
        raise NeedsRoot
    state = options.state.resolve()
    checks.check_place(state)
    checks.check_disk(Config(state=state))
    first = preparation.write_first_settings(state)
    config = load(state)
    # One's own settings, written before the first start, or a file that was cut.
    if config.user in ("", "root"):
        why = f'everything would run as root; write user = "{preparation.PYTHON_USER}"'
        raise SettingInvalid("user", state / "beffroi.toml", why)
    lock = status.Lock(config)
    try:
        return _run(config, options, first)
    finally:
        lock.release()


def _run(config: Config, options: argparse.Namespace, first: bool) -> int:
    ended = children.end_leftovers(status.directory(config) / "children.json")
    if ended:
        _say(f"ended what an earlier run had left: {', '.join(ended)}.")
    former = status.read(config)
    clock_steps.begin(config, last_s=former.written_at if former is not None else 0, say=_say)
    checks.check_names(config)
    checks.check_backups(config)
    checks.check_ports(config)
    preparation.make_user(config.user)
    if first:
        _say(f"a new centre in {config.state}")
    notices = preparation.prepare(config)
    demo = str(Path(options.demo).resolve()) if options.demo not in ("", "default") else options.demo
    planted = preparation.prepare_database(
        config, demo=demo, before_change=lambda due: _back_up(config, due, options.without_backup)
    )
    _say("starting")
    supervisor = Supervisor(config, centre.processes(config), say=_say, addresses=addresses(config))
    supervisor.status.notices = notices
    with centre.held(config), supervisor.signals():
        try:
            supervisor.start()
            if not supervisor.wait_ready():
                return 130
            _ready(config, supervisor, options, planted)
            if not options.check:
                supervisor.wait(lambda: preparation.keep_up(config))
        finally:
            _say("stopping")
            supervisor.stop()
    _say("stopped")
    return 0


def _back_up(config: Config, due: Sequence[str], without: bool) -> None:
    """Before a new version changes the database. Errors: NotBackedUp."""
    steps = f"This version changes the database ({len(due)} steps)"
    if without:
        _say(f"{steps}, without a backup of it.")
        return
    _say(f"{steps}; it is backed up first")
    try:
        staging.prepare(config)
        databases = Databases(config)
        databases.store.unlock()
        databases.back_up()
    except (BeffroiError, OSError) as error:
        raise NotBackedUp(str(error).rstrip(".")) from None
    _say("backed up (./beffroi database backup list); the way back: docs/runbooks/upgrade.md")


def _ready(config: Config, supervisor: Supervisor, options: argparse.Namespace, planted: bool) -> None:
    if options.json_ready:
        line = json.dumps(asdict(supervisor.status), ensure_ascii=False) + "\n"
        if options.json_ready.isdigit():
            number = int(options.json_ready)
            # Closed, so that the reader sees the end; but our own words go out by 1 and 2.
            with os.fdopen(number, "w", encoding="utf-8", closefd=number > 2) as handle:
                handle.write(line)
        else:
            Path(options.json_ready).write_text(line, "utf-8")
    _tell_systemd()
    shown = report.lines(supervisor.status)
    shown += report.account_lines(config, accounts.load(config), secrets=planted)
    shown += [_tunnel(config), *(() if options.check else ("Ctrl-C stops everything.",))]
    with contextlib.suppress(BrokenPipeError):
        print("\n".join(shown), flush=True)


def _tell_systemd() -> None:
    """Where it started us, as a unit of Type=notify (sd_notify(3)); our children do not get its address."""
    if address := os.environ.get("NOTIFY_SOCKET"):
        with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as told:
            told.sendto(b"READY=1", address.replace("@", "\0", 1) if address[0] == "@" else address)


def addresses(config: Config) -> dict[str, str]:
    """What a person types, in the order of interest."""

    def https(name: str, port: int) -> str:
        return f"https://{name}" + ("" if port == 443 else f":{port}") + "/"

    host = config.mail_name if config.listen == "*" else config.listen
    return {
        "portal": https(config.portal_name, config.portal_port),
        "console": https(config.console_name, config.console_port),
        "boxes": https(config.box_name, config.box_port),
        "smtp": f"{host}:{config.smtp_port}",
        "imap": f"{host}:{config.imap_port}",
        "authority": str(config.state / "tls" / "ca.pem"),
    }


def _tunnel(config: Config) -> str:
    ports = (config.portal_port, config.console_port)
    forwards = " ".join(f"-L {port}:127.0.0.1:{port}" for port in ports)
    return f"From another machine: ssh {forwards} root@{socket.gethostname()}"


def _say(text: str) -> None:
    # The terminal may be gone (a closed connection, `| head`): that must not keep anything from being stopped.
    with contextlib.suppress(OSError):
        print(f"beffroi: {text}", file=sys.stderr, flush=True)
