"""Who may take how much of the Coffre: the référent says it of a person, the Département of a collectivité; and when
its key is replaced.

Rule:    the audit has its entry before anything is done, and another one where that fails (``audited``): the metadata
         of the drive are another database.
Process: web, console, a command.
"""

from __future__ import annotations

from contextlib import AbstractContextManager

from beffroi.core.identity.actor import Actor
from beffroi.drive import audited
from beffroi.drive.store import schema, tree
from beffroi.drive.store.database import Database
from beffroi.drive.store.keys import Keys
from beffroi.drive.store.model import NO_LIMIT
from beffroi.drive.store.room import WHOLE
from beffroi.drive.store.writing import Writing
from beffroi.lib import clock, gigabytes
from beffroi.lib.errors import Conflict, NotAllowed, NotFound


def limit_person(
    *, actor: Actor, database: Database, collectivite_id: str, person_id: str, limit_bytes: int | None
) -> None:
    """The room of a person; None is the usual one again. Errors: NotFound, NotAllowed, Invalid."""
    if not actor.may_see(collectivite_id):
        raise NotFound("person")
    if not actor.manages(collectivite_id):
        raise NotAllowed("give room")

    def change(writing: Writing) -> None:
        root = tree.make_root(writing, schema.HOME + person_id, now_s=clock.epoch_s())
        tree.set_limit(writing, root.id, _limit(limit_bytes))

    with _before(actor, "drive:quota:person", person_id, collectivite_id, limit_bytes):
        database.write(change)


def limit_collectivite(
    *, actor: Actor, database: Database, collectivite_id: str, limit_bytes: int | None
) -> None:
    """The room of a collectivité; None is the usual one again. Errors: NotAllowed, Invalid."""
    actor.require_departement("only the Département gives room")
    with _before(actor, "drive:quota:collectivite", collectivite_id, collectivite_id, limit_bytes):
        database.write(lambda writing: tree.set_limit(writing, WHOLE, _limit(limit_bytes)))


def replace_key(*, actor: Actor, keys: Keys) -> None:
    """Seal by a new key from now on, and all that is there, too, bit by bit (``renewal``).

    Errors: NotAllowed, Conflict (a key is being replaced already), those of the keys.
    """
    actor.require_departement("replace a key")
    if len(keys.generations()) > 1:
        raise Conflict("a key is being replaced already")
    with audited.before(actor, "drive:key:asked", keys.collectivite_id, collectivite_id=keys.collectivite_id):
        keys.rotate()


def _limit(limit_bytes: int | None) -> int:
    return NO_LIMIT if limit_bytes is None else limit_bytes


def _before(
    actor: Actor, verb: str, object_id: str, collectivite_id: str, limit_bytes: int | None
) -> AbstractContextManager[None]:
    """Errors: Invalid."""
    if limit_bytes is not None:
        gigabytes.checked(limit_bytes)
    return audited.before(
        actor,
        verb,
        object_id,
        collectivite_id=collectivite_id,
        details={"limit_bytes": "usual" if limit_bytes is None else limit_bytes},
    )
