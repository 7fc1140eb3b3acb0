"""A real ACME authority (pebble) with a real DNS server behind it (pebble-challtestsrv), on loopback."""

from __future__ import annotations

import json
import os
import shutil
import ssl
import subprocess
import tempfile
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.certificates import self_signed
from tests.waiting import PATIENCE_S, until

PROGRAM, DNS_PROGRAM = "/usr/bin/pebble", "/usr/bin/pebble-challtestsrv"
PORT, MANAGEMENT_PORT, DNS_PORT, DNS_MANAGEMENT_PORT, HTTP_PORT = 22794, 22795, 22796, 22797, 22798
LIFE_S = 90 * 86400


@dataclass(frozen=True)
class Pebble:
    home: Path

    @property
    def directory(self) -> str:
        return f"https://localhost:{PORT}/dir"

    @property
    def own_authority(self) -> Path:
        """What its own TLS is proved with."""
        return self.home / "pebble.pem"

    def root(self) -> str:
        """The authority of what it issues, PEM."""
        context = ssl.create_default_context(cafile=str(self.own_authority))
        address = f"https://localhost:{MANAGEMENT_PORT}/roots/0"
        with urllib.request.urlopen(address, timeout=PATIENCE_S, context=context) as answer:
            text: str = answer.read().decode()
        return text

    def point(self, name: str, address: str) -> None:
        """Let DNS say this of a name; without it all names are 127.0.0.1."""
        body = json.dumps({"host": name, "addresses": [address]}).encode()
        urllib.request.urlopen(
            f"http://127.0.0.1:{DNS_MANAGEMENT_PORT}/add-a", body, timeout=PATIENCE_S
        ).close()

    def point_back(self, name: str) -> None:
        body = json.dumps({"host": name}).encode()
        urllib.request.urlopen(
            f"http://127.0.0.1:{DNS_MANAGEMENT_PORT}/clear-a", body, timeout=PATIENCE_S
        ).close()


@contextmanager
def running() -> Iterator[Pebble]:
    home = Path(tempfile.mkdtemp(prefix="bfacme-"))
    found = Pebble(home)
    self_signed(found.own_authority, home / "pebble.key", "localhost")
    settings = {
        "listenAddress": f"127.0.0.1:{PORT}",
        "managementListenAddress": f"127.0.0.1:{MANAGEMENT_PORT}",
        "certificate": str(found.own_authority),
        "privateKey": str(home / "pebble.key"),
        "httpPort": HTTP_PORT,
        "tlsPort": 1,
        "certificateValidityPeriod": LIFE_S,
        "profiles": {"default": {"description": "as usual", "validityPeriod": LIFE_S}},
    }
    (home / "pebble.json").write_text(json.dumps({"pebble": settings}))
    dns = (
        *(DNS_PROGRAM, "-defaultIPv4", "127.0.0.1", "-defaultIPv6", "", "-dns01", f"127.0.0.1:{DNS_PORT}"),
        *("-management", f"127.0.0.1:{DNS_MANAGEMENT_PORT}", "-doh", ""),
        *("-http01", "", "-https01", "", "-tlsalpn01", ""),
    )
    authority = (PROGRAM, "-config", str(home / "pebble.json"), "-dnsserver", f"127.0.0.1:{DNS_PORT}")
    started = []
    environment = os.environ | {"PEBBLE_VA_NOSLEEP": "1", "PEBBLE_WFE_NONCEREJECT": "20"}
    with (home / "out.log").open("ab") as log:
        for argv in (dns, authority):
            started.append(subprocess.Popen(argv, stdout=log, stderr=log, env=environment, cwd=home))
    try:

        def answers() -> bool:
            assert all(one.poll() is None for one in started), (home / "out.log").read_text()
            try:
                return bool(found.root())
            except OSError:
                return False

        until(answers, "pebble answers")
        yield found
    finally:
        for one in started:
            one.terminate()
            one.wait(PATIENCE_S)
        if not os.environ.get("BEFFROI_KEEP"):
            shutil.rmtree(home, ignore_errors=True)
