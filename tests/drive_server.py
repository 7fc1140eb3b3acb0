"""A drive on loopback for tests: the real application and store under the real server, with people from a list.

``python -m tests.drive_server DIRECTORY PORT``: serve until it is ended; ``PEOPLE``, each with PASSWORD.
"""

from __future__ import annotations

import asyncio
import contextlib
import gc
import http.client
import json
import os
import signal
import socket
import sys
import threading
from base64 import b64encode
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import get_args

import pytest
from beffroi.drive.__main__ import YOUNG
from beffroi.drive.crossing import Crossing
from beffroi.drive.following import Follower, Teller
from beffroi.drive.office import serving
from beffroi.drive.office.tokens import Holder
from beffroi.drive.projections import Member
from beffroi.drive.seals.desk import Desk
from beffroi.drive.sentry import Sentry
from beffroi.drive.sharing import Line
from beffroi.drive.sign_ins import SignIns
from beffroi.drive.stops import Stops
from beffroi.drive.store import keys
from beffroi.drive.store.commune import Communes
from beffroi.drive.store.frozen import Frozen
from beffroi.drive.store.stock import stocks
from beffroi.drive.web import sealed
from beffroi.drive.web.app import Drive
from beffroi.drive.web.bodies import SealedStore
from beffroi.drive.web.dropped import Dropped, Handed
from beffroi.drive.web.found import Found
from beffroi.drive.web.linked import Access
from beffroi.drive.web.portal import Portal
from beffroi.drive.web.sync import push
from beffroi.drive.web.sync.devices import Devices
from beffroi.drive.web.sync.sharing import Shares
from beffroi.drive.who import Role, Who
from beffroi.drive.words.indexer import Indexer
from beffroi.drive.words.texts import by_scan
from beffroi.lib import asgi
from beffroi.lib.config import Config, load
from beffroi.scan import wire

from bench.drive_serve import on_loopback
from tests import warm
from tests.fixtures_drive import new_config
from tests.waiting import PATIENCE_S, until_it_listens

PASSWORD = "un mot de passe d’application"
A, B = "col_" + "0" * 25 + "a", "col_" + "0" * 25 + "b"

COMMUNES = {A: "Aubin & Val", B: "Nuits"}


def who(name: str, collectivite_id: str, role: Role = "agent") -> Who:
    return Who(f"per_{name}", f"mem_{name}", collectivite_id, role, name, name.title(), f"app_{name}")


PEOPLE = {
    one.login: one
    for one in (
        who("alice", A),
        who("amir", A),
        who("elise", A, "elu"),
        who("bruno", B),
        who("bertille", B, "elu"),
    )
}


PORTABLE = "alice-portable"
"""Alice by another of her devices."""
PEOPLE[PORTABLE] = replace(PEOPLE["alice"], app_password_id=f"app_{PORTABLE}")


class Listed:
    """Signs in everybody in PEOPLE. ``revoked``: whose password opens nothing any more. ``roles``: other ones."""

    def __init__(self) -> None:
        self.revoked: set[str] = set()
        self.roles: dict[str, Role] = {}
        self.asked = 0

    def check(self, login: str, password: str, *, address: str) -> Who | None:
        self.asked += 1
        return PEOPLE.get(login) if password == PASSWORD and login not in self.revoked else None

    def holder(self, app_password_id: str) -> Who | None:
        login = app_password_id.removeprefix("app_")
        found = PEOPLE.get(login) if login not in self.revoked else None
        return replace(found, role=self.roles.get(login, found.role)) if found is not None else None


def _require(directory: Path, sha256: str, owner: str) -> None:
    """The door of files: what DIRECTORY/refused names is held, a hash a line, or COLLECTIVITE:HASH. Errors: Frozen."""
    with contextlib.suppress(FileNotFoundError):
        if not {sha256, f"{owner}:{sha256}"}.isdisjoint((directory / "refused").read_text().split()):
            raise Frozen("dec_tests")


