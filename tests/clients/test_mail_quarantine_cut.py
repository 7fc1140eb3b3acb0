"""The process remediation is killed (-9) between two commands of Dovecot, while it takes or gives back two copies."""

from __future__ import annotations

import http.client
import json
import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
from beffroi.core.decisions import actions as decisions
from beffroi.core.decisions.models import Decision
from beffroi.core.events.running import run_pending
from beffroi.core.identity.actor import Actor
from beffroi.mail.models import Mailbox, RemediationJob

from tests.conftest import Commune
from tests.mail_post import Post, lure, needs_engines, until

pytest_plugins = ["tests.fixtures_mail"]
pytestmark = needs_engines
SYSTEM = Actor.system("tests")
FOLDERS = ("INBOX", "Archives")


class Between:
    """Stands before Dovecot: hands on what it is asked up to the move of that number, and kills who asked."""

    def __init__(self, post: Post, moves: int) -> None:
        self.post, self.moves, self.cut = post, moves, threading.Event()
        between = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                between.answer(self)

            def log_message(self, *_: object) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def answer(self, asked: BaseHTTPRequestHandler) -> None:
        commands = json.loads(asked.rfile.read(int(asked.headers["Content-Length"])))
        names = [name for name, *_ in commands]
        if "move" not in names:
            status, data = self._hand_on(asked, commands)
            asked.send_response(status)
            asked.send_header("Content-Length", str(len(data)))
            asked.end_headers()
            asked.wfile.write(data)
            return
        moves = [at for at, name in enumerate(names) if name == "move"]
        if done := commands[: [0, *(at + 1 for at in moves)][self.moves]]:
            assert self._hand_on(asked, done)[0] == http.client.OK
        os.killpg(self.post.engines.running["remediation"].pid, signal.SIGKILL)
        self.cut.set()

    def _hand_on(self, asked: BaseHTTPRequestHandler, commands: list[Any]) -> tuple[int, bytes]:
        connection = http.client.HTTPConnection("127.0.0.1", self.post.config.doveadm_port)
        try:
            sent = {name: asked.headers[name] for name in ("Authorization", "Content-Type")}
            connection.request("POST", asked.path, json.dumps(commands), sent)
            answer = connection.getresponse()
            return answer.status, answer.read()
        finally:
            connection.close()


@contextmanager
def killed_after(post: Post, moves: int) -> Iterator[None]:
    """The process remediation does what is left to do, and is killed once so many moves are done."""
    settings = post.config.state / "beffroi.toml"
    before, between = settings.read_text(), Between(post, moves)
    port = f"doveadm_port = {post.config.doveadm_port}"
    assert port in before
    settings.write_text(before.replace(port, f"doveadm_port = {between.server.server_port}"))
    try:
        post.engines.start("remediation")
        yield
        until(between.cut.is_set, "the process is killed")
    finally:
        post.engines.kill("remediation")
        settings.write_text(before)
        between.server.shutdown()
        between.server.server_close()


@pytest.mark.parametrize("moves", [1, 2])
@pytest.mark.parametrize("cut", ["taking", "taking, undone before it went on", "giving back"])
def test_two_copies_are_taken_once_and_each_comes_back_once_to_its_folder(
    post: Post, beaune: Commune, cut: str, moves: int
) -> None:
    box = post.mailbox(beaune, beaune.agent, "coupure")
    assert post.send(lure(box.address, "k1"), box.address)[0] == 250
    post.settle(1)
    before = two_copies(post, box)
    if cut == "giving back":
        decision = post.block("domain", "evil.example.com")
        run_pending("remediation")
        with killed_after(post, moves):
            revoke(decision)
    else:
        with killed_after(post, moves):
            decision = post.block("domain", "evil.example.com")
        if cut == "taking":
            run_pending("remediation")
            assert [seen(post, box, folder) for folder in FOLDERS] == [[], []]
            assert RemediationJob.objects.get().moved == 1
        revoke(decision)
    run_pending("remediation")
    assert [seen(post, box, folder) for folder in FOLDERS] == before
    back = RemediationJob.objects.filter(direction="restore")
    assert [(job.state, job.failed) for job in back] in ([("done", 0)], [])
    run_pending("remediation")
    assert [seen(post, box, folder) for folder in FOLDERS] == before


def revoke(decision: Decision) -> None:
    assert decisions.revoke(actor=SYSTEM, decision=decision, reason="mistake")


def two_copies(post: Post, box: Mailbox) -> list[list[object]]:
    """One that its owner read, one that they flagged and put away."""
    client = post.imap(box)
    client.create_folder("Archives")
    client.select_folder("INBOX")
    client.add_flags([1], [b"\\Flagged"])
    client.copy([1], "Archives")
    client.remove_flags([1], [b"\\Flagged"])
    client.add_flags([1], [b"\\Seen"])
    client.logout()
    found = [seen(post, box, folder) for folder in FOLDERS]
    assert [len(one) for one in found] == [1, 1]
    return found


def seen(post: Post, box: Mailbox, folder: str) -> list[object]:
    client = post.imap(box)
    client.select_folder(folder, readonly=True)
    rows = client.fetch(client.search("ALL"), ["FLAGS"]).values()
    client.logout()
    return [sorted(one for one in row[b"FLAGS"] if one != b"\\Recent") for row in rows]
