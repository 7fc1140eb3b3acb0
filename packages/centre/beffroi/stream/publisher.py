"""Publisher: from the outbox to signed lines in every door's connection.

Purpose: one signed batch a channel a wake-up, durable before anyone sees it, then the same bytes to all.
Process: stream. Reading, signing and committing run in a thread; memory changes in the event loop only, after
         the commit, so that a newcomer can never fall between the log and the broadcast.
Input:   the centre's own outbox. A row about a decision or a list that cannot be read stops the feed loudly: skipping
         it would leave a door without a decision for ever.
Fails:   doors keep their last list; polling goes on, and the next success sends what was missed.
Source:  docs/internals/feed.md.
"""

from __future__ import annotations

import asyncio
import logging
import secrets
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import msgspec
from beffroi_protocol.messages import VERSION, Batch, Question
from beffroi_protocol.signing import Signer, payload_hash, split_line
from beffroi_protocol.table import OVERLAY, every_overlay

from beffroi.core.planes import files, wake
from beffroi.core.planes.feed_mark import Mark
from beffroi.lib import clock
from beffroi.lib.config import Config
from beffroi.lib.errors import Unavailable
from beffroi.stream.archive import Archive
from beffroi.stream.batches import (
    Channel,
    Saved,
    Stamp,
    by_channel,
    heartbeat,
    next_batch,
    next_in_turn,
    overlays_a_beat,
)
from beffroi.stream.claims import WITNESSES, Claims, highest_epoch
from beffroi.stream.feedlog import FeedLog, Line, Since
from beffroi.stream.hub import Hub
from beffroi.stream.reload import behind_mark, read_channel
from beffroi.stream.snapshots import Snapshots
from beffroi.stream.store import ChannelRow, Event, NewBatch, Store, channel_events

log = logging.getLogger("beffroi.stream")

POLICY_TOPIC = "policy:"
"""Prefix of the hub's topics that carry policies (of a collectivité) and questions (to a box); names of channels hold
no colon."""
QUESTION_LIFE_S = 300
PURGED = "retention:done"
EVENTS_A_STEP = 500
CHECKPOINT_VERSIONS = 256
EPOCH_PAUSE_S = 3600
"""At most one new epoch an hour on the doors' word: each costs every door a snapshot."""


@dataclass(frozen=True)
class Step:
    """What one wake-up brought."""

    events: tuple[Event, ...]
    made: tuple[tuple[Batch, bytes], ...]
    position: int
    more: bool = False


