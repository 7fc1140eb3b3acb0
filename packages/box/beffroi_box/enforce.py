"""Makes kernel and resolver be what the feed and the policy demand.

Purpose: the one place that writes to the engines: deny entries at once, policies with proof of reach or rollback.
Process: the agent, as root. Called by the feed thread (deny entries), the policy thread and the keeper.
Fails:   deny entries are never rolled back: a policy's transaction does not touch their sets. Without the
         resolver, names wait for its return while addresses are enforced. Without disk, all goes on from memory.
Source:  docs/internals/box.md.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace

from beffroi_protocol.errors import ProtocolError
from beffroi_protocol.indicators import Indicator, Kind
from beffroi_protocol.messages import Entry, Policy, PolicyMessage
from beffroi_protocol.protected import Floor
from beffroi_protocol.table import Change, DecisionTable

from beffroi_box.bridgeprobe import lan_gets_out
from beffroi_box.client import Centre
from beffroi_box.config import BoxConfig
from beffroi_box.desired import Delta, Desired, Own, extras_of, lives_ms
from beffroi_box.doh import CANARY, DOH_NAMES
from beffroi_box.errors import PolicyInvalid, RulesRefused
from beffroi_box.facts import FactSpool
from beffroi_box.found import read as read_network
from beffroi_box.inspection import Inspection
from beffroi_box.kernel import Kernel
from beffroi_box.lanprobe import lan_reaches, probe_target, probe_version
from beffroi_box.places import forget, gateways, own_addresses, own_networks, translations
from beffroi_box.resolver import Resolver
from beffroi_box.ruleset import Site, ruleset

log = logging.getLogger("beffroi_box.enforce")

PROBE_PAUSE_S = 0.3
BRIDGE_PROBE_S = 6.0
"""An address by DHCP takes its time."""


def site_of(config: BoxConfig, centre: tuple[str, ...], kept: tuple[str, ...] = ()) -> Site:
    """The place of this box, as its rules need it. ``centre``: its addresses; ``kept``: those never blocked."""
    return Site(
        wan=config.wan,
        lan=config.lan,
        centre=centre,
        centre_kept=kept,
        centre_port=config.centre_port,
        forwarders=config.resolver_forward,
        resolver_port=config.resolver_port,
        nflog_group=config.nflog_group,
        masquerade=config.masquerade,
        mode=config.mode,
        page_port=config.page_port,
        probe_version=probe_version(config.lan_probe or probe_target(centre, config.centre_port)),
    )


@dataclass(frozen=True)
class Ground:
    """``loads`` counts how often all rules were loaded, which may have taken the lists' sets away; ``inspected`` how
    often the inspection engine needed the lists' names, 0 for never."""

    loads: int
    enforce: bool
    names: tuple[str, ...]
    networks: tuple[str, ...]
    inspected: int = 0


