"""A town hall whose copier sends through its real box to the real mail engines of the centre.

The box's centre in ``tests.fixtures_box_centre`` hands requests for tokens to the real endpoint; submission is the real
Postfix, reached from the internet's namespace. Used as a plugin, with ``tests.fixtures_mail``.
"""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from beffroi_protocol.signing import b64
from django.db import connections
from django.test import RequestFactory

from tests.conftest import Commune
from tests.copier import Copier
from tests.fixtures_box_centre import BOX_ID
from tests.mail_post import Post
from tests.town_hall import town_hall
from tests.town_hall_network import NET, WAN_NET, listening


def _forward(outside: socket.socket, port: int) -> None:
    """From the town hall's internet to the engine on this machine's loopback."""

    def pump(source: socket.socket, target: socket.socket) -> None:
        try:
            while data := source.recv(65536):
                target.sendall(data)
        except OSError:
            pass
        for one in (source, target):
            try:
                one.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass

    while True:
        try:
            client, _ = outside.accept()
            engine = socket.create_connection(("127.0.0.1", port))
        except OSError:
            return
        for pair in ((client, engine), (engine, client)):
            threading.Thread(target=pump, args=pair, daemon=True).start()


def _answer(body: bytes) -> tuple[int, bytes]:
    """The real endpoint, as the front door calls it."""
    from beffroi.portal.web.relay_token import mail_token

    try:
        request = RequestFactory().post(
            "/v1/mail-token", body, content_type="application/json", headers={"X-Beffroi-Listener": "box"}
        )
        answer = mail_token(request)
        return answer.status_code, answer.content
    finally:
        connections.close_all()


@pytest.fixture
def copier(post: Post, beaune: Commune) -> Iterator[Copier]:
    with _copier(post, beaune) as one:
        yield one


@pytest.fixture
def bridged_copier(post: Post, beaune: Commune) -> Iterator[Copier]:
    if not Path("/proc/sys/net/bridge").exists():
        pytest.skip("needs br_netfilter")
    with _copier(post, beaune, bridge=True) as one:
        yield one


@contextmanager
def _copier(post: Post, beaune: Commune, *, bridge: bool = False) -> Iterator[Copier]:
    from beffroi.boxes.models import Box
    from beffroi.core.events.running import run_pending
    from beffroi.lib import clock
    from beffroi.mail.people import actions as people

    sender = people.create_shared(
        actor=beaune.referent,
        collectivite=beaune.collectivite,
        address=f"copieur@{beaune.domain}",
        title="Copieur",
    )
    run_pending("main")
    recipient = post.mailbox(beaune, beaune.agent, "secretariat")
    with town_hall(bridge=bridge) as hall:
        authority = post.config.state / "tls" / "mail.pem"
        (hall.state / "ca.pem").write_bytes((hall.state / "ca.pem").read_bytes() + authority.read_bytes())
        hall.kill("agent")
        hall.start_agent()
        hall.connected()
        Box.objects.create(
            id=BOX_ID,
            collectivite_id=beaune.id,
            serial="BF-1",
            public_key=b64(hall.centre.box_key),
            fingerprint="x",
            state=Box.State.ACTIVE,
            enrolled_at=clock.now(),
        )
        hall.centre.mail_token = _answer
        outside = listening(NET, WAN_NET, post.config.submission_port)
        threading.Thread(target=_forward, args=(outside, post.config.submission_port), daemon=True).start()
        one = Copier(hall, post, beaune, sender, recipient, bridge)
        one.give(one.policy())
        one.start()
        try:
            yield one
        finally:
            outside.close()
