"""The SMTP server of the relay: what a machine of the LAN may hand over, and what it is told when it may not.

Purpose: takes mail from devices of the policy, for recipients of the policy, and answers for it only when it is on the
         disk.
Process: ``beffroi-box relay``, one thread. No TLS and no password: a copier of 2009 has neither, and is known by its
         place.
Input:   hostile: whatever is plugged into the LAN. Lines, time, connections, recipients and size are bounded. Only
         CR LF . CR LF ends a mail: a bare LF is mended to CR LF as text, with its dot doubled, so that no second mail
         can hide in one. Refusals are plain ASCII French: a technician reads them on the copier's display.
Fails:   closed: what is not known, not allowed or not on the disk is refused.
Source:  RFC 5321, RFC 1870, RFC 6152; docs/decisions/0045-relay-on-the-boitier.md.
"""

from __future__ import annotations

import asyncio
import re
import time
from collections import deque
from collections.abc import Callable

from beffroi_protocol.relaying import Device, Relay

from beffroi_box import relayhead
from beffroi_box.relayspool import Draft, Envelope, Spool, SpoolFull

IDLE_S = 120.0
MAX_LINE_BYTES = 998
READ_BYTES = 4096
MAX_HEAD_BYTES = 65536
LINES_A_CLOCK = 256
ENDLESS = 4
"""A mail that goes on for so many times the most that is taken has no end."""
MAX_CONNECTIONS, CONNECTIONS_A_MACHINE = 16, 4
MAX_RECIPIENTS_A_MAIL = 50
MAX_WRONG = 10
HOUR_S = 3600
_PATH = re.compile(r"<([^<>\s]*)>((?: [A-Za-z0-9-]+(?:=[!-~]+)?)*)", re.ASCII)
_ADDRESS = re.compile(r"[A-Za-z0-9!#$%&'*+/=?^_{|}~.-]{1,64}@[A-Za-z0-9-]+(\.[A-Za-z0-9-]+)+", re.ASCII)


class Refused(Exception):
    """``reason``: what is counted; the text is what the device is told."""

    def __init__(self, code: int, status: str, reason: str, text: str) -> None:
        super().__init__(text)
        self.code, self.status, self.reason, self.text = code, status, reason, text

    def line(self) -> str:
        return f"{self.code} {self.status} {self.text}"


