"""A box: the real agent on its real files, with engines that remember what they were told.

Real:    ``Agent`` (its constructor, ``boot``, ``_follow_once``, ``_receive``, ``policies.prove``, saving), ``Store``,
         ``Enforcer``, ``Desired``, ``FactSpool``, ``Sender``, ``Trials``, the rules' text.
Stands in: the kernel's sets, dnsdist and its file of names, the loader's child, sockets; the threads' loops
         are taken step by step by the world.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from contextlib import suppress
from typing import Any, cast

from beffroi.core.planes.files import decompressed
from beffroi.lib.errors import BeffroiError
from beffroi.stream.auth import Caller
from beffroi.stream.hub import Subscriber
from beffroi.stream.store import BoxRow
from beffroi_box import load
from beffroi_box.agent import Agent
from beffroi_box.config import BoxConfig
from beffroi_box.errors import BoxError, CentreRefused, CentreUnreachable
from beffroi_box.facts import NAME_AGAIN_S, FactSpool
from beffroi_box.store import Identity, Store, write_twin
from beffroi_box.trials import Trials
from beffroi_protocol.errors import ProtocolError
from beffroi_protocol.indicators import Indicator, Kind
from beffroi_protocol.messages import Action
from beffroi_protocol.requests import FACTS_HEADER
from beffroi_protocol.session import FileWanted
from beffroi_protocol.signing import b64

from tests.simulation.centre import Centre, Down
from tests.simulation.disk import Disk, DiskPath
from tests.simulation.engines import Engines
from tests.simulation.virtual import VirtualTime

CENTRE_ADDRESS = "185.61.20.5"
LOADS = {"addresses", "names", "observed names", "look back", "look back on names"}
"""What the keeper of lists puts off when the loader fails."""
MET_DAYS = 9


class Pause(BaseException):
    """The reader waits here for more."""


class Connection:
    """One held response: bytes that arrived, in their order; ``ended`` once it is cut."""

    def __init__(self, subscriber: Subscriber, told: str = "") -> None:
        self.subscriber = subscriber
        self.told = told
        self.buffer = b""
        self.ended = False
        self.silent = False  # the network lost it and nobody knows yet
        self.last_at = 0.0

    def getheader(self, name: str) -> str | None:
        return self.told if name == FACTS_HEADER else None

    def readline(self, _: int) -> bytes:
        line, end, rest = self.buffer.partition(b"\n")
        if end:
            self.buffer = rest
            return line + end
        if self.ended:
            self.buffer = b""
            return line
        raise Pause


class Box:
    """``link``: False in a partition. ``on_post``: what happens to a post on its way."""

    now_running: Box

    def __init__(
        self, number: int, commune: str, centre: Centre, time: VirtualTime,
        make_key: Callable[[bytes], Any], *, liar: bool,
    ) -> None:  # fmt: skip
        self.id = f"box_{number}"
        self.commune = commune
        self.liar = liar
        self.centre = centre
        self.time = time
        self.disk = Disk()
        self.place: Any = DiskPath(self.disk)
        self.lan = f"10.{number}.0.0/16"
        self.skew_s = 0.0
        self.booted_at = time.true - 1000.0
        self.link = True
        self.policy_cuts = False
        self.engines = Engines(time)
        self.connection: Connection | None = None
        self.row = BoxRow(self.id, commune, "", "active")
        self.caller = Caller(self.id, "box", self.row, 2)
        self.on_post: Callable[[Box, str, bytes], bytes] = lambda box, path, body: box.centre.post(
            box.row, path, body
        )
        self.on_say: Callable[[Box, bytes], None] = lambda box, line: box.centre.say(box.row, line)
        self.on_file: Callable[[bytes], tuple[bytes, bool]] = lambda packed: (packed, False)
        self.truth: dict[tuple[str, str], int] = {}
        self.lives_on: set[str] = set()  # what its town hall calls, day by day
        self.asked: dict[str, tuple[FactSpool | None, int]] = {}
        self.ground: object = None  # on which the bulk lists were loaded last
        self.trials = Trials()
        self.expected: tuple[object, dict[tuple[str, str], int]] = (None, {})  # see checks.expected
        self.agent: Agent | None = None
        self._pausing = False
        self._enrol(make_key)

    def _enrol(self, make_key: Callable[[bytes], Any]) -> None:
        store = Store(self.place)
        store.prepare()
        write_twin(self.place / "box.key", b64(bytes(range(32))).encode() + b"\n")
        store.save_identity(
            Identity(1, self.id, self.commune, self.commune, b64(self.centre.root_public), "centre")
        )

    # -- life --------------------------------------------------------------------------------------------

    def config(self) -> BoxConfig:
        return BoxConfig(
            state=self.place, centre="https://boitiers.departement21.net:8445",
            centre_addresses=(CENTRE_ADDRESS,), probe_grace_s=1,
        )  # fmt: skip

    def run[R](self, function: Callable[[], R]) -> R:
        """Run code of this box: its clocks, its disk."""
        Box.now_running = self
        time, before = self.time, self.time.clocks
        time.clocks = self.skew_s, self.booted_at, 0.0
        try:
            return function()
        finally:
            time.clocks = before

    def now(self) -> int:
        """Trusted time of the agent, as ``Agent.now``."""
        assert self.agent is not None
        true = self.time.true
        return self.agent.session.clock.now(local=true + self.skew_s, monotonic=true - self.booted_at)

    def start(self) -> None:
        def boot() -> Agent:
            agent = Agent(self.config())
            agent.boot()
            with suppress(BoxError, OSError):
                agent.boot_lists()
            return agent

        self.trials = Trials()
        self.ground = None
        self.agent = self.run(boot)

    def kill(self) -> None:
        """The process dies with all that it had not saved."""
        self.agent = None
        if self.connection is not None:
            self.centre.hub.remove(self.connection.subscriber)
        self.connection = None

    def power_cut(self, rng: random.Random) -> None:
        self.kill()
        self.disk.power_cut(rng)
        self.engines.power_on()
        self.booted_at = self.time.true - 5.0

    # -- the feed ----------------------------------------------------------------------------------------

    def read(self) -> bool:
        """Connect, or read what arrived; False when the connection ended."""
        agent = self.agent
        assert agent is not None
        connection = self.connection
        try:  # the first lines; then more of the same response
            self.run(
                agent._follow_once if connection is None else lambda: agent._read(cast("Any", connection))
            )
        except Pause:
            return True
        except (BoxError, ProtocolError, OSError, ValueError):
            pass
        self.drop()
        return False

    def held(self, path: str) -> Connection:
        """The session's ``open_feed``."""
        if self.connection is not None:
            return self.connection
        if not self.link:
            raise CentreUnreachable("timed out")
        _, _, since = path.partition("since=")
        with self.time.at(skew_s=0.0, booted_at=0.0):
            try:
                self.connection = Connection(
                    self.centre.follow(self.caller, since), self.centre.told(self.id)
                )
            except Down:
                raise CentreUnreachable("refused") from None
            except BeffroiError as error:
                raise CentreRefused(error.http_status, error.code) from None
        return self.connection

    def drop(self) -> None:
        if self.connection is not None:
            self.centre.hub.remove(self.connection.subscriber)
            self.connection = None

    def post(self, path: str, body: bytes) -> bytes:
        """The session's ``post``."""
        if not self.link:
            raise CentreUnreachable("timed out")
        with self.time.at(skew_s=0.0, booted_at=0.0):
            try:
                return self.on_post(self, path, body)
            except Down:
                raise CentreUnreachable("refused") from None
            except BeffroiError as error:
                raise CentreRefused(error.http_status, error.code) from None
            except ProtocolError as error:
                raise CentreRefused(400, error.code) from None

    def say(self, line: bytes) -> None:
        """The session's ``say``: what a lost connection swallows, nobody hears of."""
        connection = self.connection
        if connection is None or connection.ended or connection.subscriber.closed:
            raise CentreUnreachable("no open feed")
        if self.link and line:
            with self.time.at(skew_s=0.0, booted_at=0.0):
                self.on_say(self, line)

    def snapshot(self, wanted: FileWanted) -> bytes:
        """The agent's ``MemoryDownload.fetch``."""
        path = self.centre.publisher.file(wanted.sha256, self.caller.may_follow) if self.centre.up else None
        if path is None or not self.link:
            raise CentreUnreachable("no such file")
        return b"".join(decompressed([path.read_bytes()], limit_bytes=wanted.size_bytes))

    # -- the other threads, one turn each ----------------------------------------------------------------

    def keep(self, *, slow: bool) -> None:
        """A turn of the policy thread; then as ``Agent._keep``, whose order it repeats."""
        agent = self.agent
        assert agent is not None

        def turn() -> None:
            self._prove_policies(agent)
            assert agent.enforcer.resolver is not None
            agent.enforcer.resolver.watch()
            agent.enforcer.restore()
            agent._save_tables()
            if slow:
                agent.enforcer.expire()
                agent.enforcer.watch_kernel()
                agent.spool.keep()
                agent._save(lambda: agent.store.save_time_floor(agent.session.clock.floor))

        self.run(turn)

    def _prove_policies(self, agent: Agent) -> None:
        while agent.policies._offered.qsize():
            self.trials.offer(*agent.policies._offered.get_nowait())
        in_force = agent.enforcer.policy_version
        trial = self.trials.due(in_force=in_force, monotonic=self.time.monotonic())
        if trial is None:
            return
        if agent.policies.prove(*trial):
            self.trials.proved()
        else:
            self.trials.failed(trial[0].policy_version, monotonic=self.time.monotonic())

    def load_lists(self) -> bool:
        """As one turn of ``ListKeeper.run``; False when something is still to be fetched or loaded."""
        agent = self.agent
        assert agent is not None
        keeper = agent.lists
        keeper._wake.clear()

        def turn() -> bool:
            keeper.bring_into_force()
            while keeper._fetch_missing(lambda: False):
                keeper.bring_into_force()
            if any(one.action is Action.WARN for one in keeper._chosen.values()):
                keeper._look_back()
            return not (keeper.waiting or keeper._not_before.keys() & LOADS)

        try:
            return self.run(turn)
        except (BoxError, ProtocolError, OSError):
            return False

    def meet(self, job: load.Meet) -> load.Result:
        """The diary's answer: what is new in a list, and called from here."""
        text, before = (
            DiskPath(self.disk, p).read_bytes().decode() if p else "" for p in (job.path, job.before)
        )
        met = [
            load.MetValue(
                Indicator(Kind.IP if value[0].isdigit() else Kind.DOMAIN, value),
                30,
                MET_DAYS,
                job.now - 1,
                job.now,
            )
            for value in sorted(self.lives_on & set(text.split()) - set(before.split()))
        ]
        return load.Result(met=tuple(met))

    def send(self) -> bool:
        """As one turn of ``Sender.run``; False when something waits for the centre."""
        agent = self.agent
        assert agent is not None
        sender = agent.sender
        sender._facts_at = float("-inf")
        return self.run(lambda: sender.send_facts(monotonic=self.time.monotonic()))

    def attacked_from(self, address: str) -> bool:
        """A flow of the attacker; True when it was refused (and counted)."""
        agent, key = self.agent, ("ip", address)
        if agent is None or key not in self.engines.enforced():
            return False

        def count() -> None:
            entry = agent.enforcer.entry_for_address(address)
            if entry is not None:
                self.truth[key] = self.truth.get(key, 0) + 1
                agent.spool.flow(entry.indicator, "in", "tcp", 22, entry.id, agent.now())

        self.run(count)
        return True

    def asked_name(self, name: str) -> None:
        agent = self.agent
        if agent is None or ("domain", name) not in self.engines.enforced():
            return

        def count() -> None:
            entry = agent.enforcer.entry_for_name(name)
            if entry is not None and entry.indicator.kind is Kind.DOMAIN:
                spool, since = self.asked.get(name, (None, 0))
                # Asked again within minutes it is the same attempt; a restarted agent knows of none.
                if spool is not agent.spool or agent.now() - since >= NAME_AGAIN_S:
                    self.asked[name] = agent.spool, agent.now()
                    self.truth["domain", name] = self.truth.get(("domain", name), 0) + 1
                agent.spool.name(entry.indicator, entry.id, agent.now())

        self.run(count)
