"""What the process ``sources`` does when people act on sources, and when time passes.

Process: sources (its own, since reading a list of a hundred thousand takes seconds that no decision may wait for).
"""

from __future__ import annotations

from beffroi.core.events.registry import Event, consumer, periodic
from beffroi.lib import clock
from beffroi.watch.sources import actions, updates
from beffroi.watch.sources.models import FeedSource, SourceUpdate

GROUP = "sources"
TICK_S, TRIALS_S = 2.0, 10.0


@consumer(
    name="sources.words",
    kinds=(actions.CHANGED, actions.STOPPED, actions.ANSWERED),
    group=GROUP,
    atomic=False,
)
def follow(event: Event) -> None:
    source_id = str(event.payload.get("source_id", ""))
    source = FeedSource.objects.filter(pk=source_id).first()
    if event.kind == actions.STOPPED:
        if source is None or not source.active:  # it may have been removed meanwhile
            updates.stop(source_id, str(event.payload.get("slug", "")))
        return
    if source is None:
        return
    if event.kind == actions.CHANGED and source.active:
        updates.refresh(source)
    elif event.kind == actions.ANSWERED:
        update = SourceUpdate.objects.filter(
            pk=str(event.payload.get("update_id", "")), source=source
        ).first()
        if update is not None:
            updates.answer(source, update)


@consumer(name="sources.database_restored", kinds=("database:restored",), group=GROUP)
def fetch_anew(event: Event) -> None:
    """What was fetched lies in files, which may be newer than this database, or gone."""
    FeedSource.objects.update(etag="", last_modified="", asked="")
    FeedSource.objects.exclude(next_at=None).update(next_at=clock.now())


@periodic("sources.tick", TICK_S, group=GROUP)
def tick() -> None:
    updates.take_all()
    updates.ask_due()
    updates.sweep()


periodic("sources.trials", TRIALS_S, group=GROUP)(updates.move_trials)