class Receiver:
    """``relay`` is what the policy says now; ``device_of`` tells by its address who a machine is; ``count(device,
    reason)`` is told of each refusal."""

    def __init__(
        self,
        spool: Spool,
        device_of: Callable[[str, Relay], Device | None],
        count: Callable[[str, str], None],
        received: Callable[[], None],
        now: Callable[[], int],
    ) -> None:
        self.relay: Relay | None = None
        self._spool = spool
        self._device_of = device_of
        self._count = count
        self._received = received
        self.now = now
        self._taken: deque[float] = deque()
        self._open: dict[str, int] = {}

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One connection to its end; a machine that has too many is told so in words."""
        machine = str(writer.get_extra_info("peername")[0])
        here = self._open.get(machine, 0)
        try:
            if here >= CONNECTIONS_A_MACHINE or sum(self._open.values()) >= MAX_CONNECTIONS:
                writer.write(b"421 4.7.0 Trop de connexions : reessayez dans une minute\r\n")
                return
            self._open[machine] = here + 1
            try:
                await _Session(self, reader, writer, machine).run()
            finally:
                self._open[machine] -= 1
                if not self._open[machine]:
                    del self._open[machine]
        except (OSError, TimeoutError, asyncio.IncompleteReadError):
            pass  # it went away; what was not answered for is dropped
        finally:
            writer.close()

    def device(self, machine: str) -> tuple[Relay, Device]:
        """Errors: Refused."""
        relay = self.relay
        found = self._device_of(machine, relay) if relay is not None else None
        if relay is None or found is None:
            self._count("", "device")
            raise Refused(
                554,
                "5.7.1",
                "device",
                f"Appareil inconnu du boitier ({machine}) : a declarer dans ses reglages",
            )
        return relay, found

    def may_send(self, relay: Relay, now_s: float) -> None:
        """Errors: Refused."""
        while self._taken and self._taken[0] <= now_s - HOUR_S:
            self._taken.popleft()
        if len(self._taken) >= relay.hour:
            raise Refused(
                451, "4.7.1", "rate", f"Limite atteinte ({relay.hour} envois par heure) : reessayez plus tard"
            )

    def draft(self) -> Draft:
        """Errors: Refused."""
        try:
            return self._spool.draft()
        except SpoolFull:
            raise _full() from None

    def keep(self, draft: Draft, envelope: Envelope) -> None:
        """Errors: Refused."""
        try:
            draft.keep(envelope)
        except SpoolFull:
            raise _full() from None
        self._taken.append(time.monotonic())
        self._received()

    def refused(self, device: Device, reason: str) -> None:
        self._count(device.label, reason)


def _full() -> Refused:
    return Refused(452, "4.3.1", "full", "Boitier plein, centre injoignable : reessayez plus tard")


class _Session:
    def __init__(
        self, receiver: Receiver, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, machine: str
    ) -> None:
        self._receiver = receiver
        self._reader, self._writer, self._machine = reader, writer, machine
        self._sender: str | None = None
        self._recipients: list[str] = []
        self._wrong = self._head_bytes = 0
        self._head: list[bytes] | None = None

    async def run(self) -> None:
        try:
            self._relay, self._device = self._receiver.device(self._machine)
        except Refused as refusal:
            await self._say(refusal.line())
            return
        await self._say("220 boitier ESMTP")
        while self._wrong < MAX_WRONG:
            line = await self._line()
            if line is None:
                await self._mistake("500 5.5.2 Ligne trop longue")
                continue
            verb, _, rest = line.strip().partition(" ")
            if verb.upper() == "QUIT":
                await self._say("221 2.0.0 Au revoir")
                return
            try:
                await self._command(verb.upper(), rest.strip())
            except Refused as refusal:
                self._wrong += 1
                self._receiver.refused(self._device, refusal.reason)
                await self._say(refusal.line())
        await self._say("421 4.7.0 Trop d'erreurs")

    async def _command(self, verb: str, rest: str) -> None:
        """Errors: Refused."""
        match verb:
            case "HELO":
                self._reset()
                await self._say("250 boitier")
            case "EHLO":
                self._reset()
                lines = ("boitier", f"SIZE {self._relay.size_bytes}", "8BITMIME", "ENHANCEDSTATUSCODES")
                await self._say("\r\n".join(f"250{' ' if one is lines[-1] else '-'}{one}" for one in lines))
            case "MAIL":
                await self._mail(rest)
            case "RCPT":
                await self._rcpt(rest)
            case "DATA" if self._recipients:
                await self._data()
            case "DATA":
                await self._mistake("503 5.5.1 Destinataire d'abord (RCPT)")
            case "RSET":
                self._reset()
                await self._say("250 2.0.0 Bien")
            case "NOOP":
                await self._say("250 2.0.0 Bien")
            case "AUTH" | "STARTTLS":
                await self._mistake(
                    "502 5.5.1 Ni mot de passe ni chiffrement ici : desactivez-les sur l'appareil"
                )
            case _:
                await self._mistake("502 5.5.1 Commande inconnue")

    async def _mail(self, rest: str) -> None:
        """Any sender that is an address: what is seen is the policy's. Errors: Refused."""
        found = _PATH.fullmatch(rest[5:].strip()) if rest[:5].upper() == "FROM:" else None
        if found is None or (found[1] and not _ADDRESS.fullmatch(found[1])):
            raise Refused(501, "5.1.7", "sender", "Adresse d'expediteur mal ecrite")
        if self._sender is not None:
            await self._mistake("503 5.5.1 Un envoi est deja commence")
            return
        size = re.search(r"\bSIZE=([0-9]{1,15})\b", found[2], re.I)
        if size and int(size[1]) > self._relay.size_bytes:
            raise self._too_big()
        self._receiver.may_send(self._relay, time.monotonic())
        self._sender = found[1]
        await self._say("250 2.1.0 Bien")

    async def _rcpt(self, rest: str) -> None:
        """Errors: Refused."""
        if self._sender is None:
            await self._mistake("503 5.5.1 Expediteur d'abord (MAIL)")
            return
        found = _PATH.fullmatch(rest[3:].strip()) if rest[:3].upper() == "TO:" else None
        if found is None or not _ADDRESS.fullmatch(found[1]):
            raise Refused(501, "5.1.3", "recipient", "Adresse de destinataire mal ecrite")
        if not self._relay.takes(found[1]):
            allowed = ", ".join(self._relay.recipients)[:300]
            raise Refused(550, "5.7.1", "recipient", f"Destinataire non admis. Admis : {allowed}")
        if len(self._recipients) >= MAX_RECIPIENTS_A_MAIL:
            raise Refused(
                452, "4.5.3", "recipient", f"{MAX_RECIPIENTS_A_MAIL} destinataires au plus par envoi"
            )
        if found[1] not in self._recipients:
            self._recipients.append(found[1])
        await self._say("250 2.1.5 Bien")

    async def _data(self) -> None:
        """Errors: Refused."""
        self._receiver.may_send(self._relay, time.monotonic())
        draft = self._receiver.draft()
        try:
            await self._say("354 Terminez par un point seul sur sa ligne")
            await self._receive(draft)
            envelope = Envelope(1, self._device.label, tuple(self._recipients), self._receiver.now())
            # A disk that is slow to write holds up this thread, and nobody else has work here.
            self._receiver.keep(draft, envelope)
        except BaseException:
            draft.drop()
            raise
        finally:
            self._reset()
        await self._say("250 2.0.0 Recu : le boitier s'en charge")

    async def _receive(self, draft: Draft) -> None:
        """Read to the final dot, whatever is wrong with the mail; then say what was.

        Errors: Refused; TimeoutError (too slow, or without an end: the connection is dropped).
        """
        self._head, self._head_bytes, size, lines = [], 0, 0, 0
        wrong: Refused | None = None
        loop = asyncio.get_running_loop()
        # One clock for many lines: setting it anew for each took most of the time of a large scan.
        async with asyncio.timeout(IDLE_S) as clock:
            while (wire := await self._wire()) != b".":
                lines += 1
                if lines % LINES_A_CLOCK == 0:
                    clock.reschedule(loop.time() + IDLE_S)
                size += MAX_LINE_BYTES if wire is None else len(wire) + 2
                if size > ENDLESS * self._relay.size_bytes:
                    raise TimeoutError
                if wrong is None:
                    wrong = (
                        self._too_big() if size > self._relay.size_bytes else self._line_of_mail(draft, wire)
                    )
        if self._head is not None:  # no blank line: a head alone
            wrong = wrong or self._line_of_mail(draft, b"")
        if wrong is not None:
            raise wrong

    def _line_of_mail(self, draft: Draft, wire: bytes | None) -> Refused | None:
        """Take one line as it was on the wire, None for too long a one; return what is wrong with it."""
        if wire is None:
            return _malformed(f"ligne de plus de {MAX_LINE_BYTES} caracteres")
        if b"\x00" in wire:
            return _malformed("caractere nul")
        try:
            for line in wire.removeprefix(b".").replace(b"\r", b"").split(b"\n"):
                self._head = self._take(draft, self._head, line)
        except Refused as refusal:
            return refusal
        except SpoolFull:
            return _full()
        return None

    def _take(self, draft: Draft, head: list[bytes] | None, line: bytes) -> list[bytes] | None:
        """One line of the mail, dots undone. ``head``: its lines so far, None when it went on.

        Errors: Refused, SpoolFull.
        """
        if head is None:
            draft.write((b"." if line.startswith(b".") else b"") + line + b"\r\n")
            return None
        if line:
            head.append(line)
            self._head_bytes += len(line) + 2
            if self._head_bytes > MAX_HEAD_BYTES:
                raise _malformed("en-tetes trop longs")
            return head
        fields = relayhead.rewritten(
            head,
            sender=self._relay.sender,
            device=self._device.label,
            mail_id=draft.id,
            now=self._receiver.now(),
        )
        if fields is None:
            raise _malformed("en-tetes")
        for field in (*fields, b""):
            draft.write((b"." if field.startswith(b".") else b"") + field + b"\r\n")
        return None

    def _too_big(self) -> Refused:
        most = round(self._relay.size_bytes / 1_000_000)
        return Refused(552, "5.3.4", "size", f"Envoi trop grand : {most} Mo au plus")

    def _reset(self) -> None:
        self._sender, self._recipients = None, []

    # -- lines -------------------------------------------------------------------------------------------

    async def _line(self) -> str | None:
        """A command; None when it is too long or not ASCII."""
        async with asyncio.timeout(IDLE_S):
            wire = await self._wire()
        try:
            return wire.decode("ascii") if wire is not None and len(wire) <= 512 else None
        except UnicodeDecodeError:
            return None

    async def _wire(self) -> bytes | None:
        """One line without its CR LF; None, read to its end, when it is too long. Errors: as of the connection."""
        long = False
        while True:
            try:
                line = await self._reader.readuntil(b"\r\n")
            except asyncio.LimitOverrunError as error:
                long = True
                await self._reader.readexactly(error.consumed)
                continue
            return None if long or _longest(line) > MAX_LINE_BYTES else line[:-2]

    async def _say(self, text: str) -> None:
        async with asyncio.timeout(IDLE_S):
            self._writer.write(text.encode("ascii", "replace") + b"\r\n")
            await self._writer.drain()

    async def _mistake(self, text: str) -> None:
        self._wrong += 1
        await self._say(text)


def _longest(line: bytes) -> int:
    return max(map(len, line.rstrip(b"\r\n").split(b"\n")))


def _malformed(what: str) -> Refused:
    return Refused(554, "5.6.0", "content", f"Message mal forme : {what}")
