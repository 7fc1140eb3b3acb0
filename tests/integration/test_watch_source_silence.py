"""With default settings nothing goes outside: every packet of the fetching process is counted by the kernel."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from beffroi.core.events.running import run_periodic
from beffroi.watch.sources import actions, handover
from beffroi.watch.sources.catalogue import CATALOGUE
from beffroi.watch.sources.fetch import wake_socket
from beffroi.watch.sources.models import FeedSource

from tests.publishing import SYSTEM
from tests.waiting import PATIENCE_S, until

pytestmark = [pytest.mark.root, pytest.mark.netns, pytest.mark.usefixtures("database")]
pytest_plugins = ["tests.fixtures_sources"]
SPACE = f"bfsrc{os.getpid()}"
RULES = """
table inet silence {
  counter sent { }
  chain out {
    type filter hook output priority 0; policy accept;
    meta l4proto { tcp, udp } counter name "sent"
  }
}
"""


def run(*argv: str, text: str | None = None) -> str:
    return subprocess.run(argv, input=text, capture_output=True, text=True, check=True).stdout


@pytest.fixture
def space() -> Iterator[str]:
    """A network with a way out that leads nowhere, and a counter on it."""
    run("ip", "netns", "add", SPACE)
    try:
        inside = ("ip", "netns", "exec", SPACE)
        run(*inside, "ip", "link", "set", "lo", "up")
        run(*inside, "ip", "link", "add", "out0", "type", "veth", "peer", "name", "out1")
        run(*inside, "ip", "addr", "add", "198.51.100.2/24", "dev", "out0")
        run(*inside, "ip", "link", "set", "out1", "up")
        run(*inside, "ip", "link", "set", "out0", "up")
        run(*inside, "ip", "route", "add", "default", "via", "198.51.100.1")
        run(*inside, "nft", "-f", "-", text=RULES)
        yield SPACE
    finally:
        run("ip", "netns", "delete", SPACE)


def packets(space: str) -> int:
    told = json.loads(run("ip", "netns", "exec", space, "nft", "-j", "list", "counters"))
    return sum(int(one["counter"]["packets"]) for one in told["nftables"] if "counter" in one)


def test_nothing_leaves_before_an_administrator_starts_a_source(space: str, sources_state: Path) -> None:
    for one in CATALOGUE:
        actions.add_source(
            actor=SYSTEM,
            name=one.name,
            address=one.address,
            format=one.format,
            licence=one.licence,
            weight=one.weight,
            options=dict(one.options),
            secret="clé" if "{key}" in one.address else "",
        )
    run("ip", "netns", "exec", space, "sh", "-c", "true")  # entering it alone sends nothing
    assert packets(space) == 0
    argv = ("ip", "netns", "exec", space, sys.executable, "-m", "beffroi.watch.sources.fetch")
    process = subprocess.Popen(argv, env={**os.environ, "BEFFROI_STATE": str(sources_state)})
    try:
        socket = wake_socket(sources_state)
        until(lambda: socket.exists() or process.poll() is not None, "the fetching process is not ready")
        assert process.poll() is None
        for _ in range(3):
            run_periodic("sources")
            time.sleep(1)
        assert list(handover.asks(sources_state)) == []
        assert packets(space) == 0
        # The counter counts: one that is started is looked for.
        started = FeedSource.objects.get(name=CATALOGUE[0].name)
        actions.start_source(actor=SYSTEM, source=started)
        run_periodic("sources")
        until(lambda: packets(space), "the started source is not asked for")
    finally:
        process.terminate()
        process.wait(PATIENCE_S)
    assert FeedSource.objects.filter(active=True).count() == 1
