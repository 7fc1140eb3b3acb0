"""`bench stream FOLDER`: of real lures in the order in which they came, how many do the earlier ones stop?

What:    each lure passes the real door once (Postfix, rspamd, scan, mailgate, in the laboratory's datacenter), handed
         in from the address that its receiver wrote down, with what that receiver found of SPF, DKIM and DMARC. Then
         the months are lived through by the centre's own rules, with their times: a lure comes to three town halls,
         and is refused, or set aside, or two of them report it (bench.replay). Honest mail passes the same door first;
         what of it the decisions of all these months name is counted.
Peer:    the same lures, each town hall by itself: none is stopped before somebody has read it.
Process: root; the laboratory's namespaces. No packet leaves them.
Input:   hostile mails, given on the command line. Only their heads are read here.
"""

from __future__ import annotations

import argparse
import base64
import contextlib
import email.policy
import ipaddress
import json
import re
import tarfile
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import UTC, datetime
from email.message import Message
from email.parser import BytesHeaderParser
from email.utils import parseaddr, parsedate_to_datetime
from pathlib import Path
from typing import Any

from beffroi_lab import history
from beffroi_lab import plan as plans
from beffroi_lab.centre import SMTP_PORT
from beffroi_lab.running import Hands
from beffroi_lab.topology import LabFailed, Network

from bench.datacenter import Names, started
from bench.rows import Row
from tests import corpus

MOST_BYTES = 1 << 20
DOMAIN = "courrier-rejoue.net"
KEY = "{}." + DOMAIN
"""HELO of each mail: by it its evidence is found again."""
_FALLBACK = f"ne-pas-repondre@{DOMAIN}"
_RESULT = re.compile(r"\b(spf|dkim|dmarc)=(\w+)")
_USABLE = re.compile(r"[\w.+=-]+@[\w-]+(\.[\w-]+)+", re.ASCII)


def add_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("folder", type=Path, help="a folder of .eml files as their receiver kept them")
    parser.add_argument(
        "--honest", type=int, default=500, help="mails of SpamAssassin's corpus of honest mail"
    )
    parser.add_argument("--each", type=Path, help="a file for what became of each lure, a JSON object a line")


@dataclass(frozen=True)
class Letter:
    """A mail to be handed in. ``at_s``: when its receiver got it (epoch seconds); ``client_ip``: from whom."""

    path: Path
    raw: bytes
    at_s: float
    client_ip: str
    mail_from: str
    auth: dict[str, str]


def run(say: Callable[[str], None], options: argparse.Namespace) -> list[Row]:
    """Errors: LabImpossible, LabFailed."""
    lures = sorted(letters(sorted(options.folder.rglob("*.eml"))), key=lambda one: one.at_s)
    if not lures:
        raise LabFailed(f"there is no .eml file with a date in {options.folder}")
    ham = honest(options.honest)
    known = Names(innocent=history.link_hosts(), sender_domains=history.domains())
    with started(say, known=known) as at, ExitStack() as stack:
        network, plan, centre = at.network, at.plan, at.centre
        inet = Hands(network["inet"], at.directory / "inet.log")
        stack.callback(inet.stop)
        replay = at.beside("bench.replay", "beffroi.settings.base")
        stack.callback(replay.stop)
        if not replay.ask("ready", within_s=300)["ok"]:
            raise LabFailed("the mailboxes were not opened")
        history.live_through(inet, centre, plan, history.DAYS)
        recipient = plan.communes[0].people[0].email
        for words, prefix, mails in (("honest mails", "h", ham), ("lures", "l", lures)):
            say(f"{len(mails)} {words} through the door")
            _hand_in(network, inet, recipient, prefix, mails)
        replay.ask("wait", within_s=300, helo=KEY.format(f"l{len(lures) - 1}"))
        centre.stop()
        say(f"{round((lures[-1].at_s - lures[0].at_s) / 86400)} days in which they come")
        told = [
            {"helo": KEY.format(f"l{n}"), "at_s": one.at_s, "auth": one.auth} for n, one in enumerate(lures)
        ]
        people = [c.people[0].email for c in plan.communes]
        found = replay.ask("play", within_s=7200, lures=told, people=people)
        if options.each is not None:
            lines = (
                json.dumps({"file": one.path.name, **end})
                for one, end in zip(lures, found["each"], strict=True)
            )
            options.each.write_text("\n".join(lines) + "\n", "utf-8")
        return rows(found, len(lures))


