"""The relay for copiers: takes their mail on the LAN, keeps it on the disk, hands it to the centre.

Purpose: machines that know no modern mail send through the box, as the one mailbox that the policy names.
Process: ``beffroi-box relay``, its own user with CAP_NET_BIND_SERVICE; it exists while the policy asks for it, or
         mails are left from before. Two threads: SMTP with the LAN, and delivery. It holds no key: the agent fetches it
         a token of a minute.
Input:   hostile: the LAN (``relaysmtp``), and the centre's SMTP answers (``relayonward``).
Fails:   closed for what the policy does not name. Centre away: mails wait for ``GIVEN_UP_S``; then, and for what the
         centre refuses for good, the relay's own mailbox gets a notice. No relay wanted any more: what waits is kept as
         long, for it may be wanted again, and then deleted. Agent away: it ends after ``AGENT_AWAY_S``.
Source:  docs/decisions/0045-relay-on-the-boitier.md.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import smtplib
import threading
import time
from dataclasses import dataclass
from pathlib import Path

from beffroi_protocol.relaying import Device, Relay

from beffroi_box import relayhead
from beffroi_box.relaylink import AskMailToken, AskOrder, Order, TellRelayed, ask
from beffroi_box.relayonward import Later, Outcome, connect, hand_over
from beffroi_box.relayrules import PORTS
from beffroi_box.relaysmtp import READ_BYTES, Receiver
from beffroi_box.relayspool import Envelope, Spool, SpoolFull

log = logging.getLogger("beffroi_box.relay")

LOOK_S = 2.0
AGENT_AWAY_S = 60.0
TELL_EVERY_S = 30.0
PAUSE_FIRST_S, PAUSE_LAST_S = 5.0, 300.0
GIVEN_UP_S = 4 * 86400
CLOCK_SET_S = 60.0
"""Signed time that jumps by more: the box was off, or had none before."""
NEIGHBOURS = Path("/proc/net/arp")


@dataclass
class _Count:
    sent: int = 0
    refused: int = 0
    reason: str = ""


class Relaying:
    """``ports``: where it listens, at the addresses that the agent names."""

    def __init__(self, socket: Path, directory: Path, ports: tuple[int, ...] = PORTS) -> None:
        """Errors: OSError."""
        self._socket = socket
        self._ports = ports
        self._spool = Spool(directory)
        self._receiver = Receiver(self._spool, device_of, self._refused, self._received, self._now)
        self._order: Order | None = None
        self._owner = ""
        self._lock = threading.Lock()
        self._counts: dict[str, _Count] = {}
        self._told = (-1, "")
        self._wake = threading.Event()
        self._stopping = threading.Event()
        self._trouble = ""
        self._away = False
        self._ahead_s = self._counted_s = time.time() - time.monotonic()
        self._behind: set[str] = set()
        """Mails at which the connection broke: they go last, so that they hold up no other."""

    def run(self) -> None:
        """Until the agent wants no relay, or is away for long."""
        delivering = threading.Thread(target=self._deliver, name="deliver", daemon=True)
        delivering.start()
        try:
            asyncio.run(self._listen())
        finally:
            self._stopping.set()
            self._wake.set()
            # A mail whose end the centre has heard and whose answer is on its way is worth a moment.
            delivering.join(5)
            self._tell()
        if self._order is not None and self._order.relay is None and not self._spool.size()[0]:
            with contextlib.suppress(OSError, ValueError):
                ask(self._socket, TellRelayed("", 0, 0, "", 0, ended=True))

    # -- receiving ---------------------------------------------------------------------------------------

    async def _listen(self) -> None:
        open_: dict[tuple[str, int], asyncio.Server] = {}
        heard_at = time.monotonic()
        while True:
            try:
                order = await asyncio.to_thread(self._ask)
                heard_at = time.monotonic()
            except (OSError, ValueError):
                order = self._order
                if time.monotonic() - heard_at > AGENT_AWAY_S:
                    order = None
            if order is None:
                break
            self._obey(order)
            listen = order.listen if order.relay is not None else ()
            await self._bind(open_, {(address, port) for address in listen for port in self._ports})
            if order.relay is None and not self._spool.size()[0]:
                break
            await asyncio.sleep(LOOK_S)
        for server in open_.values():
            server.close()

    def _ask(self) -> Order | None:
        """Errors: OSError, ValueError."""
        return ask(self._socket, AskOrder()).order

    def _obey(self, order: Order) -> None:
        """Errors: OSError."""
        self._move_in(order.owner)
        self._order, self._receiver.relay = order, order.relay
        self._ahead_s = (order.now or time.time()) - time.monotonic()

    def _now(self) -> int:
        """Epoch seconds by the agent's signed time: a machine that starts with a clock of 2035 gives no mail up."""
        return int(time.monotonic() + self._ahead_s)

    def _move_in(self, owner: str) -> None:
        """Nothing of a collectivité that this box served before leaves in the name of another one. Errors: OSError
        (this process ends, and tries again)."""
        if owner in ("", self._owner):
            return
        if deleted := self._spool.move_in(owner):
            log.warning("%d mails of the collectivité that this box served before were deleted", deleted)
            self._note("", refused=deleted, reason="moved")
            self._wake.set()
        self._owner = owner

    async def _bind(self, open_: dict[tuple[str, int], asyncio.Server], wanted: set[tuple[str, int]]) -> None:
        for place in set(open_) - wanted:
            open_.pop(place).close()
        for address, port in wanted - set(open_):
            try:
                open_[address, port] = await asyncio.start_server(
                    self._receiver.serve, address, port, limit=READ_BYTES
                )
            except OSError as error:
                log.warning("port %d is not open: %s", port, error.strerror)

    def _received(self) -> None:
        self._wake.set()

    def _refused(self, device: str, reason: str) -> None:
        self._note(device, refused=1, reason=reason)

    def _note(self, device: str, *, sent: int = 0, refused: int = 0, reason: str = "") -> None:
        with self._lock:
            count = self._counts.setdefault(device, _Count())
            count.sent += sent
            count.refused += refused
            count.reason = reason or count.reason

    # -- delivering --------------------------------------------------------------------------------------

    def _deliver(self) -> None:
        pause_s, told_at = PAUSE_FIRST_S, float("-inf")
        while not self._stopping.is_set():
            self._wake.clear()
            try:
                self._trouble = self._deliver_all()
            except Exception as error:
                self._trouble = type(error).__name__
                log.exception("delivery failed")
            if self._trouble:
                log.info("mails wait: %s", self._trouble)
            if time.monotonic() - told_at > TELL_EVERY_S or not self._trouble:
                self._tell()
                told_at = time.monotonic()
            pause_s = min(PAUSE_LAST_S, pause_s * 2) if self._trouble else PAUSE_FIRST_S
            self._rest(pause_s)

    def _rest(self, pause_s: float) -> None:
        """Until there is something new, or for ``pause_s``; a new mail brings back no centre that is away."""
        until = time.monotonic() + pause_s
        while not self._stopping.is_set() and (left := until - time.monotonic()) > 0:
            if self._away:
                self._stopping.wait(left)
            elif self._wake.wait(left):
                return

    def _deliver_all(self) -> str:
        """Hand over what waits; return what holds up the rest, "" for nothing."""
        order, trouble, self._away = self._order, "", False
        if abs(by_s := self._ahead_s - self._counted_s) > CLOCK_SET_S:
            self._spool.clock_was_set(by_s, self._now())
            self._counted_s += by_s
        waiting = sorted(self._spool.waiting(), key=lambda one: one[0] in self._behind)
        if order is None or not waiting:
            return ""
        if (relay := order.relay) is None:
            self._away = True
            for mail_id, envelope in waiting:
                self._give_up(None, mail_id, envelope, "")
            return "off"
        try:
            smtp = connect(relay, order.centre, order.ca, self._token)
        except Later as error:
            self._away = True
            for mail_id, envelope in waiting:
                self._give_up(relay, mail_id, envelope, str(error))
            return str(error)
        try:
            for mail_id, envelope in waiting:
                if self._stopping.is_set():
                    break
                try:
                    trouble = self._one(smtp, relay, mail_id, envelope) or trouble
                except Later as error:
                    self._behind.add(mail_id)
                    self._give_up(relay, mail_id, envelope, str(error))
                    return str(error)
                self._behind.discard(mail_id)
        finally:
            smtp.close()
        return trouble

    def _token(self) -> tuple[str, str]:
        """Return (login, token). Errors: OSError, ValueError, Later (the centre gives none)."""
        answer = ask(self._socket, AskMailToken())
        if answer.error:
            raise Later(answer.error)
        return answer.login, answer.token

    def _one(self, smtp: smtplib.SMTP, relay: Relay, mail_id: str, envelope: Envelope) -> str:
        """Return what holds up some of its recipients. Errors: Later."""
        try:
            with self._spool.open(mail_id) as mail:
                outcome = hand_over(smtp, relay.sender, envelope.recipients, mail)
        except OSError as error:
            raise Later(f"the disk: {error.strerror}") from None
        self._settle(relay, mail_id, envelope, outcome)
        if outcome.later:
            self._give_up(relay, mail_id, envelope, outcome.why)
        return outcome.why if outcome.later else ""

    def _settle(self, relay: Relay, mail_id: str, envelope: Envelope, outcome: Outcome) -> None:
        if outcome.sent:
            self._note(envelope.device, sent=1)
        if outcome.refused and not self._undelivered(relay, envelope, outcome.refused, outcome.why):
            outcome.later += outcome.refused
        if outcome.later:
            left = Envelope(1, envelope.device, tuple(outcome.later), envelope.accepted_at, envelope.notice)
            self._spool.keep_for(mail_id, left)
        else:
            self._spool.forget(mail_id)

    def _give_up(self, relay: Relay | None, mail_id: str, envelope: Envelope, why: str) -> None:
        if self._now() - envelope.accepted_at > GIVEN_UP_S and self._undelivered(
            relay, envelope, envelope.recipients, why
        ):
            self._spool.forget(mail_id)
            self._behind.discard(mail_id)

    def _undelivered(
        self, relay: Relay | None, envelope: Envelope, recipients: list[str] | tuple[str, ...], why: str
    ) -> bool:
        """Tell the relay's own mailbox; of a notice itself, and where there is no relay, only the count is left. False
        where the disk has no room for a notice: the mail stays, or nobody would ever hear of it."""
        if envelope.notice or relay is None:
            self._note(envelope.device, refused=1, reason="onward")
            return True
        try:
            draft = self._spool.draft(notice=True)
            lines = relayhead.notice(
                sender=relay.sender,
                device=envelope.device,
                recipients=recipients,
                reason=why,
                mail_id=draft.id,
                now=self._now(),
            )
            draft.write(b"".join((b"." if one.startswith(b".") else b"") + one + b"\r\n" for one in lines))
            draft.keep(Envelope(1, envelope.device, (relay.sender,), self._now(), notice=True))
        except SpoolFull:
            log.warning("no room for a notice")
            return False
        self._note(envelope.device, refused=1, reason="onward")
        return True

    def _tell(self) -> None:
        waiting = self._spool.size()[0]
        with self._lock:
            counts, self._counts = self._counts, {}
        if not counts and (waiting, self._trouble) == self._told:
            return
        for device, count in (counts or {"": _Count()}).items():
            told = TellRelayed(device, count.sent, count.refused, count.reason, waiting, self._trouble)
            try:
                ask(self._socket, told)
            except (OSError, ValueError):
                self._note(device, sent=count.sent, refused=count.refused, reason=count.reason)
                continue
            self._told = (waiting, self._trouble)


def device_of(address: str, relay: Relay) -> Device | None:
    """Who of the policy's devices has this address of the LAN, by itself or by the kernel's table of neighbours."""
    mac = _neighbour(address)
    return next((one for one in relay.devices if one.at in (address, mac)), None)


def _neighbour(address: str) -> str:
    """The MAC address of a machine that talks to this one, "" when it is not known."""
    try:
        lines = NEIGHBOURS.read_text("ascii").splitlines()[1:]
    except (OSError, ValueError):
        return ""
    rows = (line.split() for line in lines)
    return next((row[3].lower() for row in rows if len(row) > 3 and row[0] == address), "")
