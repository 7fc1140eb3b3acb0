"""What stands for ``core.decisions.exceptions`` and ``never_again``: their writes without Django's ORM.

Real:    ``core.decisions.rules`` (who may open what, what touches what), the tables' columns, the outbox.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime

from beffroi.core.decisions import rules
from beffroi.core.decisions.rules import Held
from beffroi.core.planes import outbox
from beffroi.core.planes.db import Database
from beffroi.lib import clock
from beffroi_protocol.indicators import Indicator, Kind
from beffroi_protocol.messages import BulkList
from beffroi_protocol.protected import too_wide

from tests.simulation.bulk import Lists
from tests.simulation.rows import NOWHERE, insert
from tests.simulation.standin import SCOPE_ALL, Decision, Decisions, Refused

LISTED = "bulk_list"


@dataclass
class Opened:
    """A local exception. ``expires_at`` in epoch seconds."""

    id: str
    indicator: Indicator
    commune: str
    by_departement: bool
    expires_at: int


class Exceptions:
    def __init__(self, decisions: Decisions, lists: Lists, new_id: Callable[[], str]) -> None:
        self._decisions = decisions
        self._lists = lists
        self._database: Database = decisions.database
        self._new_id = new_id

    def active(self) -> list[Opened]:
        return self._select("state = 'active'")

    def every(self) -> list[Opened]:
        """Those that ended too."""
        return self._select("1 = 1")

    def _select(self, where: str, *values: object) -> list[Opened]:
        rows = self._database.execute(
            "SELECT id, kind, value, collectivite_id, by_departement, expires_at FROM local_exception WHERE "
            + where + " ORDER BY id", values
        )  # fmt: skip
        return [
            Opened(r[0], Indicator(Kind(r[1]), r[2]), r[3], bool(r[4]), int(self._database.time(r[5]).timestamp()))
            for r in rows
        ]  # fmt: skip

    def allow(self, commune: str, indicator: Indicator, *, ttl_s: int, departement: bool) -> Opened:
        """Errors: Refused."""
        if not departement and indicator.kind is Kind.CIDR:
            raise Refused("range")
        with self._database.transaction():
            held = [d.held for d in self._in_the_way(commune, indicator)] + self._listed(commune, indicator)
            if why := rules.exception_refused(held, departement=departement):
                raise Refused(why)
            return self._put(commune, indicator, clock.epoch_s() + ttl_s, departement=departement)

    def _in_the_way(self, commune: str, indicator: Indicator) -> list[Decision]:
        return [
            d for d in self._decisions.open()
            if d.scope in (SCOPE_ALL, commune) and rules.touches(d.indicator, indicator)
        ]  # fmt: skip

    def _listed(self, commune: str, indicator: Indicator) -> list[Held]:
        """As ``listed.touching`` and ``listed.held_of``."""
        return [
            Held(one.threat, LISTED, {}) for scope, one in self._lists.in_force()
            if scope in (SCOPE_ALL, commune) and self._touches(one, indicator)
        ]  # fmt: skip

    def _touches(self, one: BulkList, indicator: Indicator) -> bool:
        values = self._lists.values(one)
        return any(rules.touches(Indicator(one.kind, value), indicator) for value in values)

    def _put(self, commune: str, indicator: Indicator, ends: int, *, departement: bool) -> Opened:
        for present in [o for o in self.active() if (o.commune, o.indicator) == (commune, indicator)]:
            if present.expires_at <= clock.epoch_s():
                self._end(present, "expired")
                continue
            if ends > present.expires_at:
                present.expires_at = ends
                present.by_departement = present.by_departement or departement
                self._database.execute(
                    "UPDATE local_exception SET expires_at = ?, by_departement = ? WHERE id = ?",
                    (datetime.fromtimestamp(ends, UTC), present.by_departement, present.id),
                )
                self._tell("exception:allowed", present)
            return present
        made = Opened(self._new_id(), indicator, commune, departement, ends)
        insert(
            self._database, "local_exception", id=made.id, collectivite_id=commune, kind=indicator.kind.value,
            value=indicator.value, state="active", created_at=clock.now(), by_departement=departement,
            expires_at=datetime.fromtimestamp(ends, UTC),
        )  # fmt: skip
        self._tell("exception:allowed", made)
        return made

    def end(self, found: Opened, state: str = "ended") -> None:
        with self._database.transaction():
            self._end(found, state)

    def end_touched(self, indicator: Indicator) -> None:
        """In the caller's transaction: what people opened, and a decision now says nobody may."""
        for one in self.active():
            if not one.by_departement and rules.touches(one.indicator, indicator):
                self._end(one, "ended")

    def end_listed(self) -> None:
        """What people had opened, and a list of command servers names by now."""
        for scope, bulk in self._lists.in_force():
            if not rules.exception_refused([Held(bulk.threat, LISTED, {})], departement=False):
                continue
            for one in self.active():
                if (
                    not one.by_departement
                    and scope in (SCOPE_ALL, one.commune)
                    and self._touches(bulk, one.indicator)
                ):
                    self.end(one)

    def expire_due(self) -> None:
        for one in self._select("state = 'active' AND expires_at <= ?", clock.now()):
            self.end(one, "expired")

    def _end(self, found: Opened, state: str) -> None:
        self._database.execute(
            "UPDATE local_exception SET state = ?, ended_at = ? WHERE id = ?", (state, clock.now(), found.id)
        )
        self._tell("exception:ended", found)

    def _tell(self, kind: str, found: Opened) -> None:
        payload = {
            "exception_id": found.id,
            "decision_id": "",
            "kind": found.indicator.kind.value,
            "value": found.indicator.value,
            "scope": found.commune,
            "expires_at": found.expires_at,
        }
        outbox.publish(self._database, kind, payload, run=NOWHERE, collectivite_id=found.commune)


