"""The world of one seed: virtual time, the network, the nodes, and their ways through a day or a week.

Purpose: one queue of events in one thread; ``random.Random(seed)`` is the only source of chance.
Network: each connection keeps its order (it is TCP); between connections all is reordered. Lines are delayed, lost
         with their connection, cut in the middle, sent again by a hostile middle; posts are lost, answered in vain,
         and arrive twice, the second time late.
Fails:   ``Broken`` with the text of the invariant; ``World.trace`` tells the story.
"""

from __future__ import annotations

import heapq
import math
import random
from collections.abc import Callable
from typing import Any

from beffroi.lib.errors import BeffroiError
from beffroi_box.errors import CentreUnreachable
from beffroi_protocol.indicators import Indicator
from beffroi_protocol.messages import AckBatch, decode

from tests.simulation import checks, trying
from tests.simulation.box import Box, Connection
from tests.simulation.bulk import on_its_way
from tests.simulation.centre import Centre, CentreCrash, Down
from tests.simulation.disk import PowerCut
from tests.simulation.doors import Door
from tests.simulation.virtual import START, VirtualTime

HORIZONS_S = (3600.0, 86400.0, 8 * 86400.0)
PARTITIONS_S = (120.0, 3600.0, 86400.0, 7 * 86400.0)
BACKOFF_LAST_S = 30.0
BEATS = 7

Node = Box | Door


