"""Mail that really leaves: the centre's engines with ``outgoing_mail``, and a foreign internet. Needs root.

Ports 22600-22699. Used as a plugin: ``pytest_plugins = ["tests.fixtures_sending"]``.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509

from tests.certificates import self_signed
from tests.foreign_mail import (
    CONTAIN,
    FOREIGN_DNS,
    HOUR_MESSAGES,
    UNBOUND,
    Foreign,
    Sending,
    foreign_postfix,
    write_zones,
)
from tests.mail_engines import engines_of, post_of
from tests.mail_post import PORTS, Engines, until
from tests.waiting import PATIENCE_S


@pytest.fixture(scope="module")
def foreign() -> Iterator[Foreign]:
    if os.geteuid() != 0:
        pytest.skip("mail engines start as root")
    home = Path(tempfile.mkdtemp(prefix="bff-"))
    home.chmod(0o755)
    self_signed(home / "cert.pem", home / "key.pem", "mx.example.org")
    write_zones(home, x509.load_pem_x509_certificate((home / "cert.pem").read_bytes()))
    (home / "unbound.conf").write_text(UNBOUND.format(home=home, dns=FOREIGN_DNS))
    foreign_postfix(home)
    etc = str(home / "etc")
    environment = {**os.environ, "MAIL_CONFIG": etc}
    subprocess.run(
        ["/usr/sbin/postfix", "-c", etc, "check"], env=environment, check=True, capture_output=True
    )
    commands = (["/usr/sbin/unbound", "-d", "-p", "-c", str(home / "unbound.conf")],)
    commands += (["/usr/lib/postfix/sbin/master", "-c", etc, "-s"],)
    running = [
        subprocess.Popen(one, env=environment, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
        for one in commands
    ]
    try:
        until(lambda: all(one.poll() is None for one in running), "the foreign internet")
        yield Foreign(home)
    finally:
        for one in running:
            one.terminate()
            one.wait(PATIENCE_S)
        if not os.environ.get("BEFFROI_KEEP"):
            shutil.rmtree(home, ignore_errors=True)


@pytest.fixture(scope="module")
def sending_engines(foreign: Foreign, request: pytest.FixtureRequest) -> Iterator[Engines]:
    """A test's module may name further addresses, ``OUTGOING_POOLS``, and who answers the probe: ``PROBE_ECHO``."""
    lines = [f"{name} = {port + 100}" for name, port in PORTS.items()]
    lines += [f'dns_forward = "{FOREIGN_DNS}"', f'dns_trust_anchors = "{foreign.home / "anchors"}"']
    lines += ["outgoing_mail = true", 'outgoing_name = "sortie.beffroi.example"']
    lines += [f"sending_hour_messages = {HOUR_MESSAGES}", f"sending_contain_refusals = {CONTAIN}"]
    lines += ['outgoing_addresses = "127.0.0.41"', 'slow_destinations = "orange 1 1 1 orange.fr wanadoo.fr"']
    lines += [f'outgoing_pools = "{getattr(request.module, "OUTGOING_POOLS", "")}"']
    lines += [f'probe_echo = "{getattr(request.module, "PROBE_ECHO", "")}"']
    with engines_of("bfs-", lines) as engines:
        yield engines


@pytest.fixture
def sending(committed: str, sending_engines: Engines, foreign: Foreign, settings: Any) -> Iterator[Sending]:
    """The post office with an empty database, stream and mailgate running."""
    with post_of(sending_engines, settings) as post:
        yield Sending(post, foreign)
