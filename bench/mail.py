"""`bench mail`: the whole post office and the bare engines in one run.

What:    the real centre in the laboratory's datacenter, mail from the internet's namespace. First ours: accepted and
         delivered a second, latency, processor time a mail of each process, IMAP, a withdrawal, idle connections, the
         webmail at many mails. Then the centre is stopped and the same engines start over the same mailboxes
         without what is ours in them (``bare``). The same mail again. A DNS of the senders' names answers both.
Peer:    the bare engines. Processor time is what the kernel counted for a process and all that it started.
Process: root; the laboratory's namespaces. The clients take their time from the same processors, in both halves.
"""

from __future__ import annotations

import argparse
import http.client
import os
import re
import socket
import time
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Any
from urllib.parse import quote_plus

from beffroi_lab import plan as plans
from beffroi_lab.centre import PORTAL
from beffroi_lab.report import percentiles
from beffroi_lab.running import Hands, wait_until
from beffroi_lab.topology import LabFailed

from bench import kernel_books
from bench.bare import ENGINES, bare_engines
from bench.datacenter import Datacenter, Names, started
from bench.mail_clients import SENDERS
from bench.rows import Row

OURS = ("mailgate", "remediation", "sources")
"""What each mail costs beside the engines: its check and its evidence, its entry in the record of deliveries."""
SESSIONS, SIZE_BYTES = 20, 10_000
WARM_UP = 200
"""Mails before those that count, one a mailbox: in both halves nobody gets the first mail of their life."""
LURE = "https://colis-suivi-paiement.fr/r/{}"
PAGES, SEARCHES = 60, ("délibération", "budget eau", "préfecture")
SETTLED_S, QUIET_CPU = 60, 0.1
IDLE_KILL_S, HIBERNATED_S = 75, 420
"""Dovecot ends what it has not needed for a minute. It lays a connection in IDLE down after 30 s without a change;
the first count of a mailbox's room is one, and 100 mailboxes are counted each 30 s."""
_SENT = re.compile(r" relay=[^ ]*dovecot-lmtp\], (?:conn_use=\d+, )?delay=([0-9.]+), .* status=sent ")


def add_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--mails", type=int, default=600, help="mails of each half")
    parser.add_argument("--mailboxes", type=int, default=1000, help="a withdrawal reaches three in ten")
    parser.add_argument("--stored", type=int, default=50_000, help="mails in the mailbox of the webmail")


def run(say: Callable[[str], None], options: argparse.Namespace) -> list[Row]:
    """Errors: LabImpossible, LabFailed."""
    known = Names(hostile=[LURE.split("/")[2]], sender_domains=SENDERS)
    with started(say, known=known) as at, ExitStack() as stack:
        network, directory, centre = at.network, at.directory, at.centre
        office = _Office(at, options, say)
        stack.callback(office.close)
        rows = [*office.idle_memory(), *office.provision()]
        ours = office.mail("ours", centre.pids())
        reading = office.reading()
        rows += office.withdrawal()
        rows += office.many_idle(centre.pids())
        rows += office.webmail()
        centre.stop()
        say("the same engines, bare")
        with bare_engines(network, centre.state, directory) as pids:
            bare = office.mail("bare", pids)
            bare_reading = office.reading()
        return [*_compared(ours, bare, reading, bare_reading), *rows]


class _Mail:
    """What one half measured."""

    def __init__(self, accepted: float, delivered: float, delays_s: list[float], cpu_ms: Mapping[str, float]):
        self.accepted_a_second, self.delivered_a_second = accepted, delivered
        self.delay_ms = percentiles(round(1000 * one) for one in delays_s)
        self.cpu_ms = dict(cpu_ms)
        self.total_ms = sum(cpu_ms.values())