class Enforcer:
    """``now`` returns trusted epoch seconds."""

    def __init__(  # noqa: PLR0917 - made in one place
        self,
        config: BoxConfig,
        centre: Centre,
        kernel: Kernel,
        spool: FactSpool | None,
        now: Callable[[], int],
        committed: PolicyMessage | None,
    ) -> None:
        self._config = config
        self._centre = centre
        self._kernel = kernel
        self._spool = spool
        self._now = now
        self.resolver = Resolver(config) if config.resolver else None
        self.inspection = Inspection(config)
        self._lock = threading.Lock()
        self.message = committed
        self.policy = committed.policy if committed else Policy()
        self.site = self._site(self.policy)
        self._extras = extras_of(self.policy, self._own())
        self.desired = Desired(Floor(*self._extras))
        self._told: set[str] = set()
        self._loads = 0
        self._lacking = False
        """Loading all rules and entries failed, so the kernel lacks what is desired."""
        self._restore_due = False
        self._observing = False
        self._proving = False
        """A policy's rules are in force that nobody proved yet: what its proof says must be about these."""

    @property
    def policy_version(self) -> int:
        return self.message.policy_version if self.message else 0

    def ground(self) -> Ground:
        """What the bulk lists stand on now: when it changes, they are loaded again."""
        with self._lock:
            return Ground(self._loads, self.policy.enforce, *self._extras, self.inspection.bulk_wanted)

    # -- start -------------------------------------------------------------------------------------------

    def load(self, tables: Iterable[DecisionTable]) -> None:
        """Rules, then all deny entries in one transaction. Errors: RulesRefused."""
        with self._lock:
            self._report(self.desired.load(tables, now=self._now()))
            self._load_all()

    def _load_all(self) -> None:
        self._loads += 1
        self._lacking = True
        self._apply_own_rules()
        self._kernel.replace_all(
            lives_ms(self.desired.hot, now=self._now()), self.desired.networks(), self.desired.spares()
        )
        self._lacking = False
        self._refuse_names()

    def _apply_own_rules(self) -> None:
        """The rules of the policy in force. Errors: PolicyInvalid, RulesRefused."""
        observing = self.observes(self.policy)
        site = self._queued(self.policy, self.site)
        self._kernel.apply_rules(ruleset(self.policy, site, observing=observing))
        forget(site.gateways, self._config.own_interface)  # a bridge's rules must hear where they are
        self._observing = observing
        self.inspection.ask(wanted=self.policy.inspect, queue=site.queue)

    def observes(self, policy: Policy) -> bool:
        return policy.observe_until > self._now()

    def end_observation(self) -> bool:
        """Refuse by default from now on, when it is time; return True when that was done. Errors: RulesRefused."""
        with self._lock:
            if self._observing == self.observes(self.policy) or self._restore_due or self._proving:
                return False
            self._apply_own_rules()
            self._refuse_names()
            return True

    def refuse_for_a_while(self, address: str, life_s: int) -> bool:
        """Refuse a source here; return False for a protected one. Errors: RulesRefused."""
        with self._lock:
            excepted = self.desired.is_spared_address(address)
            if excepted or not self.policy.enforce or self.desired.is_protected(address):
                return False
            self._kernel.refuse_for_a_while(address, life_s * 1000)
            return True

    def look_at_itself(self) -> None:
        """Protect the addresses that this box, its LAN and the centre have now, and let the box go to its centre there:
        those of the box come by DHCP after its start, and change; a centre may move."""
        own, site = self._own(), self._site(self.policy)
        with self._lock:
            extras = extras_of(self.policy, own)
            if extras != self._extras and not self._proving:
                self._extras = extras
                self._enforce(self.desired.set_floor(Floor(*extras), now=self._now()))
            known = {*self.site.centre} >= {*site.centre} and {*self.site.centre_kept} == {*site.centre_kept}
            here = _heard(self.site) == _heard(site)
            if not self._proving and not (known and here):
                self.site, self._restore_due = site, True

    # -- deny entries ------------------------------------------------------------------------------------

    def apply(self, change: Change) -> int:
        """Enforce a change and return the local time at which it was enforced, in epoch milliseconds.

        Errors: RulesRefused when even a rebuild of the rules does not help; each further call tries that again.
        """
        with self._lock:
            return self._enforce(self.desired.change(change, now=self._now()))

    def expire(self) -> None:
        with self._lock:
            self._enforce(self.desired.expire(now=self._now()))

    def _enforce(self, delta: Delta) -> int:
        if self._lacking:
            self._load_all()
        elif delta.kernel:
            try:
                self._kernel.change(
                    lives_ms(delta.hot_add, now=self._now()),
                    sorted(delta.hot_remove),
                    delta.networks,
                    delta.spares,
                )
            except RulesRefused as error:
                log.warning("sets could not be changed (%s): all rules are loaded again", error)
                self._load_all()
        if delta.names:
            self._refuse_names()
        enforced_at_ms = int(time.time() * 1000)
        self._report(delta)
        return enforced_at_ms

    def entry_for_address(self, address: str) -> Entry | None:
        with self._lock:
            return self.desired.entry_for_address(address)

    def entry_for_name(self, name: str) -> Entry | None:
        with self._lock:
            return self.desired.entry_for_name(name)

    def watched_address(self, address: str) -> Entry | None:
        with self._lock:
            return self.desired.watched_address(address)

    def watched_name(self, name: str) -> Entry | None:
        with self._lock:
            return self.desired.watched_name(name)

    def is_spared_address(self, address: str) -> bool:
        with self._lock:
            return self.desired.is_spared_address(address)

    def is_spared(self, indicator: Indicator) -> bool:
        """Whether an exception covers a name, or all of an address or prefix."""
        with self._lock:
            if indicator.kind is Kind.DOMAIN:
                return self.desired.is_spared_name(indicator.value)
            return self.desired.is_spared_network(indicator.value)

    def is_spared_name(self, name: str) -> bool:
        with self._lock:
            return self.desired.is_spared_name(name)

    def is_protected(self, address: str) -> bool:
        with self._lock:
            return self.desired.is_protected(address)

    def _report(self, delta: Delta) -> None:
        news = [(entry, reason) for entry, reason in delta.refused if entry.id not in self._told]
        for entry, reason in news:
            self._told.add(entry.id)
            log.warning("entry %s refused: %s", entry.id, reason)
            if self._spool is not None:
                self._spool.refused(entry, reason, self._now())
        if news and self._spool is not None:
            self._spool.keep()  # the entry may be gone before the keeper comes, and nothing else tells of it

    # -- names -------------------------------------------------------------------------------------------

    def _doh_names(self) -> tuple[str, ...]:
        """While it observes nobody is cut from the resolver that they chose; browsers are asked to ask the box."""
        if self.policy.refuse_doh and not self.observes(self.policy):
            return DOH_NAMES
        return (CANARY,) if self.policy.redirect_dns else ()

    def _refuse_names(self) -> None:
        refused = set(self.desired.names if self.policy.enforce else ())
        refused.update(self.policy.canary_names)
        refused.update(self._doh_names())
        told = refused, self.desired.spared_names, self.desired.watched_names()
        if self.resolver is not None:
            self.resolver.refuse(*told)
        self.inspection.refuse(*told)

    def watch_kernel(self) -> None:
        """Load everything again when another program flushed the rules. Errors: RulesRefused."""
        if not self._kernel.has_rules():
            log.warning("the rules were gone from the kernel: loaded again")
            with self._lock:
                self._load_all()

    # -- policy ------------------------------------------------------------------------------------------

    def try_policy(self, message: PolicyMessage) -> str:
        """Apply a policy and prove it; return "" or why the previous one was restored.

        The lock is not held while probing: deny entries that arrive meanwhile are applied at once, and
        neither this transaction nor the rollback touches their sets.
        """
        try:
            extras = extras_of(message.policy, self._own())
            site = self._queued(message.policy, self._site(message.policy))
            floor = Floor(*extras)
            observing = self.observes(message.policy)
            text = ruleset(message.policy, site, observing=observing)
            # Whoever flushed the rules took the deny sets along; this text would declare them anew, empty.
            self.watch_kernel()
            with self._lock:
                loads = self._loads
                self._kernel.apply_rules(text)
                self._proving = True
        except (PolicyInvalid, RulesRefused, ProtocolError) as error:
            return str(error)
        if reason := self._unproved(message.policy):
            with self._lock:
                self._restore_due, self._proving = True, False
            trouble = self.restore()
            return f"{reason}; the previous rules are not back yet: {trouble}" if trouble else reason
        with self._lock:
            self._proving = False
            if self._loads != loads:
                # The previous rules were loaded again meanwhile, so it is they that reached the centre.
                return "the rules were loaded again during the proof"
            changed = _names_of(message.policy) != _names_of(self.policy)
            self.message, self.policy, self.site = message, message.policy, site
            self._extras = extras
            self._restore_due, self._observing = False, observing
            self.inspection.ask(wanted=self.policy.inspect, queue=site.queue)
            self._enforce(self.desired.set_floor(floor, now=self._now()))
            if changed:
                self._refuse_names()
        return ""

    def restore(self) -> str:
        """Load the proved rules, if a rollback is due or the centre moved; the keeper asks again until it is done.

        Return "" or what prevents it. Deny entries hold in the meantime: no policy contains them.
        """
        with self._lock:
            if not self._restore_due or self._proving:
                return ""
            try:
                self._apply_own_rules()
            except (PolicyInvalid, RulesRefused) as error:
                log.error("the previous rules could not be restored: %s", error)
                return str(error)
            self._restore_due = False
            return ""

    def _unproved(self, policy: Policy) -> str:
        end = time.monotonic() + self._config.probe_grace_s
        while not self._centre.reached():
            if time.monotonic() > end:
                return "the centre was not reached"
            time.sleep(PROBE_PAUSE_S)
        left = max(2.0, end - time.monotonic())
        return "" if self._lan_reaches(policy, left) else "the LAN did not reach the internet"

    def _lan_reaches(self, policy: Policy, seconds: float) -> bool:
        target = self._config.lan_probe
        # Without DHCP or without ``network`` a probe of a bridge would fail, whatever the policy says.
        bridged = (self._config.mode or policy.mode) == "bridge"
        if not target and (not bridged or read_network(self._config.state).proved):
            target = probe_target(self._centre.addresses(), self._config.centre_port)
        if target and self._config.mode == "bridge":
            bridge, wan = self._config.own_interface, self._config.wan
            return lan_gets_out(bridge, wan, target, max(seconds, BRIDGE_PROBE_S))
        return not target or lan_reaches(target, seconds)

    # -- this box ----------------------------------------------------------------------------------------

    def _queued(self, policy: Policy, site: Site) -> Site:
        """The kernel is asked only where it matters; without an engine there are no rules for one."""
        possible = policy.inspect and not self.inspection.missing()
        return replace(site, queue=self._kernel.queue_way() if possible else "")

    def _site(self, policy: Policy) -> Site:
        site = site_of(self._config, self._centre.addresses(), self._centre.proved())
        if (site.mode or policy.mode) != "bridge":
            # A router's rules need no more, and are not loaded again for a new lease.
            return replace(site, translations=translations(self._config.wan))
        interface = self._config.own_interface
        return replace(
            site,
            gateways=gateways(interface),
            own=own_addresses(interface),
            translations=translations(interface),
        )

    def _own(self) -> Own:
        forwarders = tuple(f.partition("@")[0] for f in self._config.resolver_forward)
        names = (self._config.centre_host,) if "." in self._config.centre_host else ()
        places = own_networks(self._config.own_interface, self._config.wan)
        if (self._config.mode or self.policy.mode) == "bridge":
            # Any machine of the LAN may have answered its DHCP; private networks are protected without this.
            places = tuple(place for place in places if ":" in place)
        # In one order: DNS has none, and lists are loaded again when what is protected changes.
        return Own(names=names, networks=tuple(sorted({*self._centre.proved(), *forwarders, *places})))


def _heard(site: Site) -> tuple[tuple[str, ...], ...]:
    """What of a place its routers say."""
    return site.gateways, site.own, site.translations


def _names_of(policy: Policy) -> tuple[object, ...]:
    """What of a policy the resolver follows."""
    return policy.enforce, policy.canary_names, policy.refuse_doh, policy.redirect_dns, policy.observe_until
