"""A real stream process on a Unix socket, and clients of it: doors, boxes, browsers."""

from __future__ import annotations

import http.client
import os
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path

import msgspec
import pytest
from beffroi.core.decisions.actions import activate
from beffroi.core.decisions.models import Decision
from beffroi.core.identity.actor import Actor
from beffroi.core.planes.db import Database
from beffroi.core.planes.follower import Follower
from beffroi.core.planes.sessions import Session, mark_of
from beffroi.core.planes.tokens import make_grant
from beffroi.lib import clock
from beffroi.lib.config import Config, load
from beffroi.lib.ids import new_id
from beffroi_protocol.indicators import normalise
from beffroi_protocol.requests import sign_request
from beffroi_protocol.session import FeedSession, Refused, Result, TrustedClock
from beffroi_protocol.signing import TrustStore, b64, delegate, fingerprint, public_bytes
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from tests.waiting import PATIENCE_S, until

eventually = until


class UnixConnection(http.client.HTTPConnection):
    def __init__(self, path: Path) -> None:
        super().__init__("stream")
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(PATIENCE_S)
        self.sock.connect(str(self._path))


@dataclass
class Answer:
    status: int
    body: bytes
    headers: dict[str, str]

    @property
    def code(self) -> str:
        return str(msgspec.json.decode(self.body)["code"])


class Held:
    """A response held open, read line by line."""

    def __init__(self, connection: UnixConnection, response: http.client.HTTPResponse) -> None:
        self.connection = connection
        self.response = response
        self.socket = connection.sock

    def line(self) -> bytes:
        """The next line without its line feed; empty at the end."""
        return self.response.readline().rstrip(b"\n")

    def ended(self) -> bool:
        """Read to the end; True when the centre ended it."""
        while self.response.readline():
            pass
        return True

    def say(self, line: bytes) -> None:
        """Send a line on the request's body, which is still open."""
        self.send(b"%x\r\n%s\n\r\n" % (len(line) + 1, line))

    def send(self, data: bytes) -> None:
        self.socket.sendall(data)

    def close(self) -> None:
        self.connection.close()


@dataclass
class BoxClient:
    """A box with a key of its own."""

    id: str
    collectivite_id: str
    key: Ed25519PrivateKey
    centre: Centre

    def headers(self, method: str, path: str, body: bytes = b"", *, nonce: str = "") -> dict[str, str]:
        return sign_request(
            self.key, box_id=self.id, method=method, path=path, nonce=nonce or self.centre.nonce(), body=body
        )

    def post(self, path: str, body: bytes) -> Answer:
        return self.centre.request("POST", path, body, self.headers("POST", path, body))

    def follow(self, since: str) -> Held:
        path = f"/v1/feed?since={since}"
        return self.centre.hold(path, self.headers("POST", path), method="POST")

    def ask(self, since: str) -> Answer:
        """Ask for the feed where a refusal is expected."""
        path = f"/v1/feed?since={since}"
        return self.centre.request("POST", path, b"", self.headers("POST", path))