def everything(person_id: str, collectivite_id: str) -> list[Who]:
    """Of whoever the portal gave a grant to."""
    return [Who(person_id, "", collectivite_id, role, "", "", "") for role in get_args(Role)]


@contextlib.contextmanager
def application(
    directory: Path, sign_in: Listed, standing: Callable[[str, str], Sequence[Who]] = everything
) -> Iterator[Drive]:
    """``standing``: what people of the portal are."""
    config = Config(state=directory) if (directory / "secrets").exists() else new_config(directory)
    with ThreadPoolExecutor(2) as commits, ThreadPoolExecutor(4) as workers:
        communes = Communes(directory / "drive", commits)
        bodies = SealedStore(config, communes, workers, lambda *asked: _require(directory, *asked))
        teller, stops = Teller(config.run), Stops(communes)
        communes.listeners.append(teller.told)
        teller.start()
        told, crossed, shared = (directory / f"told-{what}" for what in ("links", "crossings", "shares"))
        drive = Drive(
            communes,
            bodies,
            sign_in,
            SignIns(config, "drive"),
            require=stops.require,
            crossed=lambda crossing: _keep(crossed, crossing),
            shares=Shares(_people, lambda line: _keep(shared, line)),
            named=lambda collectivite_id: COMMUNES.get(collectivite_id, ""),
        )
        drive.sync.push.listeners.append(stops.forget)
        keys_of = partial(keys.make, config)
        reads = by_scan(wire.files_socket_path(directory))
        indexer = Indexer(communes, stocks(config), keys_of, reads)
        indexer.start()
        maker = serving.maker_of(config)
        Portal(
            communes,
            bodies,
            config.secret("drive-grant.key"),
            drive.enter,
            lambda access: _keep(told, access),
            lambda crossing: _keep(crossed, crossing),
            maker,
            standing,
            stops.require,
        ).add_to(drive.routes)
        grant_key = config.secret("drive-grant.key")
        Found(
            communes,
            keys_of,
            bodies,
            reads,
            grant_key,
            drive.enter,
            lambda crossing: _keep(crossed, crossing),
        ).add_to(drive.routes)
        drive.sync.push.listeners.append(indexer.told)
        Dropped(
            communes,
            bodies,
            grant_key,
            lambda handed: _keep(directory / "told-handed", handed),
            standing,
            is_scanned=not (directory / "unscanned").exists(),
        ).add_to(drive.routes)
        serving.add_to(
            drive,
            _with_office(config),
            communes,
            bodies,
            maker=maker,
            crossed=lambda crossing: _keep(crossed, crossing),
            members=partial(_member, directory),
            require=stops.require,
            base_url="https://portail.test",
        )
        Devices(
            drive.dav,
            drive.doorman,
            drive.sync.push,
            grant_key,
            drive.enter,
            lambda who: _keep(directory / "told-given-up", who),
            "https://portail.test",
        ).add_to(drive.routes)
        desk = Desk(config, communes, stocks(config), lambda *said: _tell(directory, *said))
        drive.routes.add(
            sealed.PATH,
            sealed.Sealed(
                communes,
                bodies,
                stocks(config),
                config.secret("drive-grant.key"),
                drive.enter,
                lambda *said: _tell(directory, *said),
            ),
            is_open=True,
        )
        desk.start()
        try:
            with judging(config):
                yield drive
        finally:  # a test that fails in here would wait for their threads for ever
            desk.stop()
            indexer.stop()
            teller.stop()
            communes.close()


@contextlib.contextmanager
def judging(config: Config) -> Iterator[None]:
    """The sentry, in a thread of this process."""
    with ThreadPoolExecutor(1) as commits:
        communes = Communes(config.state / "drive", commits)
        sentry = Sentry(
            communes, stocks(config), lambda collectivite_id, alarm: None, partial(push.tell, config.run)
        )
        follower = Follower(config.run, "sentry", sentry.judge)
        thread = threading.Thread(target=follower.run, args=(communes.ids(),))
        thread.start()
        yield
        follower.stop()
        thread.join()
        communes.close()


