"""Who left a collectivité shares their own files with nobody: no one would be left who could end it. Nothing is shared
with them either, and they are in none of its groups, also when they come back; an undone departure gives all that back.
Nothing stays locked by them.

Process: worker. What they shared of the collectivité's folder stays: colleagues see and end it.
Rule:    what is taken and what is given back is on record before; where it then fails, the event is tried again, and
         tells it again. What cannot be given back any more is left out.
Source:  docs/decisions/0094-undone-departures-give-groups-and-shares-back.md.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import partial

from beffroi.drive.groups import GroupLine, RecordGroup
from beffroi.drive.sharing import Line, Record, receiver_of
from beffroi.drive.store import (
    departed,
    favourites,
    groups,
    locks,
    look,
    mounts,
    received,
    schema,
    seen,
    shares,
)
from beffroi.drive.store.commune import opened
from beffroi.drive.store.database import Database
from beffroi.drive.store.departed import Kind
from beffroi.drive.store.keys import is_erased
from beffroi.drive.store.model import AbsentNode, Act
from beffroi.drive.store.shares import Share
from beffroi.drive.store.writing import Reading, Writing
from beffroi.lib import clock
from beffroi.lib.config import Config
from beffroi.lib.errors import BeffroiError

log = logging.getLogger("beffroi.drive")


@dataclass(frozen=True)
class Departure:
    """Takes what was made ``before_s``: of who is back by now, no more. ``left_s``: when they left, 0 if they never
    did."""

    collectivite_id: str
    person_id: str
    before_s: int
    left_s: int


def end_their_shares(config: Config, departure: Departure, *, record: Record) -> None:
    """Of their own files, with people, groups, roles and collectivités; and what is shared with them. What they had
    open is locked no more.

    Errors: StoreFull, Unavailable.
    """
    collectivite_id, person_id = departure.collectivite_id, departure.person_id
    now_s = clock.epoch_s()
    with metadata(config, collectivite_id) as database:
        if database is None:
            return
        with database.reading() as reading:
            theirs = [
                one
                for one in shares.every(reading)
                if one.kind != "link"
                and one.created_s < departure.before_s
                and (_is_with(one, person_id) or _is_own(reading, one, person_id))
            ]
        found = [one for one in theirs if one.is_open(now_s)]
        for one in found:
            record(Line("ended", one.id, person_id, collectivite_id, receiver_of(one)))

        def end(writing: Writing) -> None:
            ended = [one.id for one in found if shares.end(writing, one.id, now_s=now_s)]
            departed.take(writing, person_id, "share", ended, left_s=departure.left_s)
            departed.keep_from_others(writing, person_id, [one.id for one in theirs])
            if departure.before_s > now_s:  # nor are they back
                locks.end_of(writing, person_id)

        database.write(end)


def end_locks(config: Config, collectivite_id: str, *, device_id: str) -> None:
    """What a device holds, also of what other collectivités share with its own: where one of these does not answer,
    that ends by itself. Errors: StoreFull, Unavailable."""
    with metadata(config, collectivite_id) as database:
        if database is None:
            return
        locks.end_by(database, device_id)
        with database.reading() as reading:
            owners = {one.owner for one in received.every(reading)}
    for owner in owners:
        with suppress(BeffroiError), metadata(config, owner) as there:
            if there is not None:
                locks.end_by(there, device_id)


def end_outside(config: Config, collectivite_id: str, *, record: Record) -> int:
    """Of a collectivité that left: links, and what is shared with other collectivités, either way. Return how many
    ended. What its own people share inside ends with each of them. Errors: StoreFull, Unavailable."""
    ended = 0

    def end(owner: str, database: Database) -> None:
        nonlocal ended
        now_s = clock.epoch_s()
        with database.reading() as reading:
            found = [
                one
                for one in shares.all_open(reading, now_s=now_s)
                if receiver_of(one) == collectivite_id
                or (owner == collectivite_id and one.kind in ("link", "collectivite"))
            ]
        for one in found:
            record(Line("ended", one.id, "", owner, receiver_of(one)))
        if found:
            database.write(partial(_end_all, found, now_s))
        ended += len(found)

    _everywhere(config, end)
    return ended


def _end_all(found: Iterable[Share], now_s: int, writing: Writing) -> None:
    for one in found:
        shares.end(writing, one.id, now_s=now_s)


def _everywhere(config: Config, change: Callable[[str, Database], object]) -> None:
    """In all collectivités, also behind one that does not answer. Errors: the first one's of these."""
    failed: BeffroiError | None = None
    with opened(config) as communes:
        for one in communes.ids():
            try:
                change(one, communes.metadata(one))
            except BeffroiError as error:
                log.error("%s is passed over for now: %s", one, error.code)
                failed = failed or error
    if failed is not None:
        raise failed


