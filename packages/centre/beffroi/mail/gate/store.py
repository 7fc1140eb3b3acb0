"""From the spool to the centre's database, at least once, deduplicated by the message's identifier.

Purpose: ``mail_message``, ``mail_observation`` and ``mail_recipient`` of many mails in one transaction. No event: what
         follows a mail follows its delivery.
Process: mailgate, one thread; no Django.
Fails:   the database away or not made yet: the records wait in the spool.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterable, Sequence
from datetime import UTC, datetime
from typing import Any, Protocol

import msgspec

from beffroi.core.identity import failures
from beffroi.core.planes import outbox
from beffroi.core.planes.db import Database, connect, errors
from beffroi.lib import clock
from beffroi.lib.config import Config
from beffroi.lib.errors import BeffroiError
from beffroi.mail.gate import facts as facts_module
from beffroi.mail.gate import sending, texts
from beffroi.mail.gate import sign_ins as sign_ins_module
from beffroi.mail.gate.bank import Seen
from beffroi.mail.gate.facts import Facts, Observation
from beffroi.mail.gate.failures import Failures
from beffroi.mail.gate.rules import Verdict
from beffroi.mail.gate.sending import Sent
from beffroi.mail.gate.sign_ins import SignIns
from beffroi.mail.gate.spool import Spool

LEAVING = "mail:leaving"
MAX_DOMAINS = 100
log = logging.getLogger("beffroi.mailgate")
BATCH = 100
POLL_S = 1.0
GATHER_S = 0.25
"""A transaction costs as much as the rows of many mails. Shorter than a delivery, so that evidence is there before the
journal's line is read."""
LONGEST_PAUSE_S = 10.0


class Record(msgspec.Struct, frozen=True):
    """What the spool holds for one message. ``received_at`` in epoch seconds. ``facts``: without what the others say.
    ``observed``: (kind, value, role) each; None in a spool of earlier software. ``text``: its sketch."""

    received_at: float
    facts: Facts
    verdict: dict[str, Any]
    bank: tuple[Seen, ...] = ()
    observed: tuple[tuple[str, str, str], ...] | None = None
    text: str = ""


class _Waits[T](Protocol):
    def take(self) -> list[T]: ...

    def put_back(self, taken: list[T]) -> None: ...


def record_of(
    facts: Facts,
    verdict: Verdict,
    observed: Sequence[Observation],
    bank: Sequence[Seen] = (),
    text: str = "",
) -> bytes:
    """One message's line of the spool: JSON without a line feed, received now."""
    shown = {
        "action": verdict.action,
        "decision_id": verdict.decision_id,
        "reason": verdict.reason,
        "auth": msgspec.to_builtins(facts.auth),
        "symbols": facts_module.symbols(facts),
        "score": round(facts.score, 2),
        # A second look moves nothing: only the first one sets aside.
        "spam": facts.spam and not facts.rescan,
        "proved_senders": facts_module.proved_senders(facts),
        "link_mismatch": facts_module.link_mismatch(facts),
        "qr_codes": facts_module.in_codes(facts),
        "attachment_types": facts_module.attachment_types(facts),
        "signed_in": facts.signed_in,
        "size_bytes": int(facts.size_bytes),
        "rescan": facts.rescan,
        "findings": list(verdict.findings),
    }
    kept = msgspec.structs.replace(facts, urls=None, attachments=None, symbols=None, ibans=None, text=None)
    return msgspec.json.encode(Record(clock.epoch(), kept, shown, tuple(bank), _rows(observed), text))


def _rows(observed: Iterable[Observation]) -> tuple[tuple[str, str, str], ...]:
    return tuple((one.indicator.kind, one.indicator.value, one.role) for one in observed)


