"""One seed, from its first event to the check after the quiet; and many seeds on all processors."""

from __future__ import annotations

import gc
import math
import random
import traceback
from collections.abc import Iterable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from unittest.mock import patch

from beffroi.stream import publisher, snapshots
from beffroi.stream.claims import WITNESSES
from beffroi.stream.publisher import EPOCH_PAUSE_S
from beffroi_protocol.table import DecisionTable

from tests.simulation import actors, checks, people, seams, trying
from tests.simulation.schema import empty_database
from tests.simulation.virtual import signatures, virtual
from tests.simulation.workers import LIMIT_S, limited, spread
from tests.simulation.world import World

REAL_SIGNATURES_EVERY = 20
QUIET_S = 400.0
COLLECT_EVERY = 20
LISTS_AGAIN = 10
TOLD_AGAIN = 60


@dataclass(frozen=True)
class Outcome:
    """``failure``: "" when every invariant held. ``trace``: only when asked for."""

    seed: int
    failure: str
    events: int
    trace: tuple[str, ...] = ()


def run_seed(seed: int, *, tracing: bool = False, limit_s: float = LIMIT_S) -> Outcome:
    """Errors: KeyboardInterrupt alone."""
    real = seed % REAL_SIGNATURES_EVERY == 0
    world: World | None = None
    failure = ""
    with ExitStack() as stack:
        time = stack.enter_context(virtual(seed))
        make_key = stack.enter_context(signatures(real=real))
        # Long snapshots travel as files; here everything longer than some entries is long.
        small = seed % 3 == 0
        limits = [(snapshots, "INLINE_BYTES", 600), (publisher, "CHECKPOINT_VERSIONS", 3)] if small else []
        for where, name, value in (*seams.seams(), *limits):
            stack.enter_context(patch.object(where, name, value))
        try:
            with limited(limit_s):
                world = World(seed, time, make_key, tracing=tracing)
                live(world)
                settle(world)
                checks.converged(world)
                trying.none_on_trial_is_blocked(world)
                trying.told(world)
        except checks.Broken as broken:
            failure = str(broken)
            if world is not None:
                world.tell("here it breaks")
        except KeyboardInterrupt:
            raise
        except BaseException:  # noqa: BLE001 - whatever the code under test raises is a finding, SystemExit too
            failure = traceback.format_exc(limit=-6)
    trace = tuple(world.trace or ()) if world is not None else ()
    return Outcome(seed, failure, world.events if world is not None else 0, trace)


def live(world: World) -> None:
    rng = world.rng
    deeds, weights = list(actors.ACTIONS), list(actors.ACTIONS.values())
    begin = world.time.true
    moments = sorted(_moments(rng, world.horizon_s))
    for moment in moments:
        world.run_until(begin + moment)
        deed = rng.choices(deeds, weights)[0]
        world.do(lambda deed=deed: deed(world))
    world.run_until(begin + world.horizon_s)


def _moments(rng: random.Random, horizon_s: float) -> Iterator[float]:
    """Deeds come in bursts: what goes wrong, goes wrong together."""
    for _ in range(rng.randint(3, 6)):
        at = rng.uniform(0, horizon_s)
        for _ in range(rng.randint(2, 6)):
            yield min(horizon_s, at)
            at += rng.choice((0.0, 0.02, 0.5, 5.0, 60.0)) * rng.random()


