"""The words of people about sources: add, change, start, stop, remove, give a file, accept or refuse an update.

Process: console, cli. What follows (reading lists, publishing) is done by the process ``sources``, which hears of it.
Fails:   closed: nothing is fetched, and nothing takes effect, before an administrator started a source.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta
from typing import Any

from beffroi_protocol.threats import Threat
from django.conf import settings
from django.db import transaction
from django.utils.text import slugify

from beffroi.core.audit import actions as audit
from beffroi.core.events import outbox
from beffroi.core.identity.actor import Actor
from beffroi.core.identity.secret_fields import encrypt_text
from beffroi.lib import clock, durable
from beffroi.lib.errors import Conflict, Invalid, TooLarge
from beffroi.lib.ids import new_id
from beffroi.watch.sources import handover, web
from beffroi.watch.sources.errors import KeyMissing
from beffroi.watch.sources.formats.values import KINDS
from beffroi.watch.sources.models import FeedSource, SourceTrial, SourceUpdate
from beffroi.watch.sources.rules import TrialState

CHANGED, STOPPED, ANSWERED = "source:changed", "source:stopped", "source:answered"
MIN_EVERY_S, MAX_EVERY_S = 15 * 60, 30 * 86400
MIN_TTL_S, MAX_TTL_S = 3600, 365 * 86400
OPTIONS = ("column", "type_column", "delimiter", "header", "collections", "days")
MIN_WHY = 3


@transaction.atomic
def add_source(*, actor: Actor, name: str, secret: str = "", **fields: Any) -> FeedSource:
    """Add a source, off. ``fields``: those of FeedSource that ``change_source`` takes. Errors: NotAllowed, Invalid."""
    actor.require_departement("decide about sources")
    source = FeedSource(name=name, slug=_slug(name), created_by=actor.id)
    _set(source, {"name": name, **fields}, secret)
    source.save(force_insert=True)
    _record(source, actor, "added")
    return source


@transaction.atomic
def change_source(*, actor: Actor, source: FeedSource, secret: str = "", **fields: Any) -> None:
    """Change a source; an empty ``secret`` keeps the present one. Errors: NotAllowed, Invalid."""
    actor.require_departement("decide about sources")
    source = FeedSource.objects.select_for_update().get(pk=source.pk)
    before = (source.address, source.format, source.kinds, source.options)
    _set(source, fields, secret)
    if (source.address, source.format, source.kinds, source.options) != before:
        source.etag = source.last_modified = source.asked = (
            ""  # an answer to the former question is not taken
        )
        source.next_at = clock.now()
    source.save()
    _record(source, actor, "changed")
    outbox.publish(CHANGED, {"source_id": source.id})


@transaction.atomic
def start_source(*, actor: Actor, source: FeedSource) -> None:
    """From now on it is fetched and takes effect. Errors: NotAllowed, Conflict (it runs already)."""
    actor.require_departement("decide about sources")
    now = clock.now()
    if not FeedSource.objects.filter(pk=source.pk, active=False).update(
        active=True, next_at=now, failures=0, last_error="", last_error_detail="", asked=""
    ):
        raise Conflict("the source is active")
    source.refresh_from_db()
    _record(source, actor, "started")
    outbox.publish(CHANGED, {"source_id": source.id})


@transaction.atomic
def stop_source(*, actor: Actor, source: FeedSource) -> None:
    """End it and everything it brought, at every door. Errors: NotAllowed, Conflict (it is off)."""
    actor.require_departement("decide about sources")
    if not FeedSource.objects.filter(pk=source.pk, active=True).update(active=False):
        raise Conflict("the source is off")
    source.refresh_from_db()
    _record(source, actor, "stopped")
    outbox.publish(STOPPED, {"source_id": source.id, "slug": source.slug})


@transaction.atomic
def remove_source(*, actor: Actor, source: FeedSource) -> None:
    """Forget a source that is off. Errors: NotAllowed, Conflict."""
    actor.require_departement("decide about sources")
    if source.active or source.in_force:
        raise Conflict("stop the source first")
    _record(source, actor, "removed")
    source.delete()


@transaction.atomic
def fetch_now(*, actor: Actor, source: FeedSource) -> None:
    """Errors: NotAllowed, Conflict (it is off, or has no address)."""
    actor.require_departement("decide about sources")
    if (
        not FeedSource.objects.filter(pk=source.pk, active=True)
        .exclude(address="")
        .update(next_at=clock.now())
    ):
        raise Conflict("the source is off, or has no address")
    outbox.publish(CHANGED, {"source_id": source.id})


def give_file(*, actor: Actor, source: FeedSource, pieces: Iterable[bytes], account: str = "") -> None:
    """Read this file for the source, as if it had been fetched. It is parsed by the process ``fetch`` only.

    Errors: NotAllowed, Conflict (it is off), TooLarge.
    """
    actor.require_departement("decide about sources")
    if not source.active:
        raise Conflict("the source is off")
    durable.write(handover.given_file(settings.BEFFROI.state, source.id), _bounded(pieces))
    handover.given_file(settings.BEFFROI.state, source.id).chmod(0o640)
    with transaction.atomic():
        _record(source, actor, "file_given", account=account)
        number = new_id("ask")
        FeedSource.objects.filter(pk=source.pk).update(asked=number, asked_at=clock.now())
        transaction.on_commit(lambda: ask(source, number, given=True))


def ask(source: FeedSource, number: str, *, given: bool = False, secret: str = "") -> None:
    """Hand a question to the process that fetches. ``secret`` in the clear, for this question only."""
    config = settings.BEFFROI
    options: dict[str, Any] = {name: source.options[name] for name in OPTIONS if name in source.options}
    authority = config.sources_ca and _authority(config.sources_ca)
    handover.brought_file(config.state, source.id).unlink(missing_ok=True)
    handover.put_ask(
        config.state,
        handover.Ask(
            number=number,
            source_id=source.id,
            format=source.format,
            address=source.address,
            given=given,
            kinds=tuple(source.kinds),
            account=source.account,
            secret=secret,
            etag="" if given else source.etag,
            last_modified="" if given else source.last_modified,
            proxy=config.sources_proxy,
            networks=tuple(config.sources_networks.split()),
            authority=authority,
            **{**options, "collections": tuple(options.get("collections", ()))},
        ),
    )


@transaction.atomic
def answer_update(*, actor: Actor, update: SourceUpdate, accept: bool, why: str) -> None:
    """Let a held update take effect, or not. Errors: NotAllowed, Invalid (no reason), Conflict (answered, or another
    one took its place meanwhile)."""
    actor.require_departement("decide about sources")
    reason = " ".join(why.split())
    if not MIN_WHY <= len(reason) <= 300:
        raise Invalid("why")
    state = SourceUpdate.State.ACCEPTED if accept else SourceUpdate.State.REFUSED
    if not SourceUpdate.objects.filter(pk=update.pk, state=SourceUpdate.State.HELD).update(
        state=state, answered_at=clock.now(), answered_by=actor.id, why=reason
    ):
        raise Conflict("this update does not wait any more")
    audit.record(
        actor,
        f"source:update_{state}",
        update.id,
        collectivite_id=None,
        details={"source_id": update.source_id, "kept": update.kept, "doubts": ",".join(update.doubts)},
        personal={"why": reason},
    )
    outbox.publish(ANSWERED, {"source_id": update.source_id, "update_id": update.id, "accepted": accept})


@transaction.atomic
def answer_trial(
    *, actor: Actor, source: FeedSource, kind: str, enforce: bool, why: str, account: str = ""
) -> None:
    """End the trial of what a source named in bulk: block it everywhere now, or never; what was in force before stays.

    Errors: NotAllowed, Invalid (no reason), Conflict (it does not run, or was answered so).
    """
    actor.require_departement("decide about sources")
    reason = " ".join(why.split())
    if not MIN_WHY <= len(reason) <= 300:
        raise Invalid("why")
    outbox.serialise()
    state = TrialState.PASSED if enforce else TrialState.REFUSED
    trial = SourceTrial.objects.filter(source=source, source__active=True, kind=kind).first()
    if trial is None or trial.state in (TrialState.PASSED, state):
        raise Conflict("nothing of this kind is on trial")
    SourceTrial.objects.filter(pk=trial.pk).update(
        state=state.value, answered_at=clock.now(), answered_by=actor.id, why=reason
    )
    audit.record(
        actor,
        f"source:trial_{'enforced' if enforce else 'refused'}",
        source.id,
        collectivite_id=None,
        details={"kind": kind, "count": trial.count, "used": trial.used},
        personal={"why": reason, **({"account": account} if account else {})},
    )
    outbox.publish(CHANGED, {"source_id": source.id})


def _set(source: FeedSource, fields: Mapping[str, Any], secret: str) -> None:
    """Errors: Invalid."""
    for name in (
        "name",
        "address",
        "format",
        "licence",
        "weight",
        "threat",
        "kinds",
        "options",
        "ttl_s",
        "every_s",
        "account",
    ):
        if name in fields:
            setattr(source, name, fields[name])
    if secret:
        source.secret = encrypt_text(secret)
    _check_address(source)
    for field, text, most in (("name", source.name, 80), ("licence", source.licence, 100)):
        if not text.strip() or len(text) > most:
            raise Invalid(field)
    if source.format not in FeedSource.Format or source.weight not in FeedSource.Weight:
        raise Invalid("format, weight")
    if source.threat and source.threat not in Threat:
        raise Invalid("threat")
    if not set(source.kinds) <= {kind.value for kind in KINDS} or not set(source.options) <= set(OPTIONS):
        raise Invalid("kinds, options")
    if not (MIN_TTL_S <= source.ttl_s <= MAX_TTL_S and MIN_EVERY_S <= source.every_s <= MAX_EVERY_S):
        raise Invalid("ttl_s, every_s")
    if FeedSource.objects.filter(name=source.name).exclude(pk=source.pk).exists():
        raise Invalid("name: it is taken")


def _check_address(source: FeedSource) -> None:
    """Errors: Invalid, AddressInvalid, KeyMissing."""
    remote = (FeedSource.Format.TAXII, FeedSource.Format.MISP_FEED, FeedSource.Format.RSS)
    if not source.address and source.format in remote:
        raise Invalid("address")
    if source.address and web.KEY in web.checked(source.address).query and not source.secret:
        raise KeyMissing
    if len(source.address) > 500:
        raise Invalid("address")


def _slug(name: str) -> str:
    base = slugify(name)[:32].strip("-_") or "source"
    taken = set(FeedSource.objects.filter(slug__startswith=base).values_list("slug", flat=True))
    return next(one for one in (base, *(f"{base}-{n}" for n in range(2, 10_000))) if one not in taken)


def _bounded(pieces: Iterable[bytes]) -> Iterable[bytes]:
    size_bytes = 0
    for piece in pieces:
        size_bytes += len(piece)
        if size_bytes > handover.MAX_CONTENT_BYTES:
            raise TooLarge(handover.MAX_CONTENT_BYTES)
        yield piece


def _authority(path: str) -> str:
    with open(path, encoding="ascii") as file:  # noqa: PTH123 - a setting, not a Path
        return file.read(1024 * 1024)


def _record(source: FeedSource, actor: Actor, what: str, *, account: str = "") -> None:
    told = ("name", "address", "format", "weight", "threat", "ttl_s")
    details = {name: getattr(source, name) for name in told}
    personal = {"account": account} if account else None
    audit.record(actor, f"source:{what}", source.id, collectivite_id=None, details=details, personal=personal)


def next_at(pause_s: int) -> datetime:
    return clock.now() + timedelta(seconds=pause_s)