class Drain:
    """A thread that empties the spool into the database."""

    def __init__(
        self, config: Config, spool: Spool, failures: Failures, sign_ins: SignIns, sent: Sent
    ) -> None:
        self._config = config
        self._errors: tuple[type[Exception], ...] = (BeffroiError, *errors(config.database))
        self._spool = spool
        self._failures = failures
        self._sign_ins = sign_ins
        self._sent = sent
        self._wake = threading.Event()
        self._stopped = threading.Event()
        self._database: Database | None = None
        self._thread = threading.Thread(target=self._run, name="mailgate-drain", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def wake(self) -> None:
        self._wake.set()

    def stop(self) -> None:
        self._stopped.set()
        self._wake.set()
        self._thread.join(5)
        if self._database is not None:
            self._database.close()

    def _run(self) -> None:
        pause_s = POLL_S
        while not self._stopped.is_set():
            try:
                while self.once() + self.tell_failures() + self.write_sign_ins() + self.tell_refusals():
                    pause_s = POLL_S
            except self._errors as error:
                # The evidence is safe in the spool; the next round tries again.
                log.warning("evidence waits for the database: %s", type(error).__name__)
                pause_s = min(pause_s * 2, LONGEST_PAUSE_S)
            if self._wake.wait(pause_s):
                self._stopped.wait(GATHER_S)
            else:
                self._spool.tidy()
            self._wake.clear()

    def once(self) -> int:
        """Move one batch; return how many records it had."""
        rows = self._spool.first(BATCH)
        if not rows:
            return 0
        database = self._connected()
        with database.transaction():
            self._insert(database, [msgspec.json.decode(data, type=Record) for _, data in rows])
        self._spool.taken(rows[-1][0])
        return len(rows)

    def tell_failures(self) -> int:
        """Publish the failed sign-ins that wait; return how many."""
        return self._hand_on(self._failures.waiting, self._telling(failures.KIND))

    def tell_refusals(self) -> int:
        """Publish which accounts send too much; return how many."""
        return self._hand_on(self._sent.waiting, self._telling(sending.KIND))

    def write_sign_ins(self) -> int:
        """Write the successful sign-ins that wait; return how many."""
        return self._hand_on(self._sign_ins, sign_ins_module.write)

    def _telling(self, kind: str) -> Callable[[Database, dict[str, object]], object]:
        return lambda database, payload: outbox.publish(database, kind, payload, run=self._config.run)

    def _hand_on[T](self, waiting: _Waits[T], write: Callable[[Database, T], object]) -> int:
        """Write what waits, in one transaction; what could not be written waits again."""
        taken = waiting.take()
        if not taken:
            return 0
        try:
            database = self._connected()
            with database.transaction():
                for one in taken:
                    write(database, one)
        except BaseException:
            waiting.put_back(taken)
            raise
        return len(taken)

    def _connected(self) -> Database:
        if self._database is None:
            self._database = connect(self._config.database)
        return self._database

    def _insert(self, database: Database, records: Sequence[Record]) -> None:
        """Rows of all of them by table: a statement costs more than a row. What is there already is left out."""
        known = {
            record.facts.id
            for record in records
            if database.execute("SELECT 1 FROM mail_message WHERE id = ?", (record.facts.id,))
        }
        new = {record.facts.id: record for record in records if record.facts.id not in known}
        database.executemany(
            "INSERT INTO mail_message (id, received_at, message_id, message_id_hash, sender, client_ip, helo,"
            " verdict) VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
            [_message(record) for record in new.values()],
        )
        database.executemany(
            "INSERT INTO mail_observation (message_id, kind, value, role) VALUES (?, ?, ?, ?)"
            " ON CONFLICT DO NOTHING",
            [(id_, *row) for id_, record in new.items() for row in _observed(database, record)],
        )
        addresses = {id_: facts_module.recipients(record.facts) for id_, record in new.items()}
        database.executemany(
            "INSERT INTO mail_recipient (message_id, address) VALUES (?, ?) ON CONFLICT DO NOTHING",
            [(id_, address) for id_, named in addresses.items() for address in named],
        )
        _keep_bank_details(database, [record for record in new.values() if record.bank])
        for id_, record in new.items():
            if record.facts.signed_in and self._config.outgoing_mail:
                domains = sorted({one.rpartition("@")[2] for one in addresses[id_]})[:MAX_DOMAINS]
                outbox.publish(database, LEAVING, {"domains": domains}, run=self._config.run)


def _observed(database: Database, record: Record) -> tuple[tuple[str, str, str], ...]:
    observed = record.observed
    if observed is None:
        observed = _rows(facts_module.observations(record.facts))
    if not record.text:
        return observed
    families = texts.families(database, record.text, datetime.fromtimestamp(record.received_at, UTC))
    return (*observed, *_rows(facts_module.texts(families)))


def _message(record: Record) -> tuple[object, ...]:
    facts = record.facts
    return (
        facts.id,
        datetime.fromtimestamp(record.received_at, UTC),
        facts.message_id.strip()[: facts_module.MAX_MESSAGE_ID],
        facts.message_id_hash,
        facts.sender[:320],
        facts.client_ip[:45],
        facts.helo[:255],
        msgspec.json.encode(record.verdict).decode(),
    )


def _keep_bank_details(database: Database, records: Sequence[Record]) -> None:
    """Which pairs of sender and IBAN these messages name; a pair is there once, with the time of its first mail."""
    if not records:
        return
    named = [(r.facts.id, datetime.fromtimestamp(r.received_at, UTC), s) for r in records for s in r.bank]
    database.executemany(
        "INSERT INTO mail_bank_detail (pair, collectivite_id, sender, kind, proved, first_seen_at, last_seen_at,"
        " confirmed_by) VALUES (?, ?, ?, ?, ?, ?, ?, '') ON CONFLICT (pair) DO UPDATE SET"
        " last_seen_at = excluded.last_seen_at",
        [(s.pair, s.collectivite_id, s.sender, s.kind, s.proved, at, at) for _, at, s in named],
    )
    database.executemany(
        "INSERT INTO mail_bank_mention (message_id, collectivite_id, pair, announces, seen_at)"
        " VALUES (?, ?, ?, ?, ?) ON CONFLICT DO NOTHING",
        [(id_, s.collectivite_id, s.pair, s.announces, at) for id_, at, s in named],
    )