def _people(collectivite_id: str) -> list[Member]:
    return [
        Member(one.person_id, collectivite_id, one.login, one.display_name)
        for one in PEOPLE.values()
        if one.collectivite_id == collectivite_id
    ]


def _with_office(config: Config) -> Config:
    """Its settings of office documents are those of its ``beffroi.toml``, where it has one."""
    found = load(config.state)
    return replace(config, office_editor=found.office_editor, office_max_mib=found.office_max_mib)


def _member(directory: Path, holder: Holder) -> Who | None:
    """Sessions that DIRECTORY/ended-sessions names are over."""
    ended = directory / "ended-sessions"
    if ended.exists() and holder.session.key in ended.read_text().split():
        return None
    wanted = holder[:3]
    found = (one for one in PEOPLE.values() if (one.person_id, one.collectivite_id, one.role) == wanted)
    return next(found, None)


def _tell(directory: Path, *said: object) -> None:
    """What the outbox would hear of seals: (kind, collectivité, payload), a line each."""
    with (directory / "told-seals").open("a") as file:
        file.write(json.dumps(said) + "\n")


def _keep(told: Path, access: Access | Crossing | Handed | Line | Who) -> None:
    with told.open("a") as file:
        file.write(json.dumps(asdict(access)) + "\n")


async def _serve(directory: Path, port: int) -> None:
    gc.set_threshold(YOUNG, 20, 20)
    with application(directory, Listed()) as drive:
        drive.sync.push.start(directory / "run")
        with on_loopback(port) as listening:
            await asgi.server(drive).serve(sockets=[listening])


@dataclass
class Served:
    """A drive in a process of its own. ``url``: without a slash at its end."""

    directory: Path
    port: int
    process: warm.Begun = field(init=False)

    def __post_init__(self) -> None:
        self.start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def log(self) -> str:
        return self.directory.with_suffix(".log").read_text()

    def start(self) -> None:
        with self.directory.with_suffix(".log").open("ab") as log:
            argv = ("-m", "tests.drive_server", str(self.directory), str(self.port))
            self.process = warm.Begun(argv, env=os.environ, out=log)
        try:
            until_it_listens(self.port, self.process)
        except AssertionError as error:
            raise AssertionError(self.log) from error

    def kill(self) -> None:
        self.process.send_signal(signal.SIGKILL)
        self.process.wait(PATIENCE_S)

    def ask(
        self,
        method: str,
        path: str,
        body: bytes | Iterator[bytes] = b"",
        /,
        login: str = "alice",
        **headers: str,
    ) -> tuple[int, Mapping[str, str], bytes]:
        """As ``exchange``, signed in. ``headers``: with underscores for dashes."""
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        return self.exchange(method, path, body, {**basic(login), **named})

    def exchange(
        self, method: str, path: str, body: bytes | Iterator[bytes] | None, headers: Mapping[str, str]
    ) -> tuple[int, Mapping[str, str], bytes]:
        """(status, headers by lower-case names, body)."""
        line = http.client.HTTPConnection("127.0.0.1", self.port, timeout=PATIENCE_S)
        try:
            line.request(method, path, body, headers)
            answer = line.getresponse()
            return answer.status, {name.lower(): value for name, value in answer.getheaders()}, answer.read()
        finally:
            line.close()


def basic(login: str, password: str = PASSWORD) -> dict[str, str]:
    return {"Authorization": "Basic " + b64encode(f"{login}:{password}".encode()).decode()}


@contextlib.contextmanager
def served(directory: Path) -> Iterator[Served]:
    directory.mkdir(parents=True, exist_ok=True)
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    one = Served(directory, port)
    try:
        yield one
    finally:
        one.kill()


@pytest.fixture
def drive(tmp_path: Path) -> Iterator[Served]:
    with served(tmp_path / "drive") as one:
        yield one


if __name__ == "__main__":
    asyncio.run(_serve(Path(sys.argv[1]), int(sys.argv[2])))
