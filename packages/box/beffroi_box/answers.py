"""What the running agent answers to its page. Reads the agent's parts; changes nothing.

Process: the thread "page" of the agent.
"""

from __future__ import annotations

import ipaddress
from typing import TYPE_CHECKING
from urllib.parse import quote

from beffroi_protocol.errors import ProtocolError
from beffroi_protocol.indicators import Indicator, Kind, normalise
from beffroi_protocol.messages import Entry
from beffroi_protocol.signing import fingerprint, public_bytes
from beffroi_protocol.threats import NEVER_LIFTED
from beffroi_protocol.unlock import Unlock, make_token

from beffroi_box import AGENT_VERSION
from beffroi_box.enrol import serial_of
from beffroi_box.found import read as read_network
from beffroi_box.local import Answer, AskBlock, AskEnrol, AskState, AskToken, Block, Request, State

if TYPE_CHECKING:
    from beffroi_box.agent import Agent


class Answers:
    def __init__(self, agent: Agent) -> None:
        self._agent = agent
        self._key = agent.store.key()
        public = public_bytes(self._key)
        self._serial, self._fingerprint = serial_of(public), fingerprint(public)

    def answer(self, request: Request) -> Answer:
        match request:
            case AskState(machine):
                return Answer(state=self._state(machine))
            case AskBlock(value):
                found = self._find(value)
                return Answer(block=self._block(*found)) if found else Answer()
            case AskToken(value):
                return self._token(value)
            case AskEnrol():
                return Answer(error="busy")

    def _state(self, machine: str) -> State:
        agent = self._agent
        report, network = agent.status.report, read_network(agent.config.state)
        desired = agent.enforcer.desired
        blocks = agent.blocked.recent.latest()
        for block in blocks:
            block.lift = block.direction == "out" and self._lifts(block.reason)
        return State(
            self._serial,
            self._fingerprint,
            AGENT_VERSION,
            enrolled=True,
            centre=agent.config.centre,
            collectivite=agent.identity.collectivite_name,
            connected=report.connected,
            heard_at=report.heard_at,
            stale=report.stale,
            trouble=report.trouble,
            resolver_trouble=report.resolver_trouble,
            disk_trouble=report.disk_trouble,
            settings_trouble=agent.config.settings_trouble,
            inspection=agent.enforcer.inspection.word,
            inspection_hung_at=agent.enforcer.inspection.hung_at,
            mode=network.plan.mode if network.plan else agent.enforcer.policy.mode,
            mode_trouble=network.trouble,
            entries=len(desired.hot) + len(desired.nets) + len(desired.names),
            lists=report.lists,
            policy_version=agent.enforcer.policy_version,
            blocks=blocks,
            changes=agent.policies.log.latest(),
            labels=agent.watch.named(machine) if machine else [],
            relay=agent.relay.word,
            relay_waiting=agent.relay.waiting,
        )

    def _find(self, value: str) -> tuple[Indicator, str, str, int] | None:
        """Return what blocks this address or name: indicator, entry or list, reason, end; None for nothing."""
        agent = self._agent
        try:
            address = str(ipaddress.ip_address(value))
        except ValueError:
            address = ""
        found: Entry | None
        if address:
            found = agent.blocked.entry_for_address(address)
            indicator = Indicator(Kind.IP, address)
        else:
            try:
                indicator = normalise(Kind.DOMAIN, value)
            except ProtocolError:
                return None
            found = agent.blocked.entry_for_name(indicator.value)
        spared = agent.enforcer.is_spared_address if address else agent.enforcer.is_spared_name
        if found is None or spared(indicator.value):
            return None
        return indicator, found.id, found.reason, found.expires_at

    def _block(self, indicator: Indicator, entry_id: str, reason: str, until: int) -> Block:
        known = [
            b
            for b in self._agent.blocked.recent.latest()
            if b.value == indicator.value and b.direction == "out"
        ]
        first = known[0].first_at if known else self._agent.now()
        last, count = (known[0].last_at, known[0].count) if known else (first, 1)
        return Block(
            indicator.kind.value, indicator.value, reason, entry_id, count, first, last,
            until=until, lift=self._lifts(reason),
        )  # fmt: skip

    def _lifts(self, reason: str) -> bool:
        policy = self._agent.enforcer.policy
        return policy.unlock and bool(policy.portal_url) and reason not in NEVER_LIFTED

    def _token(self, value: str) -> Answer:
        found = self._find(value)
        if found is None or not self._lifts(found[2]):
            return Answer(error="not_lifted")
        indicator, entry_id = found[:2]
        token = make_token(
            self._key, Unlock(1, self._agent.identity.box_id, entry_id, indicator, self._agent.now())
        )
        return Answer(link=f"{self._agent.enforcer.policy.portal_url}/debloquer/?jeton={quote(token)}")
