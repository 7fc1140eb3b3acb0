"""`status`: what runs, what is wrong and how to mend it, and who can sign in.

Process: the person's own; reads STATE/supervisor/status.json and, as root, the demonstration's accounts.
Secrets: passwords are shown by `status --accounts` only (and once by the `up` that made them).
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict

from beffroi.cli import answering
from beffroi.cli.options import Parser, of_centre
from beffroi.core.audit import told as audited
from beffroi.core.events import told as events
from beffroi.core.retention import told
from beffroi.drive import renewal, upkeep
from beffroi.drive.backup import drills
from beffroi.drive.backup import work as drive_backup
from beffroi.drive.scanning import told as filescan
from beffroi.drive.seals import overview as seals
from beffroi.lib import clock, clock_steps, logs_taken
from beffroi.lib.config import DEFAULT_STATE, Config, load
from beffroi.lib.errors import BeffroiError
from beffroi.mail import signing, unfinished
from beffroi.mail.backup import fetched
from beffroi.mail.backup import told as backed_up
from beffroi.mail.certificates import health as certified
from beffroi.mail.certificates import own as own_certificates
from beffroi.mail.engines import unscanned
from beffroi.mail.probe import told as probed
from beffroi.supervise import accounts, checks, status

OLD_S = 60
_LABELS = {
    "portal": "Portal",
    "console": "Console",
    "boxes": "Boîtiers",
    "smtp": "SMTP",
    "imap": "IMAP",
    "authority": "CA certificate",
}


def _certificates(config: Config) -> str:
    """Of the domains' names and of the centre's own: "" or what ends soon, with the next step."""
    now = clock.epoch_s()
    said = (certified.problem(config, now=now), own_certificates.problem(config, now=now))
    return " ".join(one for one in said if one)


_WRONG: dict[str, Callable[[Config], str]] = {
    "clock": clock_steps.problem,
    "audit": lambda config: audited.problem(config, now=clock.epoch_s()),
    "purge": lambda config: told.problem(config, now=clock.epoch_s()),
    "events": lambda config: events.problem(config, now=clock.epoch_s()),
    "probe": lambda config: probed.problem(config, now=clock.epoch_s(), alarm_after=2),
    "backup": lambda config: backed_up.problem(config, now=clock.epoch_s()),
    "fetched": lambda config: fetched.problem(config, now=clock.epoch_s()),
    "logs": lambda config: logs_taken.problem(config, now=clock.epoch_s()),
    "database": lambda config: (
        answering.problem(config) or backed_up.database_problem(config, now=clock.epoch_s())
    ),
    "certificates": _certificates,
    "files": lambda config: (
        upkeep.problem(config)
        or drive_backup.problem(config, now_s=clock.epoch_s())
        or drills.problem(config)
    ),
    "filescan": filescan.problem,
    "seals": seals.problem,
    "signing": signing.problem,
    "withdrawals": unfinished.problem,
}
"""What may be wrong although every process is healthy, by its name in ``--json``: "" or a sentence with what to do."""
_NOTES: tuple[Callable[[Config], str], ...] = (
    lambda config: certified.sentence(config, now=clock.epoch_s()),
    lambda config: unscanned.sentence(config, now=clock.epoch_s()),
    lambda config: fetched.sentence(config, now=clock.epoch_s()),
    lambda config: logs_taken.sentence(config, now=clock.epoch_s()),
    renewal.sentence,
)
"""What goes on and is no trouble."""


def main(arguments: Sequence[str]) -> int:
    parser = Parser(prog="beffroi status")
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--accounts", action="store_true", help="only the demonstration's accounts")
    options = parser.parse_args(arguments)
    if options.accounts:
        return _accounts(of_centre(options.state))
    # Whoever waits for a centre that is being prepared asks by --json, before it has settings.
    config = load(options.state.resolve()) if options.json else of_centre(options.state)
    found, pid = status.read(config), status.running_pid(config)
    if pid and found is not None and found.pid != pid:
        found = None  # of an earlier run: this one prepares, and has started nothing yet
    wrong = {name: ask(config) if pid else "" for name, ask in _WRONG.items()}
    advice = drive_backup.advice(config) if pid else ""
    if options.json:
        print(
            json.dumps(
                {
                    "running": bool(pid),
                    "status": asdict(found) if found else None,
                    **wrong,
                    "advice": advice,
                },
                ensure_ascii=False,
            )
        )
    elif not pid:
        print(f"The centre of {config.state} does not run. Next: ./beffroi up{_state_words(config)}")
        if found is not None and not found.stopping:
            print("It ended without stopping its processes; the next start ends what is left of them.")
    elif found is None:
        print(
            f"The centre of {config.state} is being prepared; nothing has started yet. Next: wait, ask again"
        )
    else:
        print("\n".join(lines(found)))
        print("\n".join(account_lines(config, accounts.load(config), secrets=False)))
    old = _old(config, found) if pid and found else ""
    troubles = (old, checks.low_disk(config), *wrong.values())
    if not options.json:
        notes = [ask(config) if pid else "" for ask in _NOTES]
        said = [one for one in (*notes, advice, *troubles) if one]
        print("\n".join(said), end="\n" if said else "")
    well = bool(pid) and found is not None and all(one.state == "healthy" for one in found.processes)
    return 0 if well and not any(troubles) else 1


def _old(config: Config, found: status.CentreStatus) -> str:
    """ "" or that the supervisor, which writes each ten seconds, cannot: then "healthy" is what was."""
    age_s = clock.epoch_s() - found.written_at
    if not found.ready or age_s < OLD_S:
        return ""
    return (
        f"All of this is from {age_s} s ago: {status.directory(config)} is not written any more."
        " Next: look whether its disk is full or read-only (df -h, df -i, dmesg)"
    )


class NoAccounts(BeffroiError):
    """No demonstration accounts are readable in {}. Next: run it as root; a deleted file is not made again."""

    code = "cli.no_accounts"


def _accounts(config: Config) -> int:
    found = accounts.load(config)
    if not found:
        raise NoAccounts(accounts.path(config))
    print("\n".join(account_lines(config, found, secrets=True)))
    return 0


def lines(found: status.CentreStatus) -> list[str]:
    """The status for a person: addresses, processes, then each problem with its next step."""
    shown = [f"{_LABELS.get(name, name) + ':':<16}{value}" for name, value in found.addresses.items()]
    shown.append("")
    for one in found.processes:
        restarts = f", restarted {one.restarts} times" if one.restarts else ""
        shown.append(f"  {one.name:<13}{one.state}{restarts}")
    ill = [one for one in found.processes if one.state != "healthy"]
    if ill and not found.stopping:
        shown += ["", "What is wrong:" if found.ready else "Not yet ready:"]
        for one in ill:
            shown.append(f"  {one.name}: {one.problem or one.state} {one.advice}".rstrip())
    shown += [f"Note: {notice}" for notice in found.notices]
    return [*shown, ""]


def _state_words(config: Config) -> str:
    """Of a command that names this centre."""
    return "" if config.state == DEFAULT_STATE else f" --state {config.state}"


def account_lines(config: Config, found: Iterable[accounts.Account], *, secrets: bool) -> list[str]:
    """The accounts with their passwords; without ``secrets`` where they are."""
    listed = list(found)
    if not listed:
        return []
    state = _state_words(config)
    if not secrets:
        return [f"Accounts and passwords: ./beffroi status{state} --accounts ({accounts.path(config)})", ""]
    shown = ["Demonstration accounts (portal):"]
    for one in listed:
        if not one.console:
            shown.append(
                f"  {one.email:<28}{one.password:<21}{one.name}, {one.role}, {', '.join(one.communes)}"
            )
    shown.append("Demonstration account (console):")
    for one in listed:
        if one.console:
            shown.append(f"  {one.email:<28}{one.password:<21}code: ./beffroi code{state} {one.email}")
    return [*shown, ""]