@dataclass(frozen=True)
class Spared:
    """``until`` in epoch seconds, 0 for no end."""

    id: str
    indicator: Indicator
    until: int


class Never:
    """What is never decided again, and passes everywhere, until its end or until a person takes that back."""

    def __init__(self, decisions: Decisions, new_id: Callable[[], str]) -> None:
        self._decisions = decisions
        self._database: Database = decisions.database
        self._new_id = new_id
        self.rows = self._read()

    def _read(self) -> list[Spared]:
        rows = self._database.execute(
            "SELECT id, kind, value, until FROM never_again WHERE revoked_at IS NULL ORDER BY id"
        )
        return [
            Spared(
                r[0], Indicator(Kind(r[1]), r[2]), int(self._database.time(r[3]).timestamp()) if r[3] else 0
            )
            for r in rows
        ]

    @property
    def alive(self) -> list[Indicator]:
        now = clock.epoch_s()
        return [one.indicator for one in self.rows if not one.until or one.until > now]

    def reason(self, indicator: Indicator) -> str:
        """As ``ProtectedList._taken_back``."""
        return "never again" if any(rules.touches(indicator, one) for one in self.alive) else ""

    def put(self, indicator: Indicator, *, ttl_s: int) -> tuple[Spared, list[Decision]]:
        """End every decision that touches it, in one transaction; return them. Errors: Refused."""
        if too_wide(indicator):
            raise Refused("indicator")
        until = clock.epoch_s() + ttl_s if ttl_s else 0
        moment = datetime.fromtimestamp(until, UTC) if until else None
        with self._database.transaction():
            present = next((one for one in self.rows if one.indicator == indicator), None)
            made = Spared(present.id if present else self._new_id(), indicator, until)
            if present is not None:
                self._database.execute("UPDATE never_again SET until = ? WHERE id = ?", (moment, made.id))
            else:
                insert(
                    self._database, "never_again", id=made.id, kind=indicator.kind.value,
                    value=indicator.value, created_at=clock.now(), until=moment, revoked_at=None,
                )  # fmt: skip
            self._tell("never_again:set", made)
            ended = [d for d in self._decisions.open() if rules.touches(d.indicator, indicator)]
            self._decisions.end(ended, "revoked")
        self.rows = self._read()
        return made, ended

    def end(self, one: Spared) -> None:
        """A person took it back, or its time is over."""
        with self._database.transaction():
            self._database.execute(
                "UPDATE never_again SET revoked_at = ? WHERE id = ? AND revoked_at IS NULL",
                (clock.now(), one.id),
            )
            self._tell("never_again:taken_back", one)
        self.rows = self._read()

    def expire_due(self) -> None:
        now = clock.epoch_s()
        for one in [one for one in self.rows if one.until and one.until <= now]:
            self.end(one)

    def _tell(self, kind: str, one: Spared) -> None:
        payload = {
            "never_again_id": one.id,
            "kind": one.indicator.kind.value,
            "value": one.indicator.value,
            "until": one.until,
        }
        outbox.publish(self._database, kind, payload, run=NOWHERE)