class _Office:
    def __init__(self, at: Datacenter, options: argparse.Namespace, say: Callable[[str], None]) -> None:
        network, plan, centre, directory = at.network, at.plan, at.centre, at.directory
        self.network, self.plan, self.centre, self.say = network, plan, centre, say
        self.mails, self.stored = int(options.mails), int(options.stored)
        self.count = int(options.mailboxes)
        state = {"BEFFROI_STATE": str(centre.state)}
        module = "bench.mail_clients"
        self.inet = Hands(network["inet"], directory / "senders.log", module=module)
        self.inside = Hands(network["dc"], directory / "readers.log", module=module, environment=state)
        self.master = at.beside("bench.postmaster", "beffroi.settings.web")
        self.log = centre.state / "log" / "postfix.log"
        share = -(-self.count // len(plan.communes))
        self.shares = {c.domain: min(share, self.count - i * share) for i, c in enumerate(plan.communes)}
        self.addresses = [f"boite{n}@{domain}" for domain, many in self.shares.items() for n in range(many)]

    def close(self) -> None:
        for one in (self.inet, self.inside, self.master):
            one.stop()

    # -- steps -------------------------------------------------------------------------------------------

    def idle_memory(self) -> list[Row]:
        pids = {
            name: pid for name, pid in self.centre.pids().items() if name in ENGINES or name == "mailgate"
        }
        seen: list[int] = []

        def settled() -> bool:
            seen.append(sum(len(kernel_books.family(pid)) for pid in pids.values()))
            return len(seen) > 5 and len(set(seen[-5:])) == 1

        wait_until(settled, SETTLED_S, 1)
        return [
            Row(f"memory idle: {name}", "MiB", kernel_books.mebibytes(kernel_books.family(pid)))
            for name, pid in pids.items()
        ]

    def provision(self) -> list[Row]:
        self.say(f"{self.count} mailboxes")
        began, before = time.monotonic(), self.master.ask("ready")["count"]
        for domain, many in self.shares.items():
            self.master.ask("provision", within_s=600, domain=domain, first=0, count=many)
        wanted = before + self.count
        if not wait_until(lambda: self.master.ask("ready")["count"] >= wanted, 60 + self.count / 3, 0.5):
            raise LabFailed(
                f"{self.master.ask('ready')['count'] - before} of {self.count} mailboxes are ready"
            )
        rate = round(self.count / (time.monotonic() - began), 1)
        return [Row("mailboxes made ready, each with its key pair", "1/s", rate)]

    def mail(self, name: str, pids: Mapping[str, int]) -> _Mail:
        self.say(f"{self.mails} mails of {SIZE_BYTES // 1000} kB over {SESSIONS} sessions")
        os.sync()  # neither half waits for what earlier steps have written
        self._send(f"{name}-warm", WARM_UP)
        self._wait_until_quiet(pids)
        counted = [one for one in (*ENGINES, *OURS) if one in pids]
        before = {one: kernel_books.cpu_s(pids[one]) for one in counted}
        start, on_record = self.log.stat().st_size, self._recorded()
        began = time.monotonic()
        accepted_s = self._send(name, self.mails)
        delivered_s = time.monotonic() - began
        delays = self._delays(start)
        if "mailgate" in pids:  # evidence and record are written in the background: they belong to the price
            self._wait_for_record(on_record + self.mails)
        self._wait_until_quiet(pids)  # so do the words of the last mails, in both halves
        used = {one: 1000 * (kernel_books.cpu_s(pids[one]) - before[one]) / self.mails for one in counted}
        return _Mail(self.mails / accepted_s, self.mails / delivered_s, delays, used)

    def _wait_until_quiet(self, pids: Mapping[str, int]) -> None:
        """Until Dovecot has no more to do with what was delivered: its index of words follows behind."""
        read = float("-inf")

        def quiet() -> bool:
            nonlocal read
            before, read = read, kernel_books.cpu_s(pids["dovecot"])
            return read - before < QUIET_CPU

        wait_until(quiet, SETTLED_S, 1)

    def _send(self, name: str, count: int, **more: Any) -> float:
        """Send and wait until all lie in mailboxes; return how long it took until all were accepted, in seconds."""
        start = self.log.stat().st_size
        asked: dict[str, Any] = {
            "host": plans.CENTRE.v4,
            "source": plans.INNOCENT.v4,
            "recipients": self.addresses[:WARM_UP],
            "count": count,
            "sessions": min(SESSIONS, count),
            "size_bytes": SIZE_BYTES,
            "name": name,
            **more,
        }
        answer = self.inet.ask("send", within_s=900, **asked)
        if not answer["ok"]:
            raise LabFailed(f"{answer['failed']} mails were refused")
        wanted = count * int(asked.get("each", 1))
        if not wait_until(lambda: len(self._delays(start)) >= wanted, 300, 0.05):
            raise LabFailed(
                f"{len(self._delays(start))} of {wanted} mails were delivered; Postfix says: {self._put_off(start)}"
            )
        return float(answer["took_s"])

    def _delays(self, start: int) -> list[float]:
        """Seconds from the first word of each mail to its mailbox, by Postfix's log from this place on."""
        with self.log.open("rb") as file:
            file.seek(start)
            return [float(found[1]) for found in _SENT.finditer(file.read().decode("utf-8", "replace"))]

    def _put_off(self, start: int) -> str:
        """The last reason why a mail waits."""
        lines = self.log.read_bytes()[start:].decode("utf-8", "replace").splitlines()
        return next(
            (line[-300:] for line in reversed(lines) if " status=" in line and "=sent" not in line), "nothing"
        )

    def reading(self) -> float:
        count = 200
        answer = self.inside.ask("read", within_s=300, addresses=self.addresses, count=count, sessions=4)
        return float(count / answer["took_s"])

    def withdrawal(self) -> list[Row]:
        each = min(30, 3 * self.count // 10)
        hit = 3 * self.count // 10 // each * each
        self.say(f"a lure to {hit} of {self.count} mailboxes, and its withdrawal")
        link = LURE.format(int(time.time()))
        before = self._recorded()
        self._send("lure", hit // each, each=each, link=link, recipients=self.addresses[:hit])
        began = time.monotonic()
        self._wait_for_record(before + hit)
        record_ms = round(1000 * (time.monotonic() - began))
        decision_id = self.centre.ask("block", kind="url", value=link)["decision_id"]
        found: dict[str, Any] = {}

        def over() -> bool:
            found.update(self.master.ask("withdrawn", decision_id=decision_id))
            return found["took_ms"] is not None and found["moved"] >= hit

        wait_until(over, 120, 0.2)
        words = f"decision to {hit} of {self.count} mailboxes clean"
        record = Row("last mailbox reached to all copies on record", "ms", record_ms)
        if found.get("moved") != hit:
            return [record, Row(words, "ms", None, target=2500, note=f"{found}")]
        return [record, Row(words, "ms", found["took_ms"], target=2500 if hit <= 300 else None)]

    def _recorded(self) -> int:
        return int(self.master.ask("recorded")["count"])

    def _wait_for_record(self, copies: int) -> None:
        if not wait_until(lambda: self._recorded() >= copies, 120, 0.2):
            raise LabFailed(f"{copies - self._recorded()} copies are not on record")

    def many_idle(self, pids: Mapping[str, int]) -> list[Row]:
        chosen = self.addresses[:1000]
        self.say(f"{len(chosen)} connections in IDLE")

        def awake() -> int:
            return len(kernel_books.named(kernel_books.family(pids["dovecot"]), "imap"))

        ready = awake()
        held = self.inside.ask("idle", within_s=600, addresses=chosen)["held"]
        fewest, since = len(kernel_books.family(pids["dovecot"])), time.monotonic()

        def idle() -> bool:
            """All laid down, and what deliveries and sign-ins needed has ended."""
            nonlocal fewest, since
            if (now := len(kernel_books.family(pids["dovecot"]))) < fewest:
                fewest, since = now, time.monotonic()
            return awake() <= ready + 1 and time.monotonic() - since > IDLE_KILL_S

        wait_until(idle, HIBERNATED_S, 1)
        memory = {
            one: kernel_books.mebibytes(kernel_books.family(pids[one])) for one in ENGINES if one in pids
        }
        of_dovecot = kernel_books.family(pids["dovecot"])
        still = max(0, awake() - ready)
        alive = self.inside.ask("leave", within_s=300)["alive"]
        note = (
            f"{'; '.join(f'{one} {mib}' for one, mib in memory.items())}; Dovecot in {len(of_dovecot)} processes,"
            f" {still} of them not laid down; {alive} of {held} still answered"
        )
        return [
            Row(
                f"memory of the engines, {held} in IDLE",
                "MiB",
                round(sum(memory.values())),
                target=400,
                note=note,
            )
        ]

    def webmail(self) -> list[Row]:
        person = self.plan.communes[0].people[0].email
        self.say(f"{self.stored} mails into one mailbox")
        self.inside.ask("fill", within_s=3600, address=person, first=0, count=self.stored, size_bytes=2000)
        self.inside.ask("settled", within_s=1800, address=person, word="commune")
        asked = self.master.ask("session", email=person)
        portal = _Portal(self.centre.state / "run" / "web.sock", asked["cookie"])
        rows = []
        for words, paths in (
            (f"webmail: list at {self.stored} mails", [asked["path"]] * PAGES),
            (
                f"webmail: search at {self.stored} mails",
                [f"{asked['path']}?q={quote_plus(SEARCHES[n % len(SEARCHES)])}" for n in range(PAGES)],
            ),
        ):
            times = sorted(portal.get(path) for path in paths)
            target = 150 if "list" in words else None
            rows.append(Row(f"{words}, p50", "ms", times[len(times) // 2]))
            rows.append(Row(f"{words}, p95", "ms", times[int(0.95 * len(times))], target=target))
        return rows


class _Portal:
    """The portal's own process, without the front door."""

    def __init__(self, path: Path, cookie: str) -> None:
        self._path, self._cookie = path, cookie

    def get(self, path: str) -> float:
        """Milliseconds to the whole page. Errors: LabFailed for anything but a page."""
        connection = http.client.HTTPConnection("localhost", timeout=60)
        connection.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        connection.sock.settimeout(60)
        began = time.monotonic()
        connection.sock.connect(str(self._path))
        headers = {
            "Host": PORTAL,
            "Cookie": self._cookie,
            "X-Beffroi-Listener": "portal",
            "X-Forwarded-Proto": "https",
        }
        connection.request("GET", path, headers=headers)
        answer = connection.getresponse()
        answer.read()
        taken_ms = round(1000 * (time.monotonic() - began), 1)
        connection.close()
        if answer.status != 200:
            raise LabFailed(f"the portal answers {answer.status}")
        return taken_ms


def _compared(ours: _Mail, bare: _Mail, reading: float, bare_reading: float) -> list[Row]:
    peer = "the engines bare"

    def rate(work: str, mine: float, theirs: float) -> Row:
        return Row(work, "1/s", round(mine, 1), round(theirs, 1), peer, more_is_better=True)

    def cost(name: str) -> Row:
        work, mine = f"processor time a mail: {name}", round(ours.cpu_ms[name], 2)
        if name not in bare.cpu_ms:
            return Row(work, "ms", mine)
        return Row(work, "ms", mine, round(bare.cpu_ms[name], 2), peer)

    share = 100 * (ours.total_ms - bare.total_ms) / bare.total_ms
    return [
        rate("mails accepted", ours.accepted_a_second, bare.accepted_a_second),
        rate("mails delivered", ours.delivered_a_second, bare.delivered_a_second),
        *(
            Row(f"first word to the mailbox, {which}", "ms", ours.delay_ms[which], bare.delay_ms[which], peer)
            for which in ("p50", "p99")
        ),
        *map(cost, ours.cpu_ms),
        Row("processor time a mail: all", "ms", round(ours.total_ms, 1), round(bare.total_ms, 1), peer),
        Row("what is ours, of the bare engines' time", "%", round(share, 1), target=10),
        rate("IMAP: sign in, open, fetch one", reading, bare_reading),
    ]