@dataclass
class Centre:
    """The running stream process and its state directory."""

    config: Config
    root: Ed25519PrivateKey
    feed: Ed25519PrivateKey
    plane: Database
    name: str = "stream"
    process: subprocess.Popen[bytes] | None = None
    held: list[Held] = field(default_factory=list)

    @property
    def socket(self) -> Path:
        return self.config.run / f"{self.name}.sock"

    def _entrance(self, method: str, path: str) -> Path:
        """The socket to which the front door brings a request."""
        held = method == "POST" and path.startswith("/v1/feed")
        return self.config.run / f"{self.name}-held.sock" if held else self.socket

    def start(self) -> None:
        self.launch()
        self.wait()

    def wait(self) -> None:
        eventually(self.answers, f"{self.name} does not answer: {self.log()[-2000:]}")

    def launch(self) -> None:
        """Start without waiting for an answer."""
        environment = {**os.environ, "BEFFROI_STATE": str(self.config.state)}
        log = (self.config.log / f"{self.name}.log").open("ab")
        relay = ["--relay", self.name.removeprefix("relay-")] if self.name != "stream" else []
        self.process = subprocess.Popen(
            [sys.executable, "-m", "beffroi.stream", *relay], env=environment, stdout=log, stderr=log
        )

    def answers(self) -> bool:
        assert self.process is not None
        assert self.process.poll() is None, self.log()
        try:
            return self.request("GET", "/healthz").status == 200
        except OSError:
            return False

    def log(self) -> str:
        path = self.config.log / f"{self.name}.log"
        return path.read_text() if path.exists() else ""

    def stop(self, number: signal.Signals = signal.SIGTERM) -> int:
        self.send(number)
        assert self.process is not None
        return self.process.wait(PATIENCE_S)

    def send(self, number: signal.Signals) -> None:
        assert self.process is not None
        self.process.send_signal(number)

    def end(self) -> None:
        """At the end of a test, whatever became of it."""
        for held in self.held:
            held.close()
        if self.process is not None and self.process.poll() is None:
            self.process.kill()
            self.process.wait(PATIENCE_S)

    def request(
        self, method: str, path: str, body: bytes = b"", headers: dict[str, str] | None = None
    ) -> Answer:
        connection = UnixConnection(self._entrance(method, path))
        try:
            connection.request(method, path, body or None, headers or {})
            response = connection.getresponse()
            return Answer(response.status, response.read(), dict(response.headers))
        finally:
            connection.close()

    def hold(self, path: str, headers: dict[str, str], *, method: str = "GET") -> Held:
        """With POST the request's body begins, and does not end."""
        connection = UnixConnection(self._entrance(method, path))
        connection.putrequest(method, path)
        more = {"Transfer-Encoding": "chunked"} if method == "POST" else {}
        for name, value in {**headers, **more}.items():
            connection.putheader(name, value)
        connection.endheaders()
        response = connection.getresponse()
        assert response.status == 200, response.read()
        held = Held(connection, response)
        self.held.append(held)
        return held

    def nonce(self) -> str:
        return str(msgspec.json.decode(self.request("GET", "/v1/nonce").body)["nonce"])

    def health(self, query: str = "") -> dict[str, object]:
        found: dict[str, object] = msgspec.json.decode(self.request("GET", f"/healthz{query}").body)
        return found

    def door_headers(self, door: str) -> dict[str, str]:
        return {"X-Beffroi-Door": door, "X-Beffroi-Token": self.config.secret("door.token").decode()}

    def door(
        self, door: str, channel: str, directory: Path, *, more: tuple[str, ...] = (), **options: object
    ) -> Follower:
        return Follower(
            socket_path=self.socket,
            directory=directory,
            root_public_key=public_bytes(self.root),
            door=door,
            token=lambda: self.config.secret("door.token").decode(),
            channels=[channel, *more],
            **options,  # type: ignore[arg-type]
        )

    def session(self, *channels: str) -> FeedSession:
        return FeedSession(TrustStore(public_bytes(self.root)), channels, TrustedClock())

    def box(self, collectivite_id: str, *, state: str = "active") -> BoxClient:
        from beffroi.boxes.models import Box

        key = Ed25519PrivateKey.generate()
        public = public_bytes(key)
        box_id = new_id("box")
        Box.objects.create(
            id=box_id,
            collectivite_id=collectivite_id,
            serial=box_id[-8:],
            public_key=b64(public),
            fingerprint=fingerprint(public),
            state=state,
        )
        return BoxClient(box_id, collectivite_id, key, self)

    def set_state(self, box: BoxClient, state: str) -> None:
        from django.db import connection

        with connection.cursor() as cursor:
            cursor.execute("UPDATE box SET state = %s WHERE id = %s", [state, box.id])

    def live(self, collectivite_id: str | None, *, subject: str = "per_1", ttl_s: int = 300) -> Held:
        return self.hold("/live", self.grant(collectivite_id, subject=subject, ttl_s=ttl_s))

    def grant(
        self, collectivite_id: str | None, *, subject: str = "per_1", ttl_s: int = 300, path: str = "/live"
    ) -> dict[str, str]:
        key = self.config.secret("live.key")
        text = make_grant(
            key,
            subject_id=subject,
            collectivite_id=collectivite_id,
            paths=(path,),
            ttl_s=ttl_s,
            role="agent" if collectivite_id else "administrator",
            session=signed_in(subject, collectivite_id).sealed(key),
        )
        return {"Cookie": f"beffroi_live={text}"}


