"""Shares in the metadata of a served drive, as the portal makes them: beside the process that serves."""

from __future__ import annotations

import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

from beffroi.drive.sharing import Sharing
from beffroi.drive.store import groups, received, shares
from beffroi.drive.store.commune import Communes
from beffroi.drive.store.groups import Group
from beffroi.drive.store.model import Act
from beffroi.drive.store.shares import Share, Wish
from beffroi.drive.views import View
from beffroi.drive.web.sync import push
from beffroi.drive.who import Who
from beffroi.lib import clock

from tests.drive_server import PEOPLE, Served


@contextmanager
def metadata(drive: Served) -> Iterator[Communes]:
    with ThreadPoolExecutor(1) as threads:
        communes = Communes(drive.directory / "drive", threads)
        try:
            yield communes
        finally:
            communes.close()


def share(drive: Served, path: str, wish: Wish, login: str = "alice") -> Share:
    """``path``: names with slashes, below the person's root. What is for a collectivité waits there for an answer."""
    who = PEOPLE[login]
    act = Act(who.person_id, "", clock.epoch_s())
    with metadata(drive) as communes:
        database = communes.metadata(who.collectivite_id)
        with database.reading() as reading:
            node = View(database, who).place(reading, path.split("/")).node
        made = database.write(lambda writing: shares.make(writing, act, node.id, wish))[0]
        if wish.kind == "collectivite":
            communes.metadata(wish.target).write(
                lambda writing: received.offer(
                    writing, made.id, made.label, owner=who.collectivite_id, now_s=act.now_s
                )
            )
    return made


def allow(drive: Served, made: Share, rights: shares.Rights, login: str = "alice") -> None:
    """Other rights of an open share."""
    with metadata(drive) as communes:
        communes.metadata(PEOPLE[login].collectivite_id).write(
            lambda writing: shares.change(writing, made.id, rights=rights, expires_s=0)
        )


def group(drive: Served, name: str, *logins: str, owner: str = "alice") -> Group:
    """A group of the collectivité of ``owner``, with these people in it."""
    who = PEOPLE[owner]
    act = Act(who.person_id, "", clock.epoch_s())
    with metadata(drive) as communes:
        database = communes.metadata(who.collectivite_id)
        made = database.write(lambda writing: groups.make(writing, act, name))
    for login in logins:
        put_in(drive, made, login, owner=owner)
    return made


def put_in(drive: Served, made: Group, login: str, *, owner: str = "alice", out: bool = False) -> None:
    """Somebody comes into a group, or goes ``out`` of it; devices are told as by the portal."""
    act, person_id = Act(PEOPLE[owner].person_id, "", clock.epoch_s()), PEOPLE[login].person_id
    with metadata(drive) as communes:
        communes.metadata(PEOPLE[owner].collectivite_id).write(
            lambda writing: (
                groups.remove(writing, made.id, person_id)
                if out
                else groups.add(writing, act, made.id, person_id)
            )
        )
    push.tell(drive.directory / "run", PEOPLE[owner].collectivite_id)


def answer(drive: Served, made: Share, *, accepted: bool = True) -> None:
    with metadata(drive) as communes:
        act = Act("per_referent", "", clock.epoch_s())
        communes.metadata(made.target).write(
            lambda writing: received.answer(writing, act, made.id, accepted=accepted)
        )


def refuse(drive: Served, made: Share) -> None:
    """By the référent's page."""
    with metadata(drive) as communes:
        act = Act("per_referent", "", clock.epoch_s())
        view = View.of(
            Who("per_referent", "mem_referent", made.target, "referent", "referent", "", ""),
            communes.metadata,
        )
        Sharing(view, act, lambda line: None).answer(made.id, accepted=False)


def end(drive: Served, made: Share, login: str = "alice") -> None:
    with metadata(drive) as communes:
        communes.metadata(PEOPLE[login].collectivite_id).write(
            lambda writing: shares.end(writing, made.id, now_s=clock.epoch_s())
        )


def crossed(drive: Served) -> list[dict[str, Any]]:
    file = drive.directory / "told-crossings"
    return [json.loads(line) for line in file.read_text().splitlines()] if file.exists() else []