def settle(world: World) -> None:
    """The quiet: everything that was broken is mended, and then only time passes."""
    world.quiet = True
    world.tell("quiet")
    if world.centre.up:
        world.centre.publisher.crash_at = ""
    world.start_stream()
    for one in world.boxes:
        one.disk.full, one.disk.fails_after, one.engines.bulk_table.dies = False, 0, []
        if one.agent is None:
            world.boot(one)
        world.heal(one)
    word = world.centre.epochs_on_word
    if not world.restored and len(world.liars) < WITNESSES:
        checks.require(word == 0, "%d liars began %d epochs", len(world.liars), word)
    most = 1 + (world.horizon_s + 86400) / EPOCH_PAUSE_S
    checks.require(word <= most + world.centre.starts, "%d epochs on the word of doors", word)
    world.after(1.0, world.beat_in_quiet)
    world.run_until(world.time.true + QUIET_S)
    if getattr(world, "lost_feed", False):
        _pass_them(world)
    world.worker()
    world.run_until(world.time.true + 120.0)
    for _ in range(TOLD_AGAIN):  # what a restored centre lacks comes slowly
        if not any(one.agent is not None and one.agent.sender.again.due != math.inf for one in world.boxes):
            break
        world.run_until(world.time.true + 120.0)
    while world.centre.turned(within_s=60):  # what ended just now is still on its way
        world.run_until(world.time.true + 60.0)
    for _ in range(LISTS_AGAIN):  # a download that failed is tried again after ten minutes at most
        if not any(one.agent is not None and one.agent.lists.waiting for one in world.boxes):
            break
        world.run_until(world.time.true + 120.0)
    for one in world.boxes:
        one.keep(slow=True)


def _pass_them(world: World) -> None:
    """After a restore that took STATE/feed along, a box that is not believed joins again when the centre's version
    has passed its own (docs/internals/feed.md): so the centre decides until it has."""
    for _ in range(60):
        _empty_the_lonely(world)
        ahead = [
            one for one in world.boxes if one.agent is not None
            for name, table in one.agent.session.tables.items()
            if _is_ahead(world, name, table)
        ]  # fmt: skip
        scopes = {one.commune for one in ahead} | _doors_ahead(world)
        if not scopes:
            return
        for scope in ("all", *sorted(scopes)):
            people.block_for(world, scope)
        world.run_until(world.time.true + 90.0)


def _is_ahead(world: World, name: str, table: DecisionTable) -> bool:
    """Whether somebody's table is further than the centre's channel, or as far with another content."""
    own = world.centre.publisher.feed.log(name).channel
    return (table.epoch, table.version) >= (own.epoch, own.version) and table.head != own.head


def _doors_ahead(world: World) -> set[str]:
    """The communes whose overlay a door of the datacenter holds further than the restored centre does."""
    found = set()
    for door in world.doors:
        with door.follower.tables() as tables:
            for name, table in tables.items():
                if "@" in name and _is_ahead(world, name, table):
                    found.add(name.partition("@")[2])
    return found


def _empty_the_lonely(world: World) -> None:
    """A box that alone holds an epoch which the backup does not know is never believed, and no version passes an epoch:
    the operator empties its tables. Of two communes the centre must believe it by itself."""
    ours = world.centre.publisher.feed.epoch
    ahead = [
        one for one in world.boxes
        if one.agent is not None and any(t.epoch > ours for t in one.agent.session.tables.values())
    ]  # fmt: skip
    if len({one.commune for one in ahead}) >= WITNESSES:
        return
    for one in ahead:
        world.tell("%s: the operator empties its tables", one.id)
        one.kill()
        watched = world.watched[one.id]
        watched.lossless = watched.intact = False
        watched.saved.clear()
        for path in (one.place / "tables").iterdir():
            path.unlink()
        world.boot(one)


def run_many(
    seeds: Iterable[int], processes: int | None = None, *, limit_s: float = LIMIT_S
) -> Iterator[Outcome]:
    """Errors: KeyboardInterrupt alone."""
    empty_database()  # once, before the processes part
    gc.collect()
    gc.freeze()
    return spread(
        partial(_one, limit_s=limit_s), lambda seed, why: Outcome(seed, why, 0), seeds,
        processes=processes, limit_s=limit_s,
    )  # fmt: skip


def _one(seed: int, *, limit_s: float) -> Outcome:
    gc.disable()  # a seed's memory is small: its cycles are looked for between seeds
    if seed % COLLECT_EVERY == 0:
        gc.collect()
    return run_seed(seed, limit_s=limit_s)
