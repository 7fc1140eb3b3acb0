"""`bench immunity`: from the commit of a decision to every box, every mailbox, and back; several rounds in one world.

Peer:    fail2ban, where it is installed: a line in a watched log to the start of its ban action (a time stamp,
         no firewall call), in the same run. It blocks
         on one machine only; nothing at hand does the whole. CrowdSec is not run, and a row says why.
Process: root; the laboratory's namespaces.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from beffroi_lab import campaign, plan
from beffroi_lab.report import Report, percentiles
from beffroi_lab.scenario import Scenario
from beffroi_lab.world import World, world

from bench.rows import Row

ROUNDS_BLOCK = 30
_PEER_ROUNDS = 3
_PEER_S = 40
_FAR_ADDRESS = "91.240.118.{}"
CROWDSEC = "CrowdSec 1.4.6 with its nftables bouncer"
CROWDSEC_WHY = "not run: its Debian packages start services and register, and it filters no forwarded packet"
FAIL2BAN = "fail2ban 1.1, one machine: log line to ban action"


def run(say: Callable[[str], None]) -> list[Row]:
    lures = [campaign.load(path) for path in campaign.choose(None)]
    with world(plan.make(3), lures, say=say) as made:
        block, undo = _rounds(made, say)
        scenes = []
        for lure in lures:
            report = Report(say=say)
            Scenario(made, lure, report, browsers=False).run()
            scenes.append(report)
        say("measuring the peer")
        peer, why = _fail2ban(made)
    clean = percentiles(s.figures["clean_ms"] for s in scenes if s.figures.get("clean_ms"))
    back = percentiles(s.figures["undo_ms"] for s in scenes if s.figures.get("undo_ms"))
    failures = [f for s in scenes for f in s.failures]
    packets = [s.figures["packets_refused_ms"]["max"] for s in scenes]
    return [
        Row("decision to a box enforcing, p50 of 3 boxes", "ms", block["p50"], peer, FAIL2BAN, None, why),
        Row("the same", "ms", block["p50"], None, CROWDSEC, None, CROWDSEC_WHY),
        Row("decision to a box enforcing, p99 of 3 boxes", "ms", block["p99"], target=200),
        Row("decision to the last box enforcing", "ms", block["max"], target=1000),
        Row("end of a decision to a box releasing, p99", "ms", undo["p99"], target=200),
        Row("decision to the first refused packet, slowest town hall", "ms", max(packets), target=1000),
        Row("decision to the last mailbox clean (by IMAP), worst", "ms", clean["max"], target=2000),
        Row("undo to packets and mails back everywhere, worst", "ms", back["max"], target=2000),
        Row(
            "proofs of the scenario not seen",
            "count",
            len(failures),
            target=0,
            note="; ".join(failures)[:200],
        ),
    ]


def _rounds(made: World, say: Callable[[str], None]) -> tuple[dict[str, Any], dict[str, Any]]:
    say(f"{ROUNDS_BLOCK} blocks and releases of one address")
    block: list[int] = []
    undo: list[int] = []
    for number in range(ROUNDS_BLOCK):
        since = int(time.time() * 1000) - 1
        made_id = made.centre.ask("block", kind="ip", value=_FAR_ADDRESS.format(number + 100))["decision_id"]
        block += _times(made, made_id, since, ended=False)
        made.centre.ask("withdraw", decision_id=made_id)
        undo += _times(made, made_id, since, ended=True)
    return percentiles(block), percentiles(undo)


def _times(made: World, decision_id: str, since: int, *, ended: bool) -> list[int]:
    rows = made.centre.ask("decided", since_ms=since)["decisions"]
    began = next(d["ended_ms" if ended else "activated_ms"] for d in rows if d["id"] == decision_id)
    seen = made.centre.ask("enforced", decision_ids=[decision_id], boxes_wanted=len(made.boxes), ended=ended)
    return [at - began for at in seen["boxes"].values()]


def _fail2ban(made: World) -> tuple[float | None, str]:
    """Return (p50 of log line to ban in ms, "") or (None, why it did not run)."""
    if shutil.which("fail2ban-server") is None:
        return None, "not installed here (apt-get install fail2ban), so not measured"
    with tempfile.TemporaryDirectory(prefix="beffroi-peer-") as text:
        directory = Path(text)
        log = directory / "watched.log"
        log.touch()
        _write_jail(directory, log)
        server = subprocess.Popen(
            made.network["inet"].command(
                [
                    "fail2ban-server",
                    "-f",
                    "-c",
                    str(directory),
                    "-s",
                    str(directory / "s"),
                    "-p",
                    str(directory / "p"),
                ]
            ),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        try:
            time.sleep(5)
            taken = [_ban_ms(log, directory, number) for number in range(_PEER_ROUNDS)]
        finally:
            server.terminate()
            server.wait(20)
    good = [t for t in taken if t is not None]
    return (percentiles(good)["p50"], "") if good else (None, "installed, but banned nothing in time")


def _write_jail(directory: Path, log: Path) -> None:
    shutil.copytree("/etc/fail2ban", directory, dirs_exist_ok=True)
    (directory / "jail.d").mkdir(exist_ok=True)
    for one in (directory / "jail.d").iterdir():
        one.unlink()
    (directory / "filter.d" / "peer.conf").write_text("[Definition]\nfailregex = ^ bad login from <HOST>$\n")
    (directory / "action.d" / "peer.conf").write_text(
        f"[Definition]\nactionban = date +%%s%%3N > {directory}/ban-<ip>\nactionunban =\n"
    )
    (directory / "jail.local").write_text(
        f"[DEFAULT]\nbackend = auto\n[peer]\nenabled = true\nfilter = peer\nlogpath = {log}\n"
        "maxretry = 1\naction = peer\n"
    )


def _ban_ms(log: Path, directory: Path, number: int) -> float | None:
    address = _FAR_ADDRESS.format(number + 10)
    began = time.time()
    with log.open("a") as file:
        file.write(f"{time.strftime('%Y-%m-%d %H:%M:%S')} bad login from {address}\n")
    mark = directory / f"ban-{address}"
    while time.time() - began < _PEER_S:
        if mark.exists() and (text := mark.read_text().strip()):
            return int(text) - began * 1000
        time.sleep(0.02)
    return None


def main(say: Callable[[str], None] = lambda text: print(text, file=sys.stderr)) -> list[Row]:
    return run(say)
