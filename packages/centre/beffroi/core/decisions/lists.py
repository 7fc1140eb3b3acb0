"""Bulk lists: publish one under a name, withdraw it, forget its file.

Purpose: block many thousand values of a public source at every door without a row or a line for each.
Process: cli as the Python user (publish, withdraw); worker (expiry, old files).
Input:   the values are hostile: only canonical ones that nothing protects are published, the rest is counted.
Fails:   closed; a list of which nothing is left is refused, and the one in force stays. The file is on disk
         before the row that names it.
Source:  docs/internals/feed.md, docs/decisions/0010-bulk-lists-and-large-snapshots-by-digest.md.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import time
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

import msgspec
from beffroi_protocol import lists as content
from beffroi_protocol.errors import IndicatorInvalid
from beffroi_protocol.indicators import Kind, normalise
from beffroi_protocol.messages import MAX_LIST_BYTES, Action, BulkList, ListName
from beffroi_protocol.threats import Threat
from django.conf import settings
from django.db import transaction
from django.db.models import Max, Min

from beffroi.core.audit import actions as audit
from beffroi.core.communes.actions import CollectiviteLeft
from beffroi.core.communes.queries import has_left
from beffroi.core.decisions import listed, protected
from beffroi.core.decisions.actions import MAX_TTL_S
from beffroi.core.decisions.models import SCOPE_ALL, IndicatorList, ListGrowth, PublishCursor
from beffroi.core.decisions.queries import access_list
from beffroi.core.events import outbox
from beffroi.core.events.models import OutboxEvent
from beffroi.core.identity.actor import Actor
from beffroi.core.planes import files
from beffroi.lib import clock, durable
from beffroi.lib.config import Config
from beffroi.lib.errors import BeffroiError, Invalid, Unavailable

PUBLISHED, WITHDRAWN = "list:published", "list:withdrawn"
REASON = "bulk_list"
KEEP_GROWTH = timedelta(days=30)
"""As long as evidence is looked back on; what is listed for longer is listed "for at least" so long."""
KEEP_FILES_S = 6 * 3600
"""A door that is slow, or that has not heard yet, may still fetch a file that no row names any more."""


class ListEmpty(BeffroiError):
    """Nothing of the list {} can be used: {} values are invalid and {} protected. What was in force stays."""

    code = "list.empty"
    http_status = 400


@dataclass(frozen=True)
class Published:
    """``kept``: different values in force. ``invalid``, ``protected``: how many of those given were left out."""

    row: IndicatorList
    kept: int
    invalid: int
    protected: int


def publish_list(
    *,
    actor: Actor,
    name: str,
    kind: str,
    values: Iterable[str],
    source: str,
    licence: str,
    ttl_s: int = 0,
    scope: str = SCOPE_ALL,
    action: str = Action.BLOCK,
    threat: str = "",
    account: str = "",
) -> Published:
    """Put a list in force at every door whose channel carries ``kind``; one of the same name is replaced.

    ``threat``: what all of it warns of (``threats.Threat``), "" for no one thing.
    ``scope``: ``all`` or one collectivité. ``ttl_s`` in seconds, 0: until it is replaced or withdrawn.
    ``account``: of the machine, where a person acts by command; kept in the personal side of the audit entry.
    Errors: ListEmpty, Invalid, NotAllowed, CollectiviteLeft; OSError when the file cannot be written.
    """
    actor.require_departement("decide for others")
    if has_left(scope):
        raise CollectiviteLeft
    known = _checked(name, kind, source, licence, ttl_s)
    if threat and threat not in Threat:
        raise Invalid(f"threat: one of {', '.join(Threat)}")
    kept, invalid, refused = _sort(values, known)
    if not kept:
        raise ListEmpty(name, invalid, refused)
    written = _write(kept)
    grown = _grown(name, known, scope, kept, written)
    row = _put(
        grown=grown,
        actor=actor,
        account=account,
        name=name,
        kind=known.value,
        scope=scope,
        action=Action(action).value,
        reason=REASON,
        threat=threat,
        source=source,
        licence=licence,
        expires_at=clock.paced_now() + timedelta(seconds=ttl_s) if ttl_s else None,
        **written,
    )
    return Published(row, len(kept), invalid, refused)


def _grown(
    name: str, kind: Kind, scope: str, kept: set[str], written: dict[str, Any]
) -> dict[str, Any] | None:
    """Write what is new against the list of this name in force; None when nothing is. Errors: OSError."""
    before = IndicatorList.objects.filter(name=name, kind=kind.value, scope=scope).first()
    if before is None:
        return written
    new = set(kept)
    with contextlib.suppress(Unavailable):  # damaged: all of it is new again
        for piece in listed.pieces(before.sha256, before.size_bytes):
            new.difference_update(piece.decode().split())
    return _write(new) if new else None


def _write(values: Collection[str]) -> dict[str, Any]:
    """Write the file; return what the row says of it. Errors: Invalid (too large), OSError."""
    data = content.content(values)
    if len(data) > MAX_LIST_BYTES:
        raise Invalid(f"a list has at most {MAX_LIST_BYTES} bytes")
    digest = hashlib.sha256(data).hexdigest()
    durable.write(_file(digest), files.compressed(data))
    return {"sha256": digest, "size_bytes": len(data), "count": len(values)}


@transaction.atomic
def _put(
    *, actor: Actor, account: str, name: str, grown: dict[str, Any] | None, **fields: object
) -> IndicatorList:
    outbox.serialise()
    before = IndicatorList.objects.filter(name=name).first()
    if before is not None and (before.kind, before.scope) != (fields["kind"], fields["scope"]):
        _tell(before, WITHDRAWN)  # other channels carried it
    row, _ = IndicatorList.objects.update_or_create(
        name=name, defaults={**fields, "published_at": clock.now(), "published_by": actor.id}
    )
    if before is not None and before.sha256 != row.sha256:
        _let_go(before)
    growth = ListGrowth.objects.create(list_id=row.id, **grown) if grown is not None else None
    _record(row, actor=actor, account=account, verb=PUBLISHED)
    _tell(row, PUBLISHED, growth_id=growth.pk if growth is not None else 0)
    return row


@transaction.atomic
def withdraw_list(*, actor: Actor, name: str, account: str = "") -> None:
    """End a list at every door. Errors: NotFound, NotAllowed."""
    actor.require_departement("decide for others")
    outbox.serialise()
    _end(access_list(actor, name), actor=actor, account=account, verb=WITHDRAWN)


def expire_due() -> int:
    """End every list whose time is over; return how many. Doors do not match it from that second on."""
    due = IndicatorList.objects.filter(expires_at__lte=clock.paced_now())
    if not due.exists():  # the usual case: no write lock is taken
        return 0
    with transaction.atomic():
        outbox.serialise()
        found = list(due)
        for row in found:
            _end(row, actor=Actor.system("decisions.expiry"), verb="list:expired")
    return len(found)


def prune_files() -> int:
    """Delete files that no list names, once the feed has moved on and some hours have passed; return how many."""
    position = PublishCursor.objects.aggregate(lowest=Min("position"))["lowest"] or 0
    latest = OutboxEvent.objects.filter(kind__in=(PUBLISHED, WITHDRAWN)).aggregate(id=Max("id"))["id"] or 0
    directory = _file("").parent
    if latest > position or not directory.is_dir():
        return 0
    ListGrowth.objects.filter(at__lt=clock.paced_now() - KEEP_GROWTH).delete()
    named = {
        _file(digest).name
        for model in (IndicatorList, ListGrowth)
        for digest in model.objects.values_list("sha256", flat=True)
    }
    pruned = 0
    for path in directory.iterdir():
        if path.name not in named and path.stat().st_mtime < time.time() - KEEP_FILES_S:
            path.unlink(missing_ok=True)
            pruned += 1
    return pruned


def bulk_list(row: IndicatorList) -> BulkList:
    """What doors are told of it."""
    expires_at = int(row.expires_at.timestamp()) if row.expires_at else 0
    return BulkList(
        row.name, Kind(row.kind), row.sha256, row.size_bytes, row.count, Action(row.action), expires_at, row.reason,
        row.threat,
    )  # fmt: skip


def file_is_there(row: IndicatorList) -> bool:
    return _file(row.sha256).is_file()


def _checked(name: str, kind: str, source: str, licence: str, ttl_s: int) -> Kind:
    """Errors: Invalid."""
    try:
        msgspec.convert(name, ListName)
    except msgspec.ValidationError:
        raise Invalid("name: 1 to 64 of a-z, 0-9, '.', '_', '-', beginning with a letter or digit") from None
    try:
        known = Kind(kind)
    except ValueError:
        raise Invalid(f"kind: one of {', '.join(Kind)}") from None
    for field, text, most in (("source", source, 200), ("licence", licence, 100)):
        if not text.strip() or len(text) > most:
            raise Invalid(f"{field}: 1 to {most} characters")
    if not 0 <= ttl_s <= MAX_TTL_S:
        raise Invalid(f"life: 0 to {MAX_TTL_S // 86400} days")
    return known


def _sort(values: Iterable[str], kind: Kind) -> tuple[set[str], int, int]:
    """Return (usable values, how many are invalid, how many are protected)."""
    # What is never blocked again stays in: doors let it pass until that is taken back.
    floor = protected.blockable()
    kept: set[str] = set()
    invalid = refused = 0
    for value in values:
        try:
            indicator = normalise(kind, value)
        except IndicatorInvalid:
            invalid += 1
            continue
        if indicator.kind is not kind:  # a network of one address
            invalid += 1
        elif indicator.value in kept:
            continue
        elif floor.reason(indicator):
            refused += 1
        else:
            kept.add(indicator.value)
    return kept, invalid, refused


def _end(row: IndicatorList, *, actor: Actor, verb: str, account: str = "") -> None:
    _record(row, actor=actor, account=account, verb=verb)
    _tell(row, WITHDRAWN)
    _let_go(row)
    ListGrowth.objects.filter(list_id=row.id).delete()
    row.delete()


def _let_go(row: IndicatorList) -> None:
    """The file's time begins to run: ``prune_files`` counts from here."""
    with contextlib.suppress(FileNotFoundError):
        os.utime(_file(row.sha256))


def _record(row: IndicatorList, *, actor: Actor, account: str, verb: str) -> None:
    details = {name: getattr(row, name) for name in ("name", "kind", "scope", "sha256", "count")}
    personal = {"account": account} if account else None
    owner = _collectivite(row)
    audit.record(actor, verb, row.id, collectivite_id=owner, details=details, personal=personal)


def _tell(row: IndicatorList, kind: str, *, growth_id: int = 0) -> None:
    """``growth_id``: what this publication added, 0 for nothing new."""
    payload = {
        "list_id": row.id,
        "kind": row.kind,
        "scope": row.scope,
        "growth_id": growth_id,
        "list": msgspec.to_builtins(bulk_list(row)),
    }
    outbox.publish(kind, payload, collectivite_id=_collectivite(row))


def _collectivite(row: IndicatorList) -> str | None:
    return None if row.scope == SCOPE_ALL else row.scope


def _file(digest: str) -> Path:
    config: Config = settings.BEFFROI
    return files.list_file(config.state, digest)
