"""An outside list in the laboratory: published over TLS in its internet, fetched by the centre, held until a person
accepts it, in the kernel of every box; taken back with one word; tried before it blocks. Before all that, nothing
leaves the centre. Then boxes of the same département are replaced and shut out.

With BEFFROI_DATA the list is IPsum as published, more than a hundred thousand addresses; without, as many made ones.
"""

from __future__ import annotations

import gzip
import ipaddress
import json
import os
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from beffroi_lab import plan as plans
from beffroi_lab import replacement
from beffroi_lab.report import Report
from beffroi_lab.running import Program, wait_until
from beffroi_lab.world import World, world

from tests.publishing import certificate
from tests.waiting import PATIENCE_S

pytestmark = [pytest.mark.root, pytest.mark.netns, pytest.mark.slow]
PORT = 23310
SERVER = """
import http.server, socketserver, ssl, sys
directory, certificate, address = sys.argv[1:4]
class Handler(http.server.SimpleHTTPRequestHandler):
    def __init__(self, *a): super().__init__(*a, directory=directory)
class Server(http.server.ThreadingHTTPServer):
    server_bind = socketserver.TCPServer.server_bind  # the other one asks for the name of the address
server = Server((address, int(sys.argv[4])), Handler)
context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
context.load_cert_chain(certificate)
server.socket = context.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
print("ready", flush=True)
server.serve_forever()
"""
WORDS = """
import json, sys, time
import django
django.setup()
from beffroi.core.identity.actor import Actor
from beffroi.watch.sources import actions, queries
from beffroi.watch.sources.models import FeedSource, SourceUpdate
actor, (do, *rest) = Actor.system("laboratory"), sys.argv[1:]
if do == "start":
    source = actions.add_source(actor=actor, name="IPsum", address=rest[0], format="plain", licence="Unlicense",
                                weight="list", kinds=["ip"])
    actions.start_source(actor=actor, source=source)
elif do == "again":
    actions.start_source(actor=actor, source=FeedSource.objects.get())
elif do == "accept":
    actions.answer_update(actor=actor, update=SourceUpdate.objects.get(state="held"), accept=True, why="laboratory")
elif do == "stop":
    actions.stop_source(actor=actor, source=FeedSource.objects.get())
elif do == "until":
    end = time.monotonic() + 200
    while queries.source_states(actor)[0].state != rest[0] and time.monotonic() < end:
        time.sleep(0.2)
print(json.dumps([{"state": one.state, "in_force": one.source.in_force, "error": one.source.last_error,
    "detail": one.source.last_error_detail, "kept": one.held.kept if one.held else 0}
    for one in queries.source_states(actor)]))
"""


@pytest.fixture(scope="module")
def made() -> Iterator[World]:
    with world(plans.make(3), [], history_days=0) as running:
        yield running


def words(made: World, *arguments: str) -> list[dict[str, Any]]:
    """Say a word as the console would, as the centre's own user."""
    environment = [f"BEFFROI_STATE={made.centre.state}", "DJANGO_SETTINGS_MODULE=beffroi.settings.base"]
    command = ["setpriv", "--reuid=beffroi", "--regid=beffroi", "--init-groups", "env", *environment]
    told = made.network["dc"].run([*command, sys.executable, "-c", WORDS, *arguments])
    found: list[dict[str, Any]] = json.loads(told.splitlines()[-1])
    return found


def reached(made: World, state: str) -> None:
    """Wait for it in one process: each costs a second of processor to start."""
    found = words(made, "until", state)
    assert found[0]["state"] == state, found


def listed() -> str:
    """The list as its publisher writes it."""
    found = sorted((Path(os.environ.get("BEFFROI_DATA") or "/nonexistent") / "feeds").glob("ipsum-*.txt.gz"))
    if found:
        return gzip.decompress(found[-1].read_bytes()).decode("ascii")
    first = int(ipaddress.ip_address("45.60.0.0"))
    return "# made\n" + "".join(f"{ipaddress.ip_address(first + n * 3)}\t3\n" for n in range(120_000))


def configured(made: World, text: str) -> None:
    """Start the process ``sources`` anew with these settings."""
    (made.centre.state / "beffroi.toml").write_text(text)
    before = made.centre.pid_of("sources")
    made.centre.restart("sources")
    assert wait_until(lambda: made.centre.pid_of("sources") not in (0, before), PATIENCE_S)


def observed(state: Path) -> int:
    """How many values of lists on trial a box has taken."""
    kept = (state / "lists" / "in-force").read_text().partition("\n")[2]
    return sum(one["count"] for _, one in json.loads(kept)["lists"] if one["action"] == "warn")


def covered(made: World, letter: str) -> int:
    """How many addresses the bulk sets of a box's kernel cover: bulk4_LENGTH_TURN holds networks of that length."""
    told = json.loads(made.network[f"box{letter}"].run(["nft", "-j", "list", "ruleset"]))
    sets = [one["set"] for one in told["nftables"] if "set" in one]
    return sum(
        len(one.get("elem", ())) << 32 - int(one["name"].split("_")[1])
        for one in sets
        if one["name"].startswith("bulk4_")
    )


