"""What tests of campaigns share: a real name server on the loopback, and someone who presses the button."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Iterator
from dataclasses import replace

import dns.message
import dns.rrset
import pytest
from beffroi.core.decisions.models import Decision
from beffroi.core.events import outbox
from beffroi.core.events.running import run_pending
from beffroi.lib import clock
from beffroi.lib.config import Config
from beffroi.lib.ids import new_id
from beffroi.watch.models import Campaign
from beffroi.watch.sources import handover, store
from django.db import transaction
from pytest_django.fixtures import Settings

HOST = "colis-suivi-bourgogne.com"
URL = f"https://{HOST}/payer?c=1"
LANDING = "185.203.116.9"
LANDING6 = "2a0b:f4c0::99"
CLOUDFLARE = "104.16.1.1"
FAIL = {"spf": "fail", "dkim": "none", "dmarc": "fail"}
PASS = {"spf": "pass", "dkim": "pass", "dmarc": "pass", "link_mismatch": "true"}


class NameServer:
    """Answers from a table; ``silent``: never answers."""

    def __init__(self) -> None:
        self.zone: dict[tuple[str, str], list[str]] = {}
        self.asked: list[str] = []
        self.silent = False
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._socket.bind(("127.0.0.1", 0))
        self.port = int(self._socket.getsockname()[1])
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self) -> None:
        while True:
            try:
                data, peer = self._socket.recvfrom(4096)
            except OSError:
                return
            query = dns.message.from_wire(data)
            question = query.question[0]
            name, kind = str(question.name).rstrip("."), question.rdtype.name
            self.asked.append(name)
            if self.silent:
                continue
            answer = dns.message.make_response(query)
            if (name, kind) in self.zone:
                answer.answer.append(
                    dns.rrset.from_text(question.name, 60, "IN", kind, *self.zone[name, kind])
                )
            self._socket.sendto(answer.to_wire(), peer)

    def close(self) -> None:
        self._socket.close()


@pytest.fixture
def names(database: str, config: Config, settings: Settings) -> Iterator[NameServer]:
    server = NameServer()
    server.zone[HOST, "A"] = [LANDING]
    server.zone[HOST, "AAAA"] = [LANDING6]
    settings.BEFFROI = replace(config, resolver_port=server.port)
    yield server
    server.close()


Report = Callable[..., str]


@pytest.fixture
def report(names: NameServer) -> Report:
    """``report("col_a", "per_1")``: someone presses the button, and the worker takes it in."""

    def press(
        collectivite_id: str,
        person_id: str,
        *,
        indicators: list[list[str]] | None = None,
        evidence: dict[str, object] | None = None,
        door: str = "mail",
        sighting_id: str = "",
    ) -> str:
        made = sighting_id or new_id("sig")
        with transaction.atomic():
            outbox.publish(
                "sighting:from_box" if door == "packet" else "sighting:reported",
                {
                    "sighting_id": made,
                    "detector": "user_report",
                    "door": door,
                    "collectivite_id": collectivite_id,
                    "person_id": person_id,
                    "seen_at": clock.epoch_s(),
                    "indicators": [["url", URL]] if indicators is None else indicators,
                    "evidence": FAIL if evidence is None else evidence,
                    "message": new_id("msg"),
                },
                collectivite_id=collectivite_id,
            )
        run_pending("main")
        return made

    return press


@pytest.fixture
def list_page(config: Config) -> Iterator[Callable[[str], None]]:
    """``list_page(URL)``: an outside list of weight ``evidence`` names it."""
    handover.root(config.state).mkdir(exist_ok=True)
    yield lambda page: store.write_evidence(config.state, "src_phishing", {"url": [page]})
    store.forget(config.state, "src_phishing")


def active() -> set[tuple[str, str]]:
    return set(Decision.objects.filter(state="active").values_list("kind", "value"))


def campaign() -> Campaign:
    return Campaign.objects.get()