class Publisher:
    """``on_event`` is called in the event loop for each outbox row, after its batches were sent."""

    def __init__(
        self,
        config: Config,
        store: Store,
        signer: Signer,
        hub: Hub,
        on_event: Callable[[Event], None],
        *,
        directory: str = "feed",
    ) -> None:
        self._config = config
        self._store = store
        self._signer = signer
        self._hub = hub
        self._on_event = on_event
        self.archive = Archive(config.state / directory)
        self._thread = ThreadPoolExecutor(1, "publisher")
        # Apart: an urgent line waits neither for a file of many megabytes nor for hundreds of boxes that come back.
        self._saver = ThreadPoolExecutor(1, "snapshots")
        self._asker = ThreadPoolExecutor(1, "policies")
        self._saving = asyncio.Lock()
        self._due: dict[str, asyncio.Task[None]] = {}
        self._aged: asyncio.Task[None] | None = None
        self._snapshots = Snapshots(self.archive, signer, lambda: self._stamp(self._audit_head))
        self._policies: dict[str, bytes] = {}
        self._policy_changes = 0
        self._mark = Mark()
        self._epoch_at_s = 0.0
        self._lock = asyncio.Lock()
        self._claims = Claims()
        self._audit_head = ""
        self._beaten = ""
        self._unsure = False  # whether the last commit stands: it failed, or only its answer was lost
        self.position = 0
        self.published = 0
        """Batches since the start."""
        self.feed = FeedLog(1, self._snapshots.lines)

    # -- start -------------------------------------------------------------------------------------------

    async def start(self) -> None:
        """Load the feed. Errors: Unavailable (no database), and then nothing has started."""
        await self._in_thread(self._load)

    def _load(self) -> None:
        """In the thread, before anyone is served."""
        self.archive.sweep(self._config.relay_names)
        self._mark = self.archive.read_mark()
        rows = self._store.channels()
        epoch = max([self._mark.epoch, *(r.epoch for r in rows)], default=0) or 1
        self.position = self._store.cursor()
        self._audit_head = self._store.audit_head()
        self.feed = FeedLog(epoch, self._snapshots.lines)
        if behind_mark(self._mark, rows, epoch) or not all(self._load_channel(row, epoch) for row in rows):
            self._new_epoch(epoch + 1)
            return
        self._write_mark()

    def _load_channel(self, row: ChannelRow, epoch: int) -> bool:
        """Rebuild a channel from its last snapshot and its lines; False when they do not lead to ``row``."""
        if row.epoch != epoch:
            return False
        made, saved = read_channel(self.feed, self._store, row, self.archive)
        if saved is not None:
            self._snapshots.saved[row.channel] = saved
        return made is not None and (made.channel.version, made.channel.head) == (row.version, row.head)

    # -- epochs ------------------------------------------------------------------------------------------

    def _new_epoch(self, epoch: int) -> None:
        """In the thread: begin again from the decisions and lists themselves. Versions go on rising, for people."""
        log.warning("feed begins epoch %d", epoch)
        events, position = self._store.in_force()
        versions = dict(self._mark.versions)
        for row in self._store.channels():
            versions[row.channel] = max(row.version, versions.get(row.channel, 0))
        feed = FeedLog(epoch, self._snapshots.lines)
        routed = by_channel(events)
        for name in {*routed, *versions}:
            # A head of chance: two centres restored from one backup never share it.
            channel = Channel(name, epoch, versions.get(name, 0) + 1, secrets.token_hex(32))
            channel.begin(routed.get(name, ()))
            feed.log(name).channel = channel
        self._snapshots.clear()
        for log_ in feed.logs.values():
            if (saved := self._snapshots.save(log_.channel)) is not None:
                self._snapshots.saved[log_.channel.name] = saved
        self._store.restart([_row(made.channel) for made in feed.logs.values()], position)
        self.feed, self.position = feed, position
        self._write_mark()

    async def claim(self, witness: str, since: list[Since], *, trusted: bool) -> bool:
        """Note that a door says it knows more; True when that was believed and a new epoch began.

        Errors: Unavailable.
        """
        needed = 1 if trusted else min(WITNESSES, await self._in_thread(self._store.collectivites_with_boxes))
        now_s = asyncio.get_running_loop().time()
        seen = self._claims.note(
            witness, highest_epoch(since), needed=needed, ours=self.feed.epoch, now_s=now_s
        )
        return seen is not None and await self.raise_epoch(seen)

    async def raise_epoch(self, seen: int = 0) -> bool:
        """Begin a new epoch, above ``seen``, at most one an hour; everyone is cut and comes back for a snapshot."""
        async with self._lock, self._saving:
            now_s = asyncio.get_running_loop().time()
            if self._epoch_at_s and now_s - self._epoch_at_s < EPOCH_PAUSE_S:
                return False
            self._epoch_at_s = now_s
            await self._in_thread(self._new_epoch, max(self.feed.epoch, seen) + 1)
            self._claims.clear()
            self._hub.close_all()
            return True

    # -- steps -------------------------------------------------------------------------------------------

    async def step(self) -> bool:
        """Publish what is new; True when there may be more at once. Errors: Unavailable."""
        async with self._lock:
            if self._unsure:
                await self._make_sure()
            step = await self._in_thread(self._make)
            self.position = step.position
            self.published += len(step.made)
            for batch, line in step.made:
                log_ = self.feed.log(batch.channel)
                log_.append(Line(batch.from_version, batch.prev, line))
                log_.channel.apply(batch, split_line(line)[2])
                self._hub.send(batch.channel, line + b"\n")
                if OVERLAY in batch.channel:
                    self._send_to_all_overlays(batch, line)
        for event in step.events:
            self._on_event(event)
        self._checkpoint_due([batch.channel for batch, _ in step.made])
        if any(event.kind == PURGED for event in step.events) and (self._aged is None or self._aged.done()):
            self._aged = asyncio.create_task(self._checkpoint_old())
        return step.more or len(step.events) == EVENTS_A_STEP

    async def _make_sure(self) -> None:
        """Where a commit stands of which memory knows nothing, load the feed anew: whoever follows comes back for it.
        Errors: Unavailable."""
        if await self._in_thread(self._store.cursor) > self.position:
            log.warning("a commit stood whose answer was lost: the feed is loaded anew")
            async with self._saving:
                await self._in_thread(self._load)
            self._policies.clear()
            self._policy_changes += 1
            self._hub.close_all()
        self._unsure = False

    def _send_to_all_overlays(self, batch: Batch, line: bytes) -> None:
        """A door that asked for every overlay learns of a new one by its snapshot: its first line follows nothing."""
        every = every_overlay(batch.channel)
        if not self._hub.is_followed(every):
            return
        for one in self.feed.answer([Since(batch.channel)]) if not batch.from_version else [line]:
            self._hub.send(every, one + b"\n")

    def _make(self) -> Step:
        """In the thread: read, sign, commit. Changes nothing in memory."""
        events = self._store.events_after(self.position, EVENTS_A_STEP)
        if not events:
            return Step((), (), self.position)
        position = events[-1].id
        changes = [change for event in events for change in channel_events(event)]
        stamp = self._stamp(self._store.audit_head()) if changes else None
        made: list[tuple[Batch, bytes]] = []
        new: list[NewBatch] = []
        for name, routed in by_channel(changes).items():
            known = self.feed.logs.get(name)
            channel = known.channel if known is not None else Channel(name, self.feed.epoch)
            assert stamp is not None
            if (batch := next_batch(channel, routed, stamp)) is not None:
                line = self._signer.line(batch)
                head = payload_hash(split_line(line)[2])
                new.append(NewBatch(ChannelRow(name, channel.epoch, batch.to_version, head), line))
                made.append((batch, line))
        if changes or len(events) == EVENTS_A_STEP:
            # Other rows alone are not worth a commit: reading them again after a restart tells nobody twice.
            self._unsure = True
            self._store.commit(new, position)
            self._unsure = False
        if new:
            for name in self._config.relay_names:
                wake.send(wake.directory(self._config.run) / f"{name}.sock")
            self._mark.versions.update({n.row.channel: n.row.version for n in new})
            self.archive.write_mark(self._mark)
        return Step(tuple(events), tuple(made), position)

    async def beat(self) -> None:
        """Send a heartbeat on channels that someone follows; made once for all."""
        self._audit_head = await self._in_thread(self._store.audit_head)
        names = [(topic, c.name) for topic in self._beat_topics() for c in self._channels(topic)]
        for number, (topic, name) in enumerate(names):
            if number % 50 == 49:
                await asyncio.sleep(0)  # hundreds of overlays are signed: let others write meanwhile
            # As the channel stands now: a decision, or an epoch, may have come meanwhile.
            beat = heartbeat(self.feed.log(name).channel, self._stamp(self._audit_head))
            self._hub.send(topic, self._signer.line(beat) + b"\n")

    def _beat_topics(self) -> list[str]:
        """Every base channel; of the overlays in turn as many as bring each its own in time."""
        topics = [t for t in self._hub.topics() if not t.startswith(POLICY_TOPIC)]
        overlays = [t for t in topics if OVERLAY in t and t != every_overlay(t)]
        others = [t for t in topics if OVERLAY not in t or t == every_overlay(t)]
        chosen, self._beaten = next_in_turn(
            overlays,
            self._beaten,
            overlays_a_beat(
                len(overlays), heartbeat_s=self._config.heartbeat_s, valid_s=self._config.feed_valid_s
            ),
        )
        return [*others, *chosen]

    def _channels(self, topic: str) -> list[Channel]:
        """What is sent under a topic: a channel's own name, or ``BASE@*``."""
        every = topic == every_overlay(topic)
        return self.feed.overlays(topic) if every else [self.feed.log(topic).channel]

    # -- newcomers ---------------------------------------------------------------------------------------

    def answer(self, since: list[Since]) -> list[bytes]:
        """Return the lines for one follower, each channel ending with a heartbeat: the present time, and the
        sign that it is up to date. Runs in the event loop without a pause, together with ``Hub.add``."""
        since = self.feed.expand(since)
        lines = self.feed.answer(since)
        stamp = self._stamp(self._audit_head)
        beats = [self._signer.line(heartbeat(self.feed.log(s.channel).channel, stamp)) for s in since]
        return [line + b"\n" for line in (*lines, *beats)]

    async def prepare(self, since: list[Since]) -> None:
        """Write the large files that ``answer`` would otherwise have to write in the event loop."""
        for part in self.feed.expand(since):
            if self._snapshots.needs_file(self.feed.log(part.channel), part):
                async with self._saving:
                    if self._snapshots.needs_file(self.feed.log(part.channel), part):  # made while we waited?
                        await self._save(part.channel)

    def file(self, digest: str, allowed: Callable[[str], bool]) -> Path | None:
        """Return the file of this digest that a channel among ``allowed`` names now, or None."""
        if (owner := self.archive.replaced_channel(digest)) and allowed(owner):
            return self.archive.snapshot_file(digest)
        for name, log_ in self.feed.logs.items():
            if not allowed(name):
                continue
            if any(one.sha256 == digest for one in log_.channel.lists.values()):
                return files.list_file(self._config.state, digest)
            saved = self._snapshots.saved.get(name)
            if saved is not None and saved.sha256 == digest:
                return self.archive.snapshot_file(digest)
        return None

    async def policy_line(self, collectivite_id: str) -> bytes | None:
        """Return the signed policy of a collectivité's boxes, or None where none was set."""
        loop = asyncio.get_running_loop()
        while (line := self._policies.get(collectivite_id)) is None:
            changes = self._policy_changes
            message = await loop.run_in_executor(self._asker, self._store.policy, collectivite_id)
            if changes != self._policy_changes:
                continue  # what was read may be of before
            if message is None:
                return None
            line = self._signer.line(msgspec.structs.replace(message, issued_at=clock.paced_s())) + b"\n"
            self._policies[collectivite_id] = line
        return line

    def question_line(self, box_id: str, question_id: str) -> bytes:
        """Return the signed question how a box is."""
        now = clock.paced_s()
        return self._signer.line(Question(VERSION, question_id, box_id, now, now + QUESTION_LIFE_S)) + b"\n"

    def forget_policy(self, collectivite_id: str) -> None:
        self._policies.pop(collectivite_id, None)
        self._policy_changes += 1

    # -- the rest ----------------------------------------------------------------------------------------

    def _checkpoint_due(self, names: list[str]) -> None:
        for name in names:
            saved = self._snapshots.saved.get(name)
            behind = self.feed.log(name).channel.version - (saved.version if saved is not None else 0)
            if behind >= CHECKPOINT_VERSIONS and (name not in self._due or self._due[name].done()):
                self._due[name] = asyncio.create_task(self._checkpoint(name))

    async def _checkpoint(self, name: str) -> None:
        """Save a snapshot; a later start replays from here."""
        try:
            async with self._saving:
                saved = await self._save(name)
            if saved is not None:
                await self._in_thread(self._store.note_saved, name, saved.epoch, saved.version)
        except Unavailable:
            log.error("the snapshot of channel %s is not noted: database", name)

    async def _checkpoint_old(self) -> None:
        """After a purge: snapshots for what is quiet, so that the next one finds old lines that nobody needs."""
        try:
            names = await self._in_thread(self._store.unsaved)
        except Unavailable:
            log.error("channels with old lines are not known: database")
            return
        for name in names:
            if name in self.feed.logs:
                await self._checkpoint(name)

    async def _save(self, name: str) -> Saved | None:
        """With ``_saving`` held, so that no file of an epoch that ended comes after one of the next."""
        copied = self.feed.log(name).channel.copy()
        saved = await asyncio.get_running_loop().run_in_executor(self._saver, self._snapshots.save, copied)
        if saved is not None:
            self._snapshots.saved[name] = saved
        return saved

    def _write_mark(self) -> None:
        versions = {name: made.channel.version for name, made in self.feed.logs.items()}
        self._mark = Mark(self.feed.epoch, versions)
        self.archive.write_mark(self._mark)

    def _stamp(self, audit_head: str) -> Stamp:
        now = clock.paced_s()
        return Stamp(now, now + self._config.feed_valid_s, audit_head)

    async def _in_thread[*A, R](self, function: Callable[[*A], R], *arguments: *A) -> R:
        return await asyncio.get_running_loop().run_in_executor(self._thread, function, *arguments)

    def close(self) -> None:
        self._saver.shutdown(wait=True)
        self._asker.shutdown(wait=True)
        self._thread.shutdown(wait=True)


def _row(channel: Channel) -> ChannelRow:
    return ChannelRow(channel.name, channel.epoch, channel.version, channel.head)