def peak_mb(pid: int) -> int:
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM")) // 1024


def say(figures: str) -> None:
    """For whoever runs this with -s."""
    sys.stdout.write(f"\n{figures}\n")


def test_without_a_source_nothing_is_asked_outside(made: World) -> None:
    assert words(made, "show") == []
    directory = made.centre.state / "sources"
    assert list((directory / "ask").iterdir()) == []
    pid = made.centre.pid_of("fetch")
    assert pid
    # No socket but the one on which it is woken: it never talked to anybody.
    for table in ("tcp", "tcp6", "udp", "udp6"):
        inodes = {line.split()[9] for line in Path(f"/proc/{pid}/net/{table}").read_text().splitlines()[1:]}
        held = {str(one.readlink()) for one in Path(f"/proc/{pid}/fd").iterdir()}
        assert not {f"socket:[{inode}]" for inode in inodes} & held


def test_a_list_of_a_hundred_thousand_reaches_every_kernel_and_leaves_it(made: World, tmp_path: Path) -> None:
    public = tmp_path / "public"
    public.mkdir()
    text = listed()
    (public / "ipsum.txt").write_text(text, "ascii")
    host = plans.INNOCENT.v4
    authority, both = certificate(tmp_path, host)
    ca = made.centre.state / "sources-ca.pem"
    ca.write_bytes(authority.read_bytes())
    said = (made.centre.state / "beffroi.toml").read_text() + f'sources_ca = "{ca}"\n'
    configured(made, said + "list_trial_s = 0\n")
    argv = [sys.executable, "-c", SERVER, str(public), str(both), host, str(PORT)]
    server = Program(made.network["inet"], argv, tmp_path / "server.log")
    assert wait_until(lambda: "ready" in server.tail(), PATIENCE_S)
    empty = dict.fromkeys(made.boxes, 0)
    assert {letter: covered(made, letter) for letter in made.boxes} == empty
    try:
        began = time.monotonic()
        words(made, "start", f"https://{host}:{PORT}/ipsum.txt")
        reached(made, "held")
        held_s = time.monotonic() - began
        kept = words(made, "show")[0]["kept"]
        assert kept > 100_000
        assert {letter: covered(made, letter) for letter in made.boxes} == empty, "held: nothing is in force"
        began = time.monotonic()
        words(made, "accept")
        full = dict.fromkeys(made.boxes, 0.0)

        def everywhere() -> bool:
            for letter, at in full.items():
                if not at and made.boxes[letter].status().get("lists") == 1:
                    full[letter] = time.monotonic() - began
            return all(full.values())

        assert wait_until(everywhere, PATIENCE_S, 0.2), [box.status() for box in made.boxes.values()]
        assert {letter: covered(made, letter) for letter in made.boxes} == dict.fromkeys(made.boxes, kept)
        say(
            f"{kept} addresses: held after {held_s:.1f} s; accepted to the kernels of {len(full)} boxes"
            f" {max(full.values()):.1f} s; sources {peak_mb(made.centre.pid_of('sources'))} MB at most,"
            f" fetch {peak_mb(made.centre.pid_of('fetch'))} MB without its child"
        )
        began = time.monotonic()
        words(made, "stop")
        assert wait_until(
            lambda: all(b.status().get("lists") == 0 for b in made.boxes.values()), PATIENCE_S, 0.2
        )
        say(f"stopped: gone from every kernel after {time.monotonic() - began:.1f} s")
        assert {letter: covered(made, letter) for letter in made.boxes} == empty
        assert words(made, "show")[0] == {"state": "off", "in_force": 0, "error": "", "detail": "", "kept": 0}
        # Once more, with a trial: every box has it and observes, no kernel holds it before the trial is over.
        hours = "work_begins_h = 0\nwork_ends_h = 0\n"
        configured(made, f"{said}list_trial_s = 86400\n{hours}")
        words(made, "again")
        reached(made, "held")
        words(made, "accept")
        reached(made, "tried")
        assert wait_until(
            lambda: all(observed(b.state) == kept for b in made.boxes.values()), PATIENCE_S, 0.2
        )
        assert {letter: covered(made, letter) for letter in made.boxes} == empty
        assert words(made, "show")[0]["in_force"] == 0
        configured(made, f"{said}list_trial_s = 1\n{hours}")
        assert wait_until(
            lambda: all(b.status().get("lists") == 1 for b in made.boxes.values()), PATIENCE_S, 0.2
        )
        assert {letter: covered(made, letter) for letter in made.boxes} == dict.fromkeys(made.boxes, kept)
        assert (words(made, "show")[0]["state"], words(made, "show")[0]["in_force"]) == ("fresh", kept)
    finally:
        server.stop()


def test_a_box_is_replaced_and_another_revoked_on_the_console(made: World) -> None:
    """A dead one with a code and a fingerprint, a stolen one shut out: real agents, the console's own pages."""
    report = Report(say=print)
    replacement.play(made, report)
    assert report.failures == []
    assert set(report.figures) >= {"replacement_s", "revoked_ms"}  # shown with -s
