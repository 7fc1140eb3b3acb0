"""Real mail engines, the real stream and the real mailgate in a private state directory. Needs root.

One set of engines serves a whole run of the tests; stream and mailgate start anew for each test, because each test
has an empty database. Ports 22500-22599. Used as a plugin: ``pytest_plugins = ["tests.fixtures_mail"]``.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from beffroi.lib.config import Config
from beffroi.mail.models import Mailbox
from dnslib.server import DNSLogger, DNSServer

from tests.conftest import Commune
from tests.mail_engines import engines_of, post_of
from tests.mail_post import DNS_PORT, PORTS, Engines, Post, Zone


@pytest.fixture(scope="session")
def mail_zone() -> Iterator[Zone]:
    zone = Zone()
    zone.add(
        'sender.example.net. 60 IN TXT "v=spf1 ip4:198.51.100.7 -all"\n'
        '_dmarc.sender.example.net. 60 IN TXT "v=DMARC1; p=none"\n'
        "sender.example.net. 60 IN A 198.51.100.7\n"
        'strict.example.org. 60 IN TXT "v=spf1 ip4:192.0.2.1 -all"\n'
        '_dmarc.strict.example.org. 60 IN TXT "v=DMARC1; p=reject"\n'
        "strict.example.org. 60 IN A 192.0.2.1"
    )
    servers = [
        DNSServer(zone, "127.0.0.1", DNS_PORT, tcp=tcp, logger=DNSLogger("-request,-reply,-truncated", False))
        for tcp in (False, True)
    ]
    for server in servers:
        server.start_thread()
    yield zone
    for server in servers:
        server.stop()
        server.server.server_close()


@pytest.fixture(scope="session")
def mail_engines(mail_zone: Zone) -> Iterator[Engines]:
    lines = [f"{name} = {port}" for name, port in PORTS.items()]
    with engines_of("bfm-", [*lines, f'dns_forward = "127.0.0.1@{DNS_PORT}"'], _for_tests) as engines:
        yield engines


@pytest.fixture
def post(committed: str, mail_engines: Engines, settings: Any) -> Iterator[Post]:
    """The post office with an empty database, stream and mailgate running."""
    with post_of(mail_engines, settings) as made:
        yield made


@pytest.fixture
def box(post: Post, beaune: Commune) -> Mailbox:
    """Of an agent."""
    return post.mailbox(beaune, beaune.agent, "agent")


def _for_tests(config: Config) -> None:
    # rspamd holds 127.0.0.1 for local and skips SPF and DMARC: only tests may name another client.
    main = config.state / "postfix" / "etc" / "main.cf"
    main.write_text(main.read_text() + "smtpd_authorized_xclient_hosts = 127.0.0.1\n")
    # Connections in IDLE are laid down at once, so that every test that waits for mail wakes one.
    dovecot = config.state / "dovecot" / "etc" / "dovecot.conf"
    dovecot.write_text(dovecot.read_text().replace("hibernate_timeout = 30s", "hibernate_timeout = 1s"))
