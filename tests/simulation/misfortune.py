"""What nobody wants: cut lines, deaths, damaged files, wrong clocks, a restored centre."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.simulation.box import Box
from tests.simulation.local import end_listed
from tests.simulation.people import block, policy
from tests.simulation.world import BACKOFF_LAST_S, PARTITIONS_S

if TYPE_CHECKING:
    from tests.simulation.world import World


def partition(world: World) -> None:
    world.cut_off(world.rng.choice(world.boxes), world.rng.choice(PARTITIONS_S))


def crash_box(world: World) -> None:
    box = world.rng.choice(world.boxes)
    if box.agent is None:
        return
    rng, watched = world.rng, world.watched[box.id]
    how = rng.choice(("killed", "killed", "power cut", "damaged file", "older state", "empty state"))
    world.tell("%s: %s", box.id, how)
    watched.lossless = False
    if how == "power cut" and rng.random() < 0.6:
        box.disk.fails_after = rng.randint(1, 60)  # in the middle of what it writes next
        return
    if how == "killed":
        box.kill()
    else:
        box.power_cut(rng)
    if how not in ("killed", "power cut"):
        watched.saved.clear()
    if how == "damaged file":
        watched.intact = False
        _damage(world, box)
    elif how == "older state" and hasattr(box, "saved_files"):
        watched.intact = False
        box.disk.restore(box.saved_files)
    elif how == "empty state":
        watched.intact = False
        for path in (*(box.place / "tables").iterdir(), *(box.place / "spool").iterdir()):
            path.unlink()
    world.after(rng.uniform(1, 90), lambda: world.boot(box))


def _damage(world: World, box: Box) -> None:
    files = sorted(p for d in ("tables", "spool") for p in (box.place / d).iterdir())
    files += [
        p for p in (box.place / "time-floor", box.place / "delegations", box.place / "policy") if p.exists()
    ]
    if files:
        tables = [p for p in files if p.parent.name == "tables" and not p.name.endswith(".previous")]
        path = world.rng.choice(tables if tables and world.rng.random() < 0.5 else files)
        data, rng = path.read_bytes(), world.rng
        at = rng.randrange(len(data) + 1)
        if rng.random() < 0.5 and at < len(data):  # one byte is another
            box.disk.damage(str(path), data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :])
        else:
            box.disk.damage(str(path), data[:at])


def keep_state(world: World) -> None:
    box = world.rng.choice(world.boxes)
    box.saved_files = box.disk.copy()  # type: ignore[attr-defined]


def disk(world: World) -> None:
    box = world.rng.choice(world.boxes)
    box.disk.full = not box.disk.full
    world.watched[box.id].intact = False
    world.tell("%s: disk %s", box.id, "full" if box.disk.full else "free")


def clock_jump(world: World) -> None:
    box = world.rng.choice(world.boxes)
    box.skew_s = world.rng.choice((-10 * 365 * 86400.0, 10 * 365 * 86400.0, 3600.0, 0.0))
    world.tell("%s: wall clock off by %d s", box.id, box.skew_s)


def engines(world: World) -> None:
    """Unbound restarts, another program flushes the rules, or the loader of lists is killed at its next turn."""
    box = world.rng.choice(world.boxes)
    if world.rng.random() < 0.4:
        table = box.engines.bulk_table
        table.dies = [world.rng.randint(1, 4) for _ in range(world.rng.choice((1, 2, 6)))]
        table.dies_late = world.rng.random() < 0.5
        world.tell("%s: its loaders will be killed at transactions %s", box.id, table.dies)
        return
    world.watched[box.id].flushed = world.watched[box.id].names_due = True
    if world.rng.random() < 0.5:
        box.engines.restart_resolver()
    else:
        box.engines.flush()
    if box.agent is not None:
        world.turn(box)
    if world.rng.random() < 0.3:  # and before the keeper comes, a policy does
        policy(world, box.commune)


def door_restarts(world: World) -> None:
    door = world.rng.choice(world.doors)
    door.start()
    world.once(door, "connect", world.rng.random(), lambda: world.connect(door))


def stream_dies(world: World) -> None:
    """At once, or over its next batch: after the commit, before or after the mark on disk."""
    if not world.centre.up:
        return
    how = world.rng.choice(("now", "committed", "marked"))
    if how == "now":
        world.tell("stream dies")
        world.stop_stream(world.rng.uniform(0.5, 300))
    else:
        world.centre.publisher.crash_at = how


def rotate(world: World) -> None:
    steps = world.rng.choice((1, 1, 2))
    world.tell("the feed key is rotated, %d steps", steps)
    world.centre.rotate(steps)
    world.stop_stream(1.0)


def backup(world: World) -> None:
    world.backup = world.centre.backup()  # type: ignore[attr-defined]


def restore(world: World) -> None:
    made = getattr(world, "backup", None)
    if made is None:
        return
    with_feed = world.rng.random() < 0.5
    world.tell("the centre is restored from a backup, %s STATE/feed", "with" if with_feed else "without")
    world.restored = True
    world.centre.restore(made, with_feed=with_feed)
    world.lost_feed = with_feed or getattr(world, "lost_feed", False)  # type: ignore[attr-defined]
    world.revived |= made.members
    world.flush()
    centre = world.centre
    world.asked = {(d.indicator, d.scope) for d in centre.decisions.waiting()} | centre.decisions.lapsed()
    world.exceptions.update({o.id: o.commune for o in centre.exceptions.active()})
    world.exceptions.update({one.id: "all" for one in centre.never.rows})
    ends = [one.expires_at for one in centre.decisions.active()]
    ends += [one.expires_at for one in centre.exceptions.active()]
    ends += [one.until for one in centre.never.rows if one.until]
    for end in (*ends, *(one.expires_at for _, one in centre.lists.in_force() if one.expires_at)):
        world.due(max(1.0, end - world.time.true))
    pause_s = world.rng.uniform(1, BACKOFF_LAST_S)
    world.after(pause_s, lambda: end_listed(world))  # the worker takes its events up again
    world.after(pause_s, world.start_stream)
    # It goes on from the older state: another history of the same versions.
    for _ in range(world.rng.randint(0, 6)):
        world.after(pause_s + world.rng.random() * 3, lambda: block(world))
