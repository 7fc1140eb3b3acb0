"""What was published, read again after a start: of the publisher by itself, and by its relays.

Process: stream, relays; in the thread of the feed, before anyone is served.
Input:   the centre's own archive and database, of which either may come from a backup.
Fails:   what does not fit together is not served; the publisher then begins a new epoch.
"""

from __future__ import annotations

from collections.abc import Iterable

from beffroi_protocol.messages import Batch, decode_feed
from beffroi_protocol.signing import split_line

from beffroi.core.planes.feed_mark import Mark
from beffroi.stream.archive import Archive
from beffroi.stream.batches import Channel, Saved
from beffroi.stream.feedlog import FeedLog, Line, Log
from beffroi.stream.store import ChannelRow, Store


def behind_mark(mark: Mark, rows: Iterable[ChannelRow], epoch: int) -> bool:
    """True when the database knows less than was already sent out: it comes from a backup."""
    have = {r.channel: r.version for r in rows if r.epoch == epoch}
    return mark.epoch == epoch and any(
        have.get(channel, 0) < version for channel, version in mark.versions.items()
    )


def read_channel(
    feed: FeedLog, store: Store, row: ChannelRow, archive: Archive
) -> tuple[Log | None, Saved | None]:
    """Read a channel's last snapshot and the lines after it into ``feed``; no log when they do not fit."""
    made, saved, start = feed.log(row.channel), None, 0
    if (found := archive.load_snapshot(row.channel, row.epoch)) is not None:
        message, saved = found
        start = saved.version
        made.channel = Channel(row.channel, row.epoch, start, saved.head)
        made.channel.entries = {e.id: e for e in message.entries}
        made.channel.lists = {one.name: one for one in message.lists}
        made.channel.changed_at = message.issued_at
    for line in store.lines(row.channel, row.epoch, start):
        payload = split_line(line)[2]
        batch = decode_feed(payload)
        if not isinstance(batch, Batch) or batch.prev != made.channel.head:
            return None, saved
        made.append(Line(batch.from_version, batch.prev, line))
        made.channel.apply(batch, payload)
    return made, saved