def leave_groups(config: Config, departure: Departure, *, record: RecordGroup) -> None:
    """Take them out of each group that they had come to. Errors: StoreFull, Unavailable."""
    collectivite_id, person_id = departure.collectivite_id, departure.person_id
    with metadata(config, collectivite_id) as database:
        if database is None:
            return
        with database.reading() as reading:
            found = groups.of_person(reading, person_id)
        for group_id, since_s in found.items():
            if since_s < departure.before_s:
                record(GroupLine("removed", group_id, collectivite_id, details={"person_id": person_id}))

        def leave(writing: Writing) -> None:
            left = groups.leave(writing, person_id, before_s=departure.before_s)
            departed.take(writing, person_id, "group", left, left_s=departure.left_s)

        database.write(leave)


def give_back(
    config: Config,
    act: Act,
    *,
    collectivite_id: str,
    person_id: str,
    left_s: int,
    record_group: RecordGroup,
    record_share: Record,
) -> None:
    """What the departure at ``left_s`` took and is still to be had. ``act``: of who undoes it.

    Errors: StoreFull, Unavailable.
    """
    with metadata(config, collectivite_id) as database:
        if database is None:
            return
        with database.reading() as reading:
            group_ids, ended = _returning(reading, person_id, left_s, now_s=act.now_s)
        for one in group_ids:
            record_group(GroupLine("added", one, collectivite_id, details={"person_id": person_id}))
        for share in ended:
            details = {"node_id": share.node}
            receiver = receiver_of(share)
            record_share(Line("reopened", share.id, act.person_id, collectivite_id, receiver, details))

        def change(writing: Writing) -> None:
            group_ids, ended = _returning(writing, person_id, left_s, now_s=act.now_s)
            for one in group_ids:
                groups.add(writing, act, one, person_id)
            for share in ended:
                shares.reopen(writing, share.id)
            departed.give_back(writing, person_id, left_s=left_s)

        database.write(change)


def _returning(reading: Reading, person_id: str, left_s: int, *, now_s: int) -> tuple[list[str], list[Share]]:
    """Groups that are there and have room; shares of files that are still the person's own, or with the person, that
    nobody made in the same way since."""
    taken: dict[Kind, list[str]] = {"group": [], "share": []}
    for one in departed.of(reading, person_id, left_s=left_s):
        taken[one.kind].append(one.thing)
    there = groups.of_person(reading, person_id)
    group_ids = [
        one
        for one in taken["group"]
        if one not in there
        and groups.is_there(reading, one)
        and len(groups.members(reading, one)) < groups.MOST_MEMBERS
    ]
    found = []
    for share_id in taken["share"]:
        with suppress(AbsentNode):  # forgotten: it ended too long ago
            found.append(shares.find(reading, share_id))
    return group_ids, [one for one in found if _may_reopen(reading, one, person_id, now_s=now_s)]


def _may_reopen(reading: Reading, share: Share, person_id: str, *, now_s: int) -> bool:
    if not shares.stands(reading, share._replace(ended_s=shares.NEVER), now_s=now_s):
        return False
    if share.kind == "group" and not groups.is_there(reading, share.target):
        return False
    beside = shares.of_node(reading, share.node, now_s=now_s)
    is_shared_again = any((one.kind, one.target) == (share.kind, share.target) for one in beside)
    is_theirs = _is_with(share, person_id) or _is_own(reading, share, person_id)
    return is_theirs and not is_shared_again


def forget_own_marks(config: Config, person_id: str) -> None:
    """Stars of somebody who is erased, names that they gave to what was shared with them, when they looked at it,
    wherever. Errors: StoreFull, Unavailable."""

    def forget(_: str, database: Database) -> None:
        with database.reading() as reading:
            is_there = (
                favourites.has_some(reading, person_id)
                or mounts.of(reading, person_id)
                or seen.shares(reading, person_id)
            )
        if is_there:
            database.write(lambda writing: _forget_own_marks(writing, person_id))

    _everywhere(config, forget)


def _forget_own_marks(writing: Writing, person_id: str) -> None:
    favourites.forget(writing, person_id)
    mounts.forget(writing, person_id)
    seen.forget(writing, person_id)


def has_files(config: Config, collectivite_id: str) -> bool:
    """Whether a collectivité has a drive; asking makes none."""
    directory = config.state / "drive" / collectivite_id
    return directory.exists() and not is_erased(directory)


@contextmanager
def metadata(config: Config, collectivite_id: str) -> Iterator[Database | None]:
    """None for a collectivité that never had a file, or whose files are erased."""
    if not has_files(config, collectivite_id):
        yield None
        return
    with opened(config) as communes:
        yield communes.metadata(collectivite_id)


def _is_with(share: Share, person_id: str) -> bool:
    return share.kind == "person" and share.target == person_id


def _is_own(reading: Reading, share: Share, person_id: str) -> bool:
    way = look.above(reading, share.node)
    return bool(way) and way[-1].name == schema.HOME + person_id
