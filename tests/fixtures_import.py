"""An old provider with a real Dovecot, the post office that may ask it, and imports on their way."""

from __future__ import annotations

import contextlib
import socket
import ssl
import threading
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest
from beffroi.lib import clock
from beffroi.mail.importing import actions, runner
from beffroi.mail.importing.models import ImportJob
from beffroi.mail.importing.source import Where
from beffroi.mail.models import Mailbox

from tests import old_provider
from tests.conftest import Commune
from tests.mail_post import Post
from tests.old_provider import PASSWORD, USER, OldProvider, Wire

WHERE = Where(old_provider.HOST, old_provider.PORT, "implicit", USER, PASSWORD)
State = ImportJob.State


@pytest.fixture(scope="module")
def running_provider() -> Iterator[OldProvider]:
    with old_provider.old_provider() as found:
        yield found


@pytest.fixture
def provider(running_provider: OldProvider) -> Iterator[OldProvider]:
    yield running_provider
    running_provider.empty()


@pytest.fixture
def wire() -> Iterator[Wire]:
    made = Wire()
    yield made
    made.close()


@pytest.fixture
def office(post: Post, provider: OldProvider, settings: Any) -> Post:
    """The post office, which may ask the old provider on loopback."""
    path = post.config.state / "beffroi.toml"
    lines = [x for x in path.read_text().splitlines() if not x.startswith("import_")]
    lines += [
        'import_networks = "127.0.0.0/8 ::1/128"',
        f'import_ca = "{provider.authority}"',
        "import_pause_ms = 0",
    ]
    path.write_text("\n".join(lines) + "\n")
    post.config = settings.BEFFROI = replace(
        post.config,
        import_networks="127.0.0.0/8 ::1/128",
        import_ca=str(provider.authority),
        import_pause_ms=0,
    )
    return post


def asked(commune: Commune, mailbox: Mailbox, where: Where = WHERE) -> ImportJob:
    """An import whose folders were listed."""
    job = actions.begin(actor=commune.agent, mailbox=mailbox, where=where)
    runner.run(job.id)
    job.refresh_from_db()
    return job


def chosen(commune: Commune, mailbox: Mailbox, where: Where = WHERE, *, collect: bool = False) -> ImportJob:
    """An import of every folder."""
    job = asked(commune, mailbox, where)
    assert job.state == State.READY, job.error
    ids = list(job.folders.values_list("id", flat=True))
    actions.choose(actor=commune.agent, job=job, folder_ids=ids, collect=collect)
    job.refresh_from_db()
    return job


def finish(job: ImportJob) -> None:
    """Take it up until it is over, as the process import does."""
    for _ in range(20):
        ImportJob.objects.filter(pk=job.pk).update(next_run_at=clock.now())
        runner.run(job.id)
        job.refresh_from_db()
        if job.state in (State.DONE, State.COLLECTING):
            return
        assert job.state == State.RUNNING, (job.state, job.error)
    raise AssertionError(f"not over: {job.error}")


class Talker:
    """A server with the provider's certificate that says what it is told to, and no IMAP."""

    def __init__(self, provider: OldProvider, answers: tuple[bytes, ...]) -> None:
        self._context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        self._context.load_cert_chain(provider.home / "server.pem", provider.home / "server.key")
        self._server = socket.create_server(("127.0.0.1", old_provider.WIRE_PORT))
        self._answers = answers
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self) -> None:
        with contextlib.suppress(OSError):
            near = self._context.wrap_socket(self._server.accept()[0], server_side=True)
            for answer in self._answers:
                near.sendall(answer)
                near.recv(4096)
            near.close()

    def close(self) -> None:
        with contextlib.suppress(OSError):
            self._server.shutdown(socket.SHUT_RDWR)
        self._server.close()
