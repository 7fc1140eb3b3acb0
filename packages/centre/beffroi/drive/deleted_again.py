"""Versions that somebody deleted are deleted again after a restore, which brings back what there was then.

Rule:    the audit log says which were deleted; what was told and not done is no deletion. Numbers alone are not
         believed, since metadata that were lost count anew: length and time have to be those of the deleted one, too.
         What is the file's present content as of the restore, and what is sealed or locked, stays, and is counted.
Process: a person's command line, after a restore.
Source:  docs/decisions/0107-one-version-is-deleted.md.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import NamedTuple

from beffroi.core.audit.models import AuditEntry
from beffroi.core.identity.actor import Actor
from beffroi.drive import audited
from beffroi.drive.store import look, versions
from beffroi.drive.store.database import Database
from beffroi.drive.store.model import Act
from beffroi.drive.store.versions import VersionAbsent
from beffroi.drive.store.writing import Writing
from beffroi.drive.version_actions import DELETED
from beffroi.lib import clock
from beffroi.lib.errors import BeffroiError

SYSTEM = Actor.system("drive.restore")


class Again(NamedTuple):
    """How many are deleted again, and how many are there."""

    deleted: int
    stay: int


def again(database: Database, owner: str, *, as_of_s: int) -> Again:
    """Those of that moment and later or, since clocks differ, of a day before. Errors: StoreFull, Unavailable."""
    since = datetime.fromtimestamp(as_of_s, UTC) - timedelta(days=1)
    deleted, stay = 0, 0
    for node_id, told in _deleted(owner, since).items():
        for details in told:
            etag = int(details["version"])
            found = database.write(partial(_there, node_id=node_id, etag=etag, details=details))
            if found == "present":
                stay += 1
            elif found == "version" and _delete(database, owner, node_id, etag, details):
                deleted += 1
            elif found == "version":
                stay += 1
    return Again(deleted, stay)


def _deleted(owner: str, since: datetime) -> dict[int, list[Mapping[str, int]]]:
    """Number of the file -> what the log says of each of its versions that was deleted."""
    told: dict[int, list[Mapping[str, int]]] = {}
    rows = AuditEntry.objects.filter(collectivite_id=owner, at__gte=since, verb__in=(DELETED, audited.FAILED))
    for verb, object_id, text in rows.order_by("id").values_list("verb", "object_id", "details"):
        details = json.loads(text)
        if verb == DELETED:
            told.setdefault(int(object_id), []).append(details)
        elif details.get("verb") == DELETED and told.get(int(object_id)):
            told[int(object_id)].pop()
    return told


def _there(writing: Writing, *, node_id: int, etag: int, details: Mapping[str, int]) -> str:
    try:
        found = versions.find(writing, node_id, etag)
    except VersionAbsent:
        node = look.node(writing, node_id)
        same = node is not None and (node.etag, node.size_bytes) == (etag, details["size_bytes"])
        return "present" if same else ""
    same = (found.size_bytes, found.replaced_s) == (details["size_bytes"], details["replaced_s"])
    return "version" if same else ""


def _delete(database: Database, owner: str, node_id: int, etag: int, details: Mapping[str, int]) -> bool:
    act = Act("", "", clock.epoch_s())
    try:
        database.write(lambda w: versions.deletable(w, act, node_id, etag))
        with audited.before(SYSTEM, DELETED, str(node_id), collectivite_id=owner, details=details):
            database.write(lambda w: versions.delete(w, act, node_id, etag))
    except BeffroiError as error:
        if error.http_status >= 500:
            raise
        return False
    return True
