"""The running agent: follows the feed, enforces, acknowledges, reports.

Process: one, as root; its threads are the jobs of ``Agent.run``. The main thread waits for a signal.
Input:   the feed is hostile until verified; a refused line changes nothing.
Fails:   any loss of the centre, of the disk or of the resolver leaves the last rules in the kernel.
Source:  docs/internals/box.md.
"""

from __future__ import annotations

import http.client
import logging
import random
import secrets
import signal
import socket
import threading
import time
from collections.abc import Callable
from functools import partial
from urllib.parse import quote

import msgspec
from beffroi_protocol.errors import ProtocolError
from beffroi_protocol.messages import (
    MAX_MESSAGE_BYTES,
    Ack,
    Action,
    Delegation,
    PolicyMessage,
    Question,
    Release,
)
from beffroi_protocol.requests import FACTS_HEADER
from beffroi_protocol.session import FeedSession, FileWanted, Refused, Result, TrustedClock
from beffroi_protocol.table import Change, overlay

from beffroi_box.acks import Acknowledger
from beffroi_box.answers import Answers
from beffroi_box.blocked import Blocked
from beffroi_box.client import Centre, SignedSession
from beffroi_box.clock import MachineClock
from beffroi_box.config import BoxConfig
from beffroi_box.diagnose import Doctor
from beffroi_box.download import MemoryDownload
from beffroi_box.enforce import Enforcer
from beffroi_box.errors import BoxError, CentreRefused, CentreUnreachable
from beffroi_box.facts import FactSpool
from beffroi_box.kernel import Kernel
from beffroi_box.lists import ListKeeper
from beffroi_box.local import LocalSocket
from beffroi_box.policies import Policies
from beffroi_box.priority import before_all_others
from beffroi_box.relaykeeper import RelayKeeper
from beffroi_box.resolver import prepare
from beffroi_box.sender import Sender
from beffroi_box.status import Status
from beffroi_box.store import Store
from beffroi_box.totals import Totals
from beffroi_box.traps import Honeyports
from beffroi_box.updater import Updater
from beffroi_box.wanguard import lift_rules
from beffroi_box.watch import Watch

log = logging.getLogger("beffroi_box")

BACKOFF_FIRST_S, BACKOFF_LAST_S = 0.5, 30.0
KEEP_EVERY_S, SLOW_EVERY_S = 1.0, 30.0


