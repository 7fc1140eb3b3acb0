"""The agent's side of the relay: says what is wanted, fetches tokens with the box's own key, tells the counts.

Purpose: the relay's process starts when its socket appears (``beffroi-box-relay.path``), which is here as long as the
         policy in force asks for it, and from a start of the agent until that process says that nothing is left from
         before.
Process: a thread of the agent.
Fails:   without the centre there is no token, and mails wait on the relay's disk. Counts that no fact took up yet are
         lost with the agent; they serve people who look for a fault, and decide nothing.
Source:  docs/decisions/0045-relay-on-the-boitier.md.
"""

from __future__ import annotations

import fcntl
import socket
import struct
import threading
import time
from collections.abc import Callable

import msgspec
from beffroi_protocol.errors import UNDECODABLE
from beffroi_protocol.facts import MailRelayed
from beffroi_protocol.mail_token import MailToken, MailTokenRequest, make_request
from beffroi_protocol.relaying import Relay
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from beffroi_box.authority import authority
from beffroi_box.client import Centre
from beffroi_box.config import BoxConfig
from beffroi_box.errors import CentreRefused, CentreUnreachable
from beffroi_box.facts import FactSpool, new_id
from beffroi_box.local import LocalSocket
from beffroi_box.relaylink import (
    REQUESTS,
    AskMailToken,
    AskOrder,
    Order,
    RelayAnswer,
    RelayRequest,
    TellRelayed,
    socket_path,
)
from beffroi_box.store import Identity

LOOK_S = 1.0
SILENT_S = 60.0
ENOUGH_FACTS = 200
"""With so many on their way the counts are summed up here: evidence is never dropped from the spool."""
_SIOCGIFADDR = 0x8915


class RelayKeeper:
    def __init__(  # noqa: PLR0917 - made in one place
        self,
        config: BoxConfig,
        identity: Identity,
        key: Ed25519PrivateKey,
        centre: Centre,
        spool: FactSpool,
        now: Callable[[], int],
        wanted: Callable[[], Relay | None],
    ) -> None:
        self._config = config
        self._identity = identity
        self._key = key
        self._centre = centre
        self._spool = spool
        self._now = now
        self._wanted = wanted
        self._heard_at = float("-inf")
        self._counts: dict[str, TellRelayed] = {}
        self._ended = False
        self.waiting = 0
        self._trouble = ""

    @property
    def word(self) -> str:
        """See ``local.State``."""
        if self._wanted() is None:
            return "off" if self.waiting else ""
        if time.monotonic() - self._heard_at > SILENT_S:
            return "alone"
        return "held" if self.waiting and self._trouble else "on"

    def run(self, stopping: threading.Event) -> None:
        """Errors: OSError."""
        while not stopping.wait(LOOK_S):
            if not self._needed():
                continue
            served = LocalSocket(
                self._config,
                self.answer,
                path=socket_path(self._config),
                user=self._config.relay_user,
                requests=REQUESTS,
            )
            try:
                served.serve(_While(stopping, self._needed))
            finally:
                served.close()

    def _needed(self) -> bool:
        wanted = self._wanted() is not None
        self._ended = self._ended and not wanted
        return wanted or not self._ended

    def answer(self, request: RelayRequest) -> RelayAnswer:
        self._heard_at = time.monotonic()
        relay = self._wanted()
        match request:
            case AskOrder():
                return RelayAnswer(order=self._order(relay))
            case AskMailToken():
                return self._token(relay)
            case TellRelayed():
                self._count(request, relay)
                return RelayAnswer()

    def _order(self, relay: Relay | None) -> Order:
        try:
            pem = authority(self._config)
        except CentreUnreachable:
            pem = "unreadable"  # never the system's instead
        own = own_address(self._config.own_interface)
        owner = self._identity.collectivite_id
        return Order(relay, (own,) if own else (), self._centre.addresses(), pem, owner, self._now())

    def _token(self, relay: Relay | None) -> RelayAnswer:
        if relay is None:
            return RelayAnswer("off")
        request = make_request(self._key, MailTokenRequest(1, self._identity.box_id, self._now()))
        try:
            answer = msgspec.json.decode(
                self._centre.post_unsigned("/v1/mail-token", request.encode()), type=MailToken
            )
        except CentreRefused as error:
            return RelayAnswer(error.problem)
        except (CentreUnreachable, *UNDECODABLE):
            return RelayAnswer("unreachable")
        if answer.sender != relay.sender:
            return RelayAnswer("another_sender")  # the policy is on its way
        return RelayAnswer(login=answer.login, token=answer.token)

    def _count(self, told: TellRelayed, relay: Relay | None) -> None:
        self.waiting, self._trouble = told.waiting, told.trouble[:200]
        self._ended = told.ended
        labels = {device.label for device in relay.devices} if relay is not None else set()
        device = told.device if told.device in labels else ""
        known = self._counts.setdefault(device, TellRelayed(device, 0, 0, "", 0))
        known.sent += max(0, min(told.sent, 1_000_000))
        known.refused += max(0, min(told.refused, 1_000_000))
        known.reason = told.reason or known.reason
        if self._spool.waiting() >= ENOUGH_FACTS:
            return
        for one in self._counts.values():
            if one.sent or one.refused:
                self._spool.tell(
                    MailRelayed(new_id(), one.device, one.sent, one.refused, self._now(), one.reason)
                )
        self._counts.clear()


class _While:
    """Set when the agent stops, or nobody needs the relay's process any more."""

    def __init__(self, stopping: threading.Event, needed: Callable[[], bool]) -> None:
        self._stopping = stopping
        self._needed = needed

    def is_set(self) -> bool:
        return self._stopping.is_set() or not self._needed()


def own_address(interface: str) -> str:
    """The IPv4 address of an interface, "" for none."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as asking:
        try:
            found = fcntl.ioctl(asking.fileno(), _SIOCGIFADDR, struct.pack("256s", interface.encode()[:15]))
        except OSError:
            return ""
    return socket.inet_ntoa(found[20:24])