def signed_in(subject: str, collectivite_id: str | None) -> Session:
    """A session of an agent, or of an administrator, who is made where nobody is."""
    from beffroi.core.communes.models import Collectivite
    from beffroi.core.identity.models import Administrator, Membership, Person
    from django.contrib.sessions.models import Session as Row

    mail, mark = {"email": f"{subject}@stream.test"}, "1"
    if collectivite_id is None:
        Administrator.objects.get_or_create(pk=subject, defaults=mail)
    else:
        person, _ = Person.objects.get_or_create(pk=subject, defaults={**mail, "password": subject})
        owner, _ = Collectivite.objects.get_or_create(pk=collectivite_id, defaults={"name": collectivite_id})
        Membership.objects.get_or_create(person=person, collectivite=owner, role="agent")
        mark = mark_of(person.password, person.sessions_from)
    made = Session(secrets.token_hex(16), mark)
    Row.objects.create(session_key=made.key, session_data="", expire_date=clock.now() + timedelta(hours=1))
    return made


def block(value: str, kind: str = "ip", *, scope: str = "all", ttl_s: int = 3600) -> Decision:
    """Activate a decision as the rules would."""
    return activate(
        actor=Actor.system("tests"),
        indicator=normalise(kind, value),
        action="block",
        scope=scope,
        reason="two_communes",
        evidence={},
        rule="two_communes",
        ttl_s=ttl_s,
    )


def read_until(held: Held, session: FeedSession, done: Callable[[], bool]) -> list[Result]:
    """Feed lines into a session until ``done``; a refused line fails the test."""
    results: list[Result] = []
    while not done():
        line = held.line()
        assert line, "the response ended"
        result = session.receive(line, monotonic=time.monotonic())
        assert not isinstance(result, Refused), result
        results.append(result)
    return results


def write_keys(directory: Path) -> tuple[Ed25519PrivateKey, Ed25519PrivateKey]:
    """A root, a feed key and the delegation between them, as files."""
    root, feed = Ed25519PrivateKey.generate(), Ed25519PrivateKey.generate()
    now = clock.epoch_s()
    line = delegate(root, public_bytes(feed), serial=1, not_before=now - 60, not_after=now + 86400)
    files = {
        "feed-root.pub": b64(public_bytes(root)).encode(),
        "feed.key": b64(feed.private_bytes_raw()).encode(),
        "feed-delegation.line": line,
        "door.token": secrets.token_hex(32).encode(),
        "live.key": secrets.token_hex(32).encode(),
    }
    for name, content in files.items():
        (directory / name).write_bytes(content)
    return root, feed


def make_state(database_url: str, wake: Path, **settings: int) -> Path:
    """A state directory for one stream process; the tests' own Django wakes it and writes its lists."""
    state = Path(tempfile.mkdtemp(prefix="bfs-"))
    for name in ("secrets", "run", "log"):
        (state / name).mkdir()
    (state / "run" / "wake").symlink_to(wake)
    (state / "lists").symlink_to(wake.parents[1] / "lists")
    lines = [f'database_url = "{database_url}"', *(f"{k} = {v}" for k, v in settings.items())]
    (state / "beffroi.toml").write_text("\n".join(lines) + "\n")
    return state


@pytest.fixture(name="centre")
def running_centre(committed: str, plane: Database, config: Config) -> Iterator[Centre]:
    """A running stream process with a fast heartbeat."""
    state = make_state(committed, config.run / "wake", heartbeat_s=1)
    root, feed = write_keys(state / "secrets")
    running = Centre(load(state), root, feed, plane)
    running.start()
    yield running
    running.end()
    shutil.rmtree(state, ignore_errors=True)
