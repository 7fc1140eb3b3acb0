"""What the mail door is told about our addresses: the shares of new ones, and who is doubtful.

Purpose: STATE/projections/pools.json, which ``gate/exits.py`` reads again when it changes: a mail asks no database.
Process: worker, each five minutes and after each change.
Fails:   what was written last holds: shares of a day that is over are counted anew by the door.
"""

from __future__ import annotations

import msgspec

from beffroi.lib import clock, durable
from beffroi.lib.config import Config
from beffroi.mail.engines import pools
from beffroi.mail.engines.pools import Pool
from beffroi.mail.gate.exits import State, state_path
from beffroi.mail.sending import pool_actions, pool_queries, warming
from beffroi.mail.sending.models import Warming


def look(config: Config) -> None:
    """Begin, advance and pause warm-ups; judge who is doubtful; tell the door."""
    if not config.outgoing_mail:
        return
    today = clock.now().date()
    exits = pools.exits(config)
    pool_actions.begin(exits=[one.name for one in exits if one.pool is Pool.WARMING], today=today)
    for row in Warming.objects.order_by("pk"):
        answered = pool_queries.answered(row.exit, since=row.day)
        if row.day < today:
            pool_actions.advance(row, today=today, sent=any(one.sent for one in answered.values()))
        elif row.day == today and row.paused_at is None:
            refusing = warming.refusing(answered, pool_queries.answered("", since=today))
            if refusing is not None:
                pool_actions.pause(actor=pool_actions.SYSTEM, row=row, provider=refusing)
    pool_actions.doubt(pool_queries.doubtful(config))
    project(config)


def project(config: Config) -> None:
    """Make the file say what is so now; nothing is written where it says that already."""
    path = state_path(config)
    if not path.parent.exists() or (len(pools.exits(config)) == 1 and not path.exists()):
        return  # a centre whose engines were never prepared, or that has one address
    shares = {one.exit: warming.share(one.step) for one in Warming.objects.filter(paused_at=None)}
    state = State(frozenset(pool_queries.doubted_accounts()), shares)
    told = msgspec.json.encode(msgspec.to_builtins(state, order="deterministic"))
    try:
        if path.read_bytes() == told:
            return
    except FileNotFoundError:
        pass
    durable.write(path, (told,), mode=0o640)
