"""Calendars behind the real front door, for programs: haproxy, granian, Radicale; people from the database or without.

``wall`` of a module is a state directory of its own with both processes; ``signs_in`` puts a person in its projection.
"""

from __future__ import annotations

import base64
import hashlib
import http.client
import secrets
import shutil
import ssl
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta

import pytest
from beffroi.drive import projections
from beffroi.drive.calendars import wire
from beffroi.drive.calendars.asking import Asking
from beffroi.lib import clock, ids
from beffroi.lib.config import Config
from beffroi.supervise import front

from tests import front_planes
from tests.mail_post import Engines
from tests.waiting import PATIENCE_S

needs_front = [pytest.mark.root, pytest.mark.slow]


@dataclass(frozen=True)
class Account:
    """A person with an app password for DAV, as a program has it."""

    person_id: str
    collectivite_id: str
    login: str
    password: str

    @property
    def home(self) -> str:
        return f"/caldav/{self.person_id}/"

    @property
    def header(self) -> dict[str, str]:
        token = base64.b64encode(f"{self.login}:{self.password}".encode()).decode()
        return {"Authorization": f"Basic {token}"}


@dataclass(frozen=True)
class Answer:
    status: int
    headers: http.client.HTTPMessage
    body: bytes


@dataclass(frozen=True)
class Wall:
    engines: Engines

    @property
    def config(self) -> Config:
        return self.engines.config

    @property
    def url(self) -> str:
        return f"https://localhost:{self.config.portal_port}"

    @property
    def authorities(self) -> str:
        return str(self.config.state / "tls" / "ca.pem")

    def signs_in(self, login: str, *, collectivite_id: str, role: str = "agent") -> Account:
        account = Account(ids.new_id("per"), collectivite_id, login, secrets.token_hex(16))
        row = projections.Row(
            sha256=hashlib.sha256(account.password.encode()).hexdigest(),
            app_password_id=ids.new_id("apw"),
            person_id=account.person_id,
            membership_id=ids.new_id("mem"),
            collectivite_id=collectivite_id,
            role=role,
            login=login,
            display_name=login.partition("@")[0],
        )
        projections.put(self.config, [row.app_password_id], lambda ids: [row])
        return account

    def ask(
        self,
        method: str,
        path: str,
        body: bytes | str = b"",
        *,
        account: Account | None = None,
        headers: dict[str, str] | None = None,
    ) -> Answer:
        context = ssl.create_default_context(cafile=self.authorities)
        connection = http.client.HTTPSConnection(
            "localhost", self.config.portal_port, timeout=PATIENCE_S, context=context
        )
        sent = {**(account.header if account else {}), **(headers or {})}
        data = body.encode() if isinstance(body, str) else body
        connection.request(method, path, data or None, sent)
        answer = connection.getresponse()
        found = Answer(answer.status, answer.headers, answer.read())
        connection.close()
        return found


@contextmanager
def wall(prefix: str, first_port: int, *names: str) -> Iterator[Wall]:
    """Calendars, or these processes, and front door until the block ends."""
    with front_planes.running(prefix, first_port, {}, *(names or ("calendars",))) as planes:
        config = planes.config
        with (config.log / "front.out").open("ab") as log:
            argv = ("haproxy", "-db", "-f", str(front.config_path(config)))
            process = subprocess.Popen(argv, stdout=log, stderr=log)
        try:
            front_planes.until_up(config, process)
            yield Wall(planes)
        finally:
            process.terminate()
            process.wait(PATIENCE_S)


def event(uid: str, title: str, *, starts: str = "20261203T090000Z", more: str = "") -> str:
    lines = ("BEGIN:VCALENDAR", "VERSION:2.0", "PRODID:-//tests//FR", "BEGIN:VEVENT", f"UID:{uid}",
             "DTSTAMP:20261101T080000Z", f"DTSTART:{starts}", "DURATION:PT1H", f"SUMMARY:{title}",
             *([more] if more else []), "END:VEVENT", "END:VCALENDAR", "")  # fmt: skip
    return "\r\n".join(lines)


def at(hour: str, *, days: int = 10) -> str:
    """A time in so many days, as iCalendar writes it; ``hour``: HHMM, of UTC."""
    return f"{clock.now() + timedelta(days=days):%Y%m%d}T{hour}00Z"


def add_room(wall: Wall, account: Account, title: str) -> None:
    """As the page does it."""
    asked = Asking(
        wall.config,
        person_id=account.person_id,
        collectivite_id=account.collectivite_id,
        shared=True,
        write=True,
    )
    asked.add_room(wire.NewRoom(title))


def card(uid: str, name: str) -> str:
    return "\r\n".join(
        ("BEGIN:VCARD", "VERSION:3.0", f"UID:{uid}", f"FN:{name}", f"N:{name};;;;", "END:VCARD", "")
    )


@contextmanager
def calendars_alone(config: Config) -> Iterator[Engines]:
    """The process ``calendars`` of this state directory, without a front door."""
    engines = Engines(config)
    try:
        engines.start("calendars")
        yield engines
    finally:
        engines.stop()
        (config.run / "calendars.sock").unlink(missing_ok=True)
        shutil.rmtree(config.state / "drive", ignore_errors=True)
