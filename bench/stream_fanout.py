"""How long from the commit of a decision until every connected box has read its signed line.

Run:     ``python bench/stream_fanout.py [--boxes 300] [--decisions 30] [--json]``; no root, no network.
Measure: a real stream process on a Unix socket and a real SQLite file with synchronous=FULL; each box is a
         connection of its own that authenticates with its own key. The clock starts when the transaction of the
         decision has returned and stops at each reader's receipt of the whole line; readers share this process,
         so that their own work is part of the figure. Front door, network and kernel of a box come on top.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import secrets
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from beffroi_protocol.indicators import normalise
from beffroi_protocol.requests import sign_request
from beffroi_protocol.signing import b64, delegate, fingerprint, public_bytes
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey


def prepare(state: Path) -> None:
    """Write a state directory with its keys and an empty database."""
    for name in ("secrets", "run", "log", "db"):
        (state / name).mkdir(parents=True)
    root, feed = Ed25519PrivateKey.generate(), Ed25519PrivateKey.generate()
    line = delegate(root, public_bytes(feed), serial=1, not_before=0, not_after=int(time.time()) + 86400)
    for name, content in {
        "django.key": secrets.token_hex(32).encode(),
        "feed.key": b64(feed.private_bytes_raw()).encode(),
        "feed-delegation.line": line,
        "door.token": secrets.token_hex(32).encode(),
        "live.key": secrets.token_hex(32).encode(),
    }.items():
        (state / "secrets" / name).write_bytes(content)
    os.environ["BEFFROI_STATE"] = str(state)
    os.environ["DJANGO_SETTINGS_MODULE"] = "beffroi.settings.web"
    import django  # noqa: PLC0415

    django.setup()
    from django.core.management import call_command  # noqa: PLC0415

    call_command("migrate", verbosity=0, skip_checks=True)


def make_boxes(count: int) -> list[tuple[str, Ed25519PrivateKey]]:
    from beffroi.boxes.models import Box  # noqa: PLC0415

    made = []
    for number in range(count):
        key = Ed25519PrivateKey.generate()
        public = public_bytes(key)
        box = Box.objects.create(
            collectivite_id=f"col_{number}",
            serial=str(number),
            public_key=b64(public),
            fingerprint=fingerprint(public),
            state="active",
        )
        made.append((box.id, key))
    return made


class Reader:
    """One box: reads lines and notes when each version arrived."""

    def __init__(self, box_id: str, key: Ed25519PrivateKey) -> None:
        self.box_id = box_id
        self.key = key
        self.arrived: dict[int, float] = {}

    async def follow(self, path: Path, nonce: str) -> None:
        target = "/v1/feed?since=box:0:0:"
        headers = sign_request(self.key, box_id=self.box_id, method="GET", path=target, nonce=nonce, body=b"")
        reader, writer = await asyncio.open_unix_connection(str(path), limit=2**22)
        lines = "".join(f"{k}: {v}\r\n" for k, v in headers.items())
        writer.write(f"GET {target} HTTP/1.1\r\nHost: stream\r\n{lines}\r\n".encode())
        while True:
            line = await reader.readline()
            if not line:
                return
            at = line.find(b'"to_version":')
            if at >= 0:
                version = int(line[at + 13 : line.index(b",", at)])
                self.arrived.setdefault(version, time.monotonic())


async def nonce_of(path: Path) -> str:
    reader, writer = await asyncio.open_unix_connection(str(path))
    writer.write(b"GET /v1/nonce HTTP/1.1\r\nHost: stream\r\nConnection: close\r\n\r\n")
    answer = await reader.read()
    writer.close()
    return str(json.loads(answer[answer.index(b"{") :])["nonce"])


async def measure(path: Path, boxes: list[tuple[str, Ed25519PrivateKey]], decisions: int) -> dict[str, Any]:
    from asgiref.sync import sync_to_async  # noqa: PLC0415

    readers = [Reader(box_id, key) for box_id, key in boxes]
    started = time.monotonic()
    tasks = [asyncio.create_task(r.follow(path, await nonce_of(path))) for r in readers]
    while not all(0 in r.arrived for r in readers):
        await asyncio.sleep(0.01)
    connect_s = time.monotonic() - started
    each, last = [], []
    for number in range(decisions):
        committed = await sync_to_async(_decide)(number)
        version = number + 1
        while not all(version in r.arrived for r in readers):
            await asyncio.sleep(0.001)
        times = [(r.arrived[version] - committed) * 1000 for r in readers]
        each.extend(times)
        last.append(max(times))
        await asyncio.sleep(0.05)
    for task in tasks:
        task.cancel()
    each.sort()
    return {
        "boxes": len(boxes),
        "decisions": decisions,
        "connect_all_s": round(connect_s, 2),
        "line_ms": {"p50": _round(each[len(each) // 2]), "p99": _round(each[int(len(each) * 0.99)])},
        "last_box_ms": {"p50": _round(statistics.median(last)), "max": _round(max(last))},
    }


def _decide(number: int) -> float:
    from beffroi.core.decisions.actions import activate  # noqa: PLC0415
    from beffroi.core.identity.actor import Actor  # noqa: PLC0415

    activate(
        actor=Actor.system("bench"),
        indicator=normalise("ip", f"185.203.{number // 250}.{number % 250 + 1}"),
        action="block",
        reason="two_communes",
        evidence={},
        rule="two_communes",
        ttl_s=3600,
    )
    return time.monotonic()


def _round(value: float) -> float:
    return round(value, 1)


def run(boxes: int, decisions: int) -> dict[str, Any]:
    """Return the figures of one run."""
    state = Path(tempfile.mkdtemp(prefix="bfb-"))
    process: subprocess.Popen[bytes] | None = None
    try:
        prepare(state)
        made = make_boxes(boxes)
        with (state / "log" / "stream.log").open("wb") as log:
            process = subprocess.Popen([sys.executable, "-m", "beffroi.stream"], stdout=log, stderr=log)
        path = state / "run" / "stream.sock"
        while not path.exists():
            if process.poll() is not None:
                raise SystemExit((state / "log" / "stream.log").read_text())
            time.sleep(0.05)
        return asyncio.run(measure(path, made, decisions))
    finally:
        if process is not None:
            process.terminate()
            process.wait(10)
        shutil.rmtree(state, ignore_errors=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--boxes", type=int, default=300)
    parser.add_argument("--decisions", type=int, default=30)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    figures = run(options.boxes, options.decisions)
    if options.json:
        print(json.dumps(figures))
        return
    for name, value in figures.items():
        print(f"{name:16} {value}")


if __name__ == "__main__":
    main()