class Agent:
    def __init__(self, config: BoxConfig, *, nameless: bool = False) -> None:
        """``nameless``: only to boot, on a disk that lost who this box is. Errors: IdentityDamaged, KeyUnreadable."""
        self.config = config
        self.machine_clock = MachineClock(config)
        self.store = Store(config.state)
        self.store.prepare()
        prepare(config)
        self.identity, key = self.store.stand_in() if nameless else (self.store.identity(), self.store.key())
        try:
            if not nameless:
                self.store.move_in(self.identity)
        except OSError as error:
            log.error("what is of a former box stays: %s", error.strerror)
        self.stopping = threading.Event()
        self.centre = Centre(config, self.store.centre_addresses())
        channels = ("box", overlay("box", self.identity.collectivite_id))
        self.session = FeedSession(self.store.trust(self.identity), channels, self._clock())
        for channel in channels:
            self.session.tables[channel] = self.store.table(channel)
            self.session.clock.learn(self.session.tables[channel].issued_at, monotonic=time.monotonic())
        self.spool = FactSpool(
            config.state / "spool", self.identity.box_id, keep_s=config.told_days * 86400, now=self.now
        )
        self.totals = Totals(config.state / "spool", self.spool)
        self.kernel = Kernel()
        self.enforcer = Enforcer(config, self.centre, self.kernel, self.spool, self.now, self.store.policy())
        self.watch = Watch(config, self.identity.box_id, self.enforcer, self.spool, self.now)
        self.status = Status(config.state)
        self.doctor = Doctor(
            config,
            self.identity.box_id,
            self.spool,
            self.now,
            report=lambda: self.status.report,
            has_rules=self.kernel.has_rules,
        )
        self.relay = RelayKeeper(
            config, self.identity, key, self.centre, self.spool, self.now,
            wanted=lambda: self.enforcer.policy.relay,
        )  # fmt: skip
        self._feed, self._posts, snapshots, downloads, software = (
            SignedSession(self.centre, lambda: self.identity.box_id, key) for _ in range(5)
        )
        self._snapshots = MemoryDownload(snapshots)
        self.updater = Updater(config.state, software, self.spool, self.now)
        self.lists = ListKeeper(config, downloads, self.spool, self.enforcer, self.watch.diary, self.now)
        self.lists.want(self.session.tables.values())
        self.watch.meetings.observe(self.lists.listed)
        self.sender = Sender(self._posts.post, self.spool)
        self.acks = Acknowledger(self._feed.say, lambda: self.enforcer.policy_version)
        self.run_id = secrets.token_hex(8)  # by it the centre sees two machines with this box's identity
        self._acked: dict[str, tuple[int, int]] = {}
        self._useful = self._told_time = self._unwritten = False
        self._unsaved: set[str] = set()
        self.blocked = Blocked(config, self.enforcer, self.lists.listed, self.watch, self.spool, self.now)
        self.policies = Policies(
            config.state, self.enforcer, self.store, self.spool, self.status, self.now,
            save=self._save, changed=self.acks.policy_changed,
        )  # fmt: skip

    def _clock(self) -> TrustedClock:
        """Counts on from the last signed time, whatever the box's own clock says: entries neither end early
        because it runs ahead, nor stay because it fell back."""
        clock = TrustedClock(floor=0)
        floor = self.store.time_floor()
        if floor:
            clock.learn(floor, monotonic=time.monotonic())
        return clock

    def now(self) -> int:
        return self.session.clock.now(local=time.time(), monotonic=time.monotonic())

    # -- life --------------------------------------------------------------------------------------------

    def boot(self) -> None:
        """Load the last state into the kernel. Errors: RulesRefused."""
        self.enforcer.load(self.session.tables.values())
        self.kernel.apply_rules(lift_rules())

    def boot_lists(self) -> None:
        """Errors: LoadFailed, OSError."""
        self.lists.bring_into_force()

    def run(self) -> None:
        self.boot()
        for table in self.session.tables.values():
            # Those that a crash left without an answer: what was told before is the same fact again.
            self.watch.meetings.look_back(entry for entry in table if entry.action is Action.BLOCK)
        if (candidate := self.store.policy("policy-candidate")) is not None:
            self.policies.offer(candidate, b"")
        stopping = self.stopping
        jobs: dict[str, Callable[[], None]] = {
            "follow": self._follow,
            "prove_policies": partial(self.policies.run, stopping),
            "send": partial(self.sender.run, stopping),
            "read_packets": partial(self.blocked.read_packets, stopping),
            "read_refusals": partial(self.blocked.read_refusals, stopping),
            "inspection": partial(self.enforcer.inspection.run, stopping, self.blocked.refused),
            "keep": self._keep,
            "keep_lists": partial(self.lists.run, stopping),
            "look_back_on_lists": partial(self.lists.run_look_back, stopping),
            "watch": partial(self.watch.run, stopping),
            "read_traps": self._read_traps,
            "answer_page": self._answer_page,
            "diagnose": partial(self.doctor.run, stopping),
            "update": partial(self.updater.run, stopping),
            "relay": partial(self.relay.run, stopping),
        }
        for name, job in jobs.items():
            threading.Thread(target=self._guarded, args=(job,), name=name, daemon=True).start()
        # By the interpreter's own socket: a handler in Python runs when this thread wakes, and a signal that another
        # thread gets, or that comes just before this one falls asleep, wakes nobody.
        end, asked = socket.socketpair()
        asked.setblocking(False)
        signal.set_wakeup_fd(asked.fileno())
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: None)
        log.info("box %s of %s runs", self.identity.box_id, self.identity.collectivite_id)
        end.recv(1)
        self.stopping.set()
        self.sender.wake.set()
        self._feed.interrupt()
        self._save_tables()
        self.watch.keep()
        self.spool.keep()

    def _guarded(self, job: Callable[[], None]) -> None:
        told = ""
        while not self.stopping.is_set():
            try:
                job()
            except Exception as error:  # noqa: BLE001 - outermost loop of a thread
                trouble = f"{type(error).__name__}: {error}"
                # The same trouble each second is told once.
                if not self.stopping.is_set() and trouble != told:
                    log.error("%s: %s", threading.current_thread().name, trouble)
                told = trouble
            self.stopping.wait(1.0)

    # -- feed --------------------------------------------------------------------------------------------

    def _follow(self) -> None:
        before_all_others()
        pause_s = BACKOFF_FIRST_S
        while not self.stopping.is_set():
            self._useful = False
            try:
                self._follow_once()
            except (BoxError, ProtocolError, OSError, ValueError) as error:
                self.status.note(connected=False, trouble=str(error))
                log.warning("feed: %s", error)
                if isinstance(error, CentreRefused) and error.problem == "box.revoked":
                    pause_s = BACKOFF_LAST_S
            if self._useful:  # a connection that brought news was no failure, however short
                pause_s = BACKOFF_FIRST_S
            # Jitter: after an outage of the centre hundreds of boxes must not come back in step.
            self.stopping.wait(pause_s * (0.5 + random.random()))  # noqa: S311
            pause_s = min(BACKOFF_LAST_S, pause_s * 2)

    def _follow_once(self) -> None:
        path = f"/v1/feed?run={self.run_id}&since=" + quote(self.session.since(), safe=":,@")
        try:
            response = self._feed.open_feed(path, read_timeout_s=self.config.read_timeout_s)
            self.status.note(connected=True, trouble="")
            self._remember_centre()
            self.sender.again.joined(response.getheader(FACTS_HEADER), monotonic=time.monotonic())
            self.acks.joined()
            self._read(response)
        except OSError as error:
            raise CentreUnreachable(error.strerror or type(error).__name__) from None
        except http.client.HTTPException:  # in the middle of a line
            raise CentreUnreachable("the feed was cut") from None
        finally:
            self._feed.close()

    def _read(self, response: http.client.HTTPResponse) -> None:
        """Use the lines of a held response; return to connect again. Errors: CentreUnreachable (it ended), OSError."""
        while not self.stopping.is_set():
            line = response.readline(MAX_MESSAGE_BYTES + 1)
            if not line.endswith(b"\n"):
                raise CentreUnreachable("the feed ended")
            if len(line) > 1 and self._receive(line[:-1]):
                return

    def _receive(self, line: bytes) -> bool:
        """Use one line; return True to connect again for a snapshot."""
        result = self._supplied(self.session.receive(line, monotonic=time.monotonic()))
        if isinstance(result, Refused):
            log.warning("line refused: %s", result.error.code)
            self.status.note(refused=result.error.code)
            return result.resync
        self._told_time = True
        self._useful |= isinstance(result, Change)  # what each connection begins with is no news
        self.acks.heard()
        self.status.note(heard_at=int(time.time()))
        if isinstance(result, Change):
            self._enforce(result)
        elif isinstance(result, PolicyMessage):
            if result.collectivite_id != self.identity.collectivite_id:
                log.warning("policy of another collectivité refused")
            else:
                self._call_it(result.collectivite_name)
                if result.policy_version > self.enforcer.policy_version:
                    self.policies.offer(result, line)
        elif isinstance(result, Question):
            self.doctor.ask(result)
        elif isinstance(result, Release):
            self.updater.offer(result)
        else:
            self._save(lambda: self.store.save_trust(self.session.trust))
        return False

    def _call_it(self, name: str) -> None:
        """The commune's name of now, for the page of this box."""
        if self.identity.v and name and name != self.identity.collectivite_name:  # a stand-in is not saved
            self.identity = msgspec.structs.replace(self.identity, collectivite_name=name)
            self._save(lambda: self.store.save_identity(self.identity))

    def _supplied(self, result: Result) -> Change | PolicyMessage | Question | Release | Delegation | Refused:
        """A snapshot too long for a line is fetched at once: the lines after it build on it."""
        if isinstance(result, FileWanted):
            try:
                payload = self._snapshots.fetch(result)
            finally:
                self._useful |= self._snapshots.came
            return self.session.supply(payload, monotonic=time.monotonic())
        return result

    def _enforce(self, change: Change) -> None:
        if change.reset or change.lists_added or change.lists_removed:
            self.lists.want(self.session.tables.values())
        news = change.reset or change.added or change.removed
        known = self._acked.get(change.channel)
        if not news and known == (change.epoch, change.version):
            return
        # Without news too: what the kernel would not take is not said to be enforced.
        enforced_at_ms = self.enforcer.apply(change)
        self.acks.enforced(Ack(change.channel, change.epoch, change.version, enforced_at_ms))
        self.watch.meetings.look_back(change.added)
        self._acked[change.channel] = (change.epoch, change.version)
        self._unsaved.add(change.channel)

    def _remember_centre(self) -> None:
        if self._feed.peer:
            self._save(lambda: self.store.save_centre_addresses((self._feed.peer,)))

    # -- small readers -----------------------------------------------------------------------------------

    def _answer_page(self) -> None:
        served = LocalSocket(self.config, Answers(self).answer)
        try:
            served.serve(self.stopping)
        finally:
            served.close()

    def _read_traps(self) -> None:
        traps = Honeyports(self.enforcer.site.trap_port)
        try:
            for touch in traps.touches(self.stopping):
                if touch.port in self.enforcer.policy.honeyports:
                    self.watch.touched(touch)
        finally:
            traps.close()

    # -- keeper ------------------------------------------------------------------------------------------

    def _keep(self) -> None:
        slow_at = time.monotonic()
        while not self.stopping.wait(KEEP_EVERY_S):
            if self.enforcer.resolver is not None:
                self.enforcer.resolver.watch()
            self.enforcer.restore()
            if self.enforcer.end_observation():
                log.info(
                    "what may come in is decided by the policy's rules from now on, or by observation again"
                )
            self._save_tables()
            if self._told_time:  # before, trusted time may be the floor alone
                self._save(lambda: self.machine_clock.keep(self.now()))
            if time.monotonic() - slow_at > SLOW_EVERY_S:
                slow_at = time.monotonic()
                self.enforcer.expire()
                self.enforcer.look_at_itself()
                self.enforcer.watch_kernel()
                self.totals.tell(at=self.now(), refused=self.enforcer.policy.enforce)
                self.spool.keep()
                self._save(lambda: self.store.save_time_floor(self.session.clock.floor))
            self._write_status()

    def _write_status(self) -> None:
        unwritten, self._unwritten = self._unwritten, False
        if self._save(lambda: self.status.write(self)) and not unwritten:
            self.status.disk_trouble = ""

    def _save_tables(self) -> None:
        """After the acknowledgement: a crash before it only means that the same batch is fetched again."""
        while self._unsaved:
            try:
                channel = self._unsaved.pop()
            except KeyError:  # the keeper, or who ends the agent, was faster
                return
            if not self._save(partial(self.store.save_table, self.session.tables[channel])):
                self._unsaved.add(channel)
                return

    def _save(self, write: Callable[[], None]) -> bool:
        """A full or broken disk never stops enforcement; it is said once until it is over (``_write_status``): that one
        file was written says nothing of the others, and many calls have nothing to write."""
        try:
            write()
        except OSError as error:
            if not self.status.disk_trouble:
                log.error("nothing can be saved: %s; enforcing from memory", error.strerror)
            self.status.disk_trouble = error.strerror or "write failed"
            self._unwritten = True
            return False
        return True