class World:
    def __init__(
        self, seed: int, time: VirtualTime, make_key: Callable[[bytes], Any], *, tracing: bool
    ) -> None:
        self.seed = seed
        self.rng = rng = random.Random(seed)
        self.time = time
        self.make_key = make_key
        self.trace: list[str] | None = [] if tracing else None
        self.events = 0
        self._queue: list[tuple[float, int, Callable[[], None]]] = []
        self._number = 0
        self.quiet = False
        self._trying = False
        self.named: set[str] = set()  # by outside sources, ever
        self.restored = False  # from a backup, at least once
        self.revived: set[str] = set()
        self.recorded: list[bytes] = []
        self.horizon_s = rng.choices(HORIZONS_S, (5, 3, 2))[0]
        self.exceptions: dict[str, str] = {}  # every one that was made: its commune
        # Withdrawn, and no person has answered: with its scope.
        self.asked: set[tuple[Indicator, str]] = set()
        self.approved: set[str] = set()  # decisions that were asked about, and a person put in force again
        self.unchecked: set[str] = set()  # decisions that a stolen console made
        self.beat_s = max(20.0, self.horizon_s / BEATS)
        size = rng.choices((rng.randint(3, 4), rng.randint(5, 10), rng.randint(11, 40)), (90, 9, 1))[0]
        liars = min(rng.choices((0, 1, 2, 3), (3, 4, 3, 1))[0], size - 2)
        self.communes = [f"col_{n}" for n in range(1, size + 1)]
        self.liars = set(self.communes[:liars])
        self.centre = Centre(make_key, lambda: f"dec_{rng.randbytes(8).hex()}", checks.MEMBERS)
        self.boxes = [
            Box(n, commune, self.centre, time, make_key, liar=commune in self.liars)
            for n, commune in enumerate(self.communes, 1)
        ]
        for box in self.boxes:
            self.centre.enrol(box.row)
            box.on_post, box.on_say, box.on_file = self._post, self._say, self._file
        self.centre.start()
        self.doors = [Door(name, self.centre, time, self.communes[-1]) for name in ("mail", "login")]
        for door in self.doors:
            door.on_file = self._file
        self.nodes: list[Node] = [*self.boxes, *self.doors]
        self.watched = {box.id: checks.Watched() for box in self.boxes}
        self.backoff: dict[int, float] = {}
        self._pending: set[tuple[int, str]] = set()
        for box in self.boxes:
            self.boot(box)
        for door in self.doors:
            self.after(rng.random(), lambda door=door: self.connect(door))
        self.after(self.beat_s, self._beat)
        self.tell("%d communes, liars %s, %d s", size, sorted(self.liars), self.horizon_s)

    # -- events ------------------------------------------------------------------------------------------

    def after(self, seconds: float, call: Callable[[], None]) -> None:
        self._number += 1
        heapq.heappush(self._queue, (self.time.true + seconds, self._number, call))

    def once(self, node: Node, what: str, seconds: float, call: Callable[[], None]) -> None:
        """As ``after``, unless this waits for the node already."""
        key = (id(node), what)
        if key in self._pending:
            return
        self._pending.add(key)

        def run() -> None:
            self._pending.discard(key)
            call()

        self.after(seconds, run)

    def run_until(self, end: float) -> None:
        while self._queue and self._queue[0][0] <= end:
            at, _, call = heapq.heappop(self._queue)
            self.time.true = max(self.time.true, at)
            self.events += 1
            self.do(call)
        self.time.true = max(self.time.true, end)

    def do(self, call: Callable[[], None]) -> None:
        """A machine may lose its power over it."""
        try:
            call()
        except PowerCut as cut:
            self._power_cut(next(box for box in self.boxes if box.disk is cut.disk))

    def tell(self, text: str, *arguments: object) -> None:
        if self.trace is not None:
            self.trace.append(f"{self.time.true - START:11.2f} s  {text % arguments}")

    # -- the centre --------------------------------------------------------------------------------------

    def _beat(self) -> None:
        self._beat_once()
        if not self.quiet:
            self.after(self.beat_s, self._beat)

    def beat_in_quiet(self) -> None:
        self._beat_once()
        self.after(180.0, self.beat_in_quiet)

    def _beat_once(self) -> None:
        if self.centre.up:
            self.worker()
        if self.centre.up:
            self.centre.beat()
            self.flush()

    def worker(self) -> None:
        if self.centre.up:
            self.centre.expire_due()
            trying.lapse(self)
            checks.waits_for_a_person(self)
            self.publish()

    def publish(self) -> None:
        """What the outbox holds goes out; the stream process may die over it."""
        try:
            self.centre.publish()
        except CentreCrash:
            self.tell("stream dies after the commit (%s)", self.centre.publisher.crash_at)
            self.stop_stream(self.rng.uniform(0.5, 60))
        self.flush()

    def stop_stream(self, pause_s: float) -> None:
        if not self.centre.up:
            return
        self.centre.stop()
        self.flush()
        self.after(pause_s, self.start_stream)

    def start_stream(self) -> None:
        if not self.centre.up:
            self.centre.start()
            self.tell("stream starts, epoch %d", self.centre.publisher.feed.epoch)
            self.publish()

    def try_lists(self) -> None:
        """The process ``sources`` looks at what is on trial; sometimes it was away, as in the night."""
        if self.quiet or not self.centre.sources.observing():
            self._trying = False
            return
        if self.centre.up:
            trying.tick(self)
        away = self.rng.random() < 0.04 or not trying.worked_s(self.time.true - 1, self.time.true)
        self.after(3600.0 if away else trying.TICK_S, self.try_lists)

    def tried(self) -> None:
        """Something may be on trial now."""
        if not self._trying:
            self._trying = True
            self.after(trying.TICK_S, self.try_lists)

    def due(self, seconds: float) -> None:
        """The worker looks for ended decisions each second."""
        self.after(seconds + 1.0, self.worker)

    # -- the network -------------------------------------------------------------------------------------

    def flush(self) -> None:
        for node in self.nodes:
            connection = node.connection
            if connection is not None and (connection.subscriber._queue or connection.subscriber.closed):
                self._flush(node, connection)

    def _flush(self, node: Node, connection: Connection) -> None:
        subscriber = connection.subscriber
        data = b""
        while piece := subscriber.take():
            data += piece
        if self.linked(node) is False:
            connection.silent = connection.silent or bool(data)
        if connection.silent:
            return
        if data:
            if len(self.recorded) < 400:
                self.recorded += data.splitlines()
            self._later(connection, lambda: self._arrive(node, connection, data))
        if subscriber.closed:
            self._later(connection, lambda: self.cut(node, connection))

    def _later(self, connection: Connection, call: Callable[[], None]) -> None:
        delay = self.rng.choice((0.01, 0.05, 0.4, 3.0)) * self.rng.random()
        connection.last_at = max(connection.last_at, self.time.true + delay)
        self.after(connection.last_at - self.time.true, call)

    def linked(self, node: Node) -> bool:
        return node.link if isinstance(node, Box) else True

    def _arrive(self, node: Node, connection: Connection, data: bytes) -> None:
        if node.connection is not connection or connection.silent:
            return
        if not self.linked(node):
            connection.silent = True
            return
        if not self.quiet and self.rng.random() < 0.015:  # the line is cut in its middle
            data = data[: self.rng.randrange(len(data))]
            connection.ended = True
        connection.buffer += data
        self.read(node)

    def cut(self, node: Node, connection: Connection) -> None:
        if node.connection is connection:
            connection.ended = True
            self.read(node)

    def inject(self, node: Node, line: bytes) -> None:
        if node.connection is not None and not node.connection.silent:
            node.connection.buffer += line + b"\n"
            self.read(node)

    # -- nodes -------------------------------------------------------------------------------------------

    def boot(self, box: Box) -> None:
        box.start()
        checks.booted(self, box)
        self.once(box, "connect", self.rng.random(), lambda: self.connect(box))
        self.turn(box)

    def _power_cut(self, box: Box) -> None:
        """While it wrote."""
        self.tell("%s: power cut in a write", box.id)
        self.watched[box.id].lossless = False
        box.power_cut(self.rng)
        self.after(self.rng.uniform(1, 90), lambda: self.boot(box))

    def connect(self, node: Node) -> None:
        if node.connection is not None or (isinstance(node, Box) and (node.agent is None or not node.link)):
            return
        held = node.read() if isinstance(node, Box) else node.connect()
        if held:
            self.flush()
        else:
            self._again(node)
        if isinstance(node, Box):
            checks.step(self, node)

    def _again(self, node: Node) -> None:
        pause = self.backoff.get(id(node), 0.5)
        self.backoff[id(node)] = min(BACKOFF_LAST_S, pause * 2)
        self.once(node, "connect", pause * self.rng.uniform(0.5, 1.5), lambda: self.connect(node))

    def read(self, node: Node) -> None:
        if isinstance(node, Box) and node.agent is None:
            return
        if node.read():
            self.backoff.pop(id(node), None)
        else:
            self._again(node)
        if isinstance(node, Box):
            checks.step(self, node)
            self.turn(node)
        elif node.follower._lists._wake.is_set():
            self.once(node, "lists", 0.5, lambda: self._door_lists(node))

    def turn(self, box: Box) -> None:
        """The agent's other threads come to their turn."""
        agent = box.agent
        if agent is None:
            return
        if agent._unsaved or agent.policies._offered.qsize() or self.watched[box.id].names_due:
            self.once(box, "keep", 1.0, lambda: self._keep(box, slow=False))
        self.once(box, "slow", 30.0, lambda: self._keep(box, slow=True))
        if agent.lists._wake.is_set():
            self.once(box, "lists", self.rng.uniform(0.1, 1.5), lambda: self._lists(box))
        if agent.spool.waiting():
            self.once(box, "send", 0.2, lambda: self._send(box))
        if agent.sender.again.due != math.inf:
            wait_s = agent.sender.again.due - (self.time.true - box.booted_at)
            self.once(box, "tell again", max(0.2, wait_s), lambda: self._send(box))

    def _keep(self, box: Box, *, slow: bool) -> None:
        if box.agent is None:
            return
        box.keep(slow=slow)
        checks.step(self, box, kept=True, settled=slow)
        lists, ground = box.agent.lists, box.agent.enforcer.ground()
        if ground != box.ground and (lists._wanted or lists._chosen):
            self.once(box, "lists", 1.0, lambda: self._lists(box))
            box.ground = ground
        if slow and (wait_s := checks.next_end_s(box)) is not None:
            self.once(box, "expiry", wait_s + self.rng.uniform(1, 30), lambda: self._keep(box, slow=True))
        if box.agent._unsaved:
            self.once(box, "keep", max(5.0, self.horizon_s / 200), lambda: self._keep(box, slow=False))

    def _lists(self, box: Box) -> None:
        """The loader and the downloads; asked again when something failed, as the list's own pause says."""
        if (agent := box.agent) is None:
            return
        if not box.load_lists():
            now = self.time.true - box.booted_at
            due = [at - now for at in agent.lists._not_before.values() if at > now]
            self.once(box, "lists again", max(1.0, min(due, default=60.0)), lambda: self._lists(box))
        ends = [one.expires_at - box.now() for one in agent.lists._wanted.values() if one.expires_at]
        for end in ends:
            if end > 0:
                self.once(box, f"lists end {end}", end + 1.0, lambda: self._lists(box))
        checks.step(self, box)
        self.turn(box)

    def _door_lists(self, door: Door) -> None:
        if not door.load_lists():
            self.once(door, "lists", self.rng.uniform(1, 60), lambda: self._door_lists(door))

    def _file(self, packed: bytes) -> tuple[bytes, bool]:
        return (packed, False) if self.quiet else on_its_way(packed, self.rng)

    def _send(self, box: Box) -> None:
        if box.agent is None or not box.link:
            return
        if not box.send():
            self.once(box, "send", self.rng.uniform(2, 20), lambda: self._send(box))
        else:
            self.turn(box)

    def cut_off(self, box: Box, seconds: float) -> None:
        if box.link and not self.quiet:  # one that was planned before the quiet does not begin in it
            box.link = False
            self.tell("%s: partition of %d s", box.id, seconds)
            self.after(min(seconds, self.horizon_s), lambda: self.heal(box))

    def heal(self, box: Box) -> None:
        if not box.link:
            box.link = True
            self.tell("%s: the network is back", box.id)
        if (connection := box.connection) is not None and connection.silent:
            self.cut(box, connection)
        self.once(box, "connect", self.rng.random() * 5, lambda: self.connect(box))
        self.turn(box)

    def _post(self, box: Box, path: str, body: bytes) -> bytes:
        fate = 1.0 if self.quiet else self.rng.random()
        if fate < 0.05:
            raise CentreUnreachable("lost")
        answer = self.centre.post(box.row, path, body)
        if fate < 0.10:
            raise CentreUnreachable("the answer was lost")
        if fate < 0.15:
            self.after(self.rng.uniform(1, 300), lambda: self._post_again(box, path, body))
        checks.taken(self, box, body)
        return answer

    def _say(self, box: Box, line: bytes) -> None:
        if box.liar and self.rng.random() < 0.5:
            return  # withheld
        checks.acks(self, box, decode(line, AckBatch))
        connection = box.connection
        assert connection is not None
        try:
            if self.quiet or self.rng.random() >= 0.05:
                self.centre.say(box.row, line)
                return
        except (BeffroiError, Down):
            pass
        # Lost with the connection that carried it.
        self.after(0.1, lambda: self.cut(box, connection))

    def _post_again(self, box: Box, path: str, body: bytes) -> None:
        if self.centre.up:
            self.centre.post(box.row, path, body)