def rows(found: dict[str, Any], came: int) -> list[Row]:
    """``found``: as bench.replay tells it."""
    ends = Counter(one["end"] for one in found["each"])
    by = Counter(one["by"].partition(" ")[0] for one in found["each"] if one["end"] == "stopped")

    def share(names: Sequence[str], of: int) -> float:
        return round(100 * sum(ends[name] for name in names) / max(1, of), 1)

    aside, stopped = ("aside", "aside_and_stopped"), ends["stopped"]
    inbox = came - ends["unread"] - sum(ends[name] for name in aside)
    kinds = ", ".join(f"{kind} {count}" for kind, count in by.most_common())
    alone = "each town hall by itself"
    return [
        Row("lures that came", "count", came, note=f"{ends['unread']} left no evidence at the door"),
        Row("the door alone sets aside (spam, files, shapes)", "%", share(aside, came)),
        Row("the others, which lie in the inbox", "count", inbox),
        Row("of them: stopped by what was decided before", "%", share(["stopped"], inbox), 0.0, alone,
            note=f"{stopped}; named by {kinds or 'nothing'}", more_is_better=True),
        Row("of them: stopped once two town halls reported", "%", share(["after_two"], inbox)),
        Row("of them: once the Département agreed, too", "%", share(["after_word"], inbox)),
        Row("of them: nothing in them may be blocked for all", "%", share(["never"], inbox)),
        Row("honest mails that any of the decisions names", "count", found["honest_hit"], target=0,
            note=f"of {found['honest']}"),
    ]  # fmt: skip


def letters(paths: Iterable[Path]) -> list[Letter]:
    """Those whose head says when they came."""
    return [one for path in paths if (one := letter(path, path.read_bytes()[:MOST_BYTES])) is not None]


def letter(path: Path, raw: bytes, known_ip: str = plans.ATTACKER_SENDER.v4) -> Letter | None:
    """``known_ip``: from whom it came where its receiver did not write that down."""
    head = BytesHeaderParser(policy=email.policy.compat32).parsebytes(raw)
    at_s = _received_s(head)
    if at_s is None:
        return None
    senders = (parseaddr(str(head.get(name, "")))[1] for name in ("Return-Path", "From"))
    mail_from = next((one for one in senders if _USABLE.fullmatch(one)), _FALLBACK)
    said = dict(_RESULT.findall(str(head.get("Authentication-Results", ""))))
    return Letter(path, raw, at_s, _client(str(head.get("X-Sender-IP", ""))) or known_ip, mail_from, said)


def _received_s(head: Message) -> float | None:
    """By its receiver's clock; by its sender's where that is not told."""
    for text in (str(head.get("Received", "")).rpartition(";")[2], str(head.get("Date", ""))):
        with contextlib.suppress(ValueError, TypeError):
            found = parsedate_to_datetime(text.strip())
            return found.replace(tzinfo=found.tzinfo or UTC).timestamp()
    return None


def _client(text: str) -> str:
    with contextlib.suppress(ValueError):
        address = ipaddress.ip_address(text.strip())
        if address.version == 4 and address.is_global:
            return str(address)
    return ""


def honest(count: int) -> list[Letter]:
    """Of the corpus's honest mails, in three groups of different difficulty. Errors: LabFailed (it cannot be had)."""
    found: list[Letter] = []
    if count and (why := corpus.fetch()):
        raise LabFailed(why)
    if not count:
        return found
    with tarfile.open(corpus.PLACE) as archive:
        wanted = sorted(n for n in archive.getnames() if "-ham-" in n and n.endswith(".txt"))
        chosen = set(wanted[:: max(1, len(wanted) // count)][:count])
        for member in archive:
            if member.name in chosen and (content := archive.extractfile(member)) is not None:
                one = letter(Path(member.name), content.read(MOST_BYTES), plans.INNOCENT.v4)
                if one is not None:
                    found.append(one)
    return found


def _hand_in(network: Network, inet: Hands, recipient: str, prefix: str, mails: list[Letter]) -> None:
    """Errors: LabFailed, where the door is away."""
    own = {plans.ATTACKER_SENDER.v4, plans.INNOCENT.v4}
    network.give(sorted({one.client_ip for one in mails} - own))
    for number, one in enumerate(mails):
        answer = inet.ask(
            "smtp",
            host=plans.CENTRE.v4,
            port=SMTP_PORT,
            source=one.client_ip,
            helo=KEY.format(f"{prefix}{number}"),
            mail_from=one.mail_from,
            recipient=recipient,
            data=base64.b64encode(re.sub(rb"\r?\n", b"\r\n", one.raw)).decode(),
        )
        if not answer["ok"] and answer["code"] < 500:
            raise LabFailed(f"mail {number} of {datetime.fromtimestamp(one.at_s, UTC):%F}: {answer}")
