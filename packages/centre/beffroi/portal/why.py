"""Why is this address, site or file blocked? Lists and decisions that name it, and what lets it pass. To read only.

One answer for the console's page, the commune's page and their JSON: who asks decides what is in it. What lists name is
public and was seen by nobody; how often doors refused it is a count over all communes, never which ones.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from urllib.parse import urlsplit

from beffroi_protocol.errors import IndicatorInvalid
from beffroi_protocol.indicators import Indicator, Kind, normalise
from beffroi_protocol.sketches import LANE_DIGITS, LANES

from beffroi.boxes import queries as boxes
from beffroi.boxes.queries import Often
from beffroi.core.communes import queries as communes
from beffroi.core.decisions import listed, queries, rules
from beffroi.core.decisions.models import Appeal, Decision, IndicatorList, LocalException, NeverAgain
from beffroi.core.identity.actor import Actor
from beffroi.lib import clock
from beffroi.portal import explaining, words
from beffroi.watch.sources.formats.values import of_text

DAYS = 30
MAX_CHARS = 2048


@dataclass(frozen=True)
class Entry:
    """One value of a list. ``since``: as ``listed.since``, None where that is longer ago than is remembered."""

    row: IndicatorList
    indicator: Indicator
    threat: str
    since: datetime | None
    often: Often


@dataclass(frozen=True)
class Opened:
    """A local exception. ``owner``: the collectivité's name."""

    row: LocalException
    owner: str


@dataclass(frozen=True)
class Contested:
    row: Appeal
    owner: str


@dataclass(frozen=True)
class Why:
    """``opened``: the commune that asks lets it through for itself. ``lifted``: one may. ``choices``: what could pass
    everywhere."""

    asked: Indicator
    entries: list[Entry]
    decisions: list[tuple[Decision, str]]
    spared: NeverAgain | None
    exceptions: list[Opened]
    opened: bool
    lifted: bool
    choices: list[Indicator]
    appeals: list[Contested]

    @property
    def blocked(self) -> bool:
        """Whether the doors of whoever asks refuse it; for the Département, local exceptions apart."""
        decided = any(one.state in ("active", "canary") for one, _ in self.decisions)
        return (bool(self.entries) or decided) and self.spared is None and not self.opened

    @property
    def contestable(self) -> bool:
        """Whether a commune may say that a list names it wrongly."""
        return bool(self.entries) and self.spared is None and self.asked.kind is not Kind.CIDR


def read(text: str) -> Indicator | None:
    """What a person typed or pasted; None when it is no address, name, link, sender or hash, nor the sketch of a text,
    which the pages of its decision hand on."""
    bare = text.strip()[:MAX_CHARS]
    found = of_text(bare)
    if found is None and len(bare) != LANES * LANE_DIGITS:
        return None
    try:
        return normalise(Kind.SKETCH, bare) if found is None else normalise(found.kind, found.value)
    except IndicatorInvalid:
        return None


def explain(actor: Actor, asked: Indicator) -> Why:
    """A link or a sender that nothing names by itself is refused where its site is: then the answer is about that one.

    Errors: Unavailable (a list cannot be read).
    """
    found, site = _explain(actor, asked), _site(asked)
    if site is None or _is_named(found):
        return found
    above = _explain(actor, site)
    return above if _is_named(above) else found


def _is_named(found: Why) -> bool:
    return bool(found.entries or found.decisions or found.spared)


def _site(asked: Indicator) -> Indicator | None:
    """As a browser's line of addresses and "From" are pasted."""
    if asked.kind is Kind.URL:
        return read(urlsplit(asked.value).hostname or "")
    return read(asked.value.rpartition("@")[2]) if asked.kind is Kind.SENDER else None


def _explain(actor: Actor, asked: Indicator) -> Why:
    named = listed.covering(queries.lists_in_force(actor), asked)
    decisions = queries.covering_decisions(actor, asked)
    held = [*map(listed.held_of, named), *map(queries.held_of, decisions)]
    choices = list(dict.fromkeys((*(listed.opening(one, asked) for one in named), asked))) if named else []
    names = communes.visible_names(actor)
    opened = queries.near(queries.visible_exceptions(actor).filter(state="active"), asked)
    own = any(rules.covers(one.indicator, asked) for one in opened) and not actor.sees_all
    return Why(
        asked=asked,
        entries=[_entry(one) for one in named],
        decisions=[(one, explaining.title_of(one)) for one in decisions],
        spared=queries.never_blocked(asked),
        exceptions=[
            Opened(one, names.get(one.collectivite_id, ""))
            for one in opened
            if rules.touches(one.indicator, asked)
        ],
        opened=own,
        lifted=not rules.exception_refused(held, departement=actor.sees_all),
        choices=choices,
        appeals=[
            Contested(one, names.get(one.collectivite_id, ""))
            for one in queries.near(queries.visible_appeals(actor).filter(decision_id=""), asked)
            if rules.covers(Indicator(Kind(one.kind), one.value), asked)
        ],
    )


def _entry(one: listed.Listed) -> Entry:
    since = (clock.now() - timedelta(days=DAYS)).date()
    return Entry(
        one.row,
        one.indicator,
        str(words.THREATS.get(one.row.threat, "")),
        listed.since(one),
        boxes.how_often(one.indicator.kind.value, one.indicator.value, since=since),
    )


def as_json(why: Why, *, departement: bool) -> dict[str, Any]:
    """The same, for a machine. Times in UTC, ISO 8601; codes beside words. A commune reads no reason of others."""
    spared = why.spared
    return {
        "indicator": _indicator(why.asked),
        "blocked": why.blocked,
        "lists": [
            {
                "list": one.row.name,
                "entry": _indicator(one.indicator),
                "threat": one.row.threat,
                "source": one.row.source,
                "licence": one.row.licence,
                "since": _iso(one.since),
                "published_at": _iso(one.row.published_at),
                "expires_at": _iso(one.row.expires_at),
                "met": {
                    "days": DAYS,
                    "communes": one.often.communes,
                    "flows_in": one.often.flows_in,
                    "flows_out": one.often.flows_out,
                    "look_ups": one.often.names,
                    "last_at": _iso(one.often.last_at),
                },
            }
            for one in why.entries
        ],
        "decisions": [{"id": one.id, "state": one.state} for one, _ in why.decisions],
        "never_again": None
        if spared is None
        else {"entry": _indicator(spared.indicator), "since": _iso(spared.created_at), "until": _iso(spared.until)}
        | ({"id": spared.id, "reason": spared.reason} if departement else {}),
        "appeals": [
            {
                "collectivite": one.owner,
                "state": one.row.state,
                "created_at": _iso(one.row.created_at),
                "answer": one.row.answer,
            }
            for one in why.appeals
        ],
        "local_exceptions": [
            {
                "entry": _indicator(one.row.indicator),
                "collectivite": one.owner,
                "expires_at": _iso(one.row.expires_at),
            }
            for one in why.exceptions
        ],
    }  # fmt: skip


def _indicator(one: Indicator) -> dict[str, str]:
    return {"kind": one.kind.value, "value": one.value}


def _iso(moment: datetime | None) -> str | None:
    return moment.isoformat() if moment else None
