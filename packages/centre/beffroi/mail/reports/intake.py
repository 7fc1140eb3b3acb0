"""The process that opens mails with reports: ``python -m beffroi.mail.reports.intake``.

Purpose: DMARC and TLS reports and complaints of strangers are unpacked and parsed far from everything else.
Process: a system user of its own (``USER-reports``): no database, no secret, no socket but the one that wakes it.
         Postfix writes STATE/reports/mail; this process reads one mail in one child, which gives up sockets and
         programs for good and has limits of memory, CPU and time; then it writes STATE/reports/read and deletes the
         mail. A mail is kept nowhere: the report is what matters.
Hostile: everything in the mail.
Fails:   closed: a mail that cannot be read becomes a code. Killed in between, it reads the same mail again, and who
         takes the result in knows a report that it has.
Source:  docs/decisions/0040-reports-and-probe.md.
"""

from __future__ import annotations

import contextlib
import logging
import os
import signal
import sys
import time
from pathlib import Path

import msgspec
from beffroi_protocol.errors import UNDECODABLE

from beffroi.lib import clock, durable, logged, seclusion, waking
from beffroi.lib.config import load
from beffroi.lib.ready import readable
from beffroi.mail.reports import arf, dmarc, opening, tlsrpt, values
from beffroi.mail.reports.errors import Crashed, NoReport, ReportRefused, TooMany
from beffroi.mail.reports.values import Read

POLL_S = 5.0
CHILD_S = 30.0
MEMORY_BYTES = 512 * 1024 * 1024
CPU_S = 20
MOST_WAITING = 2000
"""Results that wait to be taken in; beyond them mails stay mails."""
log = logging.getLogger("beffroi.reports")


def read(data: bytes, *, now_s: float) -> Read:
    """What one mail brings. Never raises for what the mail holds."""
    reporter, authentic = "", False
    try:
        message = opening.parse(data)
        reporter, authentic = opening.origin(message)
        if arf.is_one(message):
            return Read(reporter, authentic, complaint=arf.read(message))
        texts = opening.texts(message)
        if len(texts) > values.MAX_REPORTS:
            raise TooMany(f"{values.MAX_REPORTS} reports")
        found_dmarc, found_tls = [], []
        for text in texts:
            if text.lstrip(b"\xef\xbb\xbf \t\r\n").startswith(b"{"):
                found_tls += tlsrpt.read(text, now_s=now_s)
            else:
                found_dmarc.append(dmarc.read(text, now_s=now_s))
        if not found_dmarc and not found_tls:
            raise NoReport
        return Read(reporter, authentic, "", tuple(found_dmarc), tuple(found_tls))
    except ReportRefused as error:
        return Read(reporter, authentic, error.code)
    except (MemoryError, RecursionError):
        return Read(reporter, authentic, Crashed.code)


def read_apart(path: Path) -> bytes:
    """``read`` in a child that can do nothing else; its answer as JSON."""
    receiving, sending = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(receiving)
        _child(path, sending)
    os.close(sending)
    try:
        answer = _received(receiving, time.monotonic() + CHILD_S)
    finally:
        os.close(receiving)
        with contextlib.suppress(ProcessLookupError):
            os.kill(child, signal.SIGKILL)
        _, status = os.waitpid(child, 0)
    try:
        msgspec.json.decode(answer, type=Read)
    except UNDECODABLE:
        log.warning("a mail with a report was too much for its reader (status %d)", status)
        return msgspec.json.encode(Read(code=Crashed.code))
    return answer


def _received(descriptor: int, until: float) -> bytes:
    """What the child says before its time is over; b"" when it is."""
    answer = bytearray()
    while (left_s := until - time.monotonic()) > 0:
        if not readable(descriptor, left_s):
            break
        piece = os.read(descriptor, 256 * 1024)
        if not piece:
            return bytes(answer)
        answer += piece
        if len(answer) > values.MAX_ANSWER_BYTES:
            break
    return b""


def _child(path: Path, sending: int) -> None:
    """Never returns."""
    status = 1
    try:
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        seclusion.limit(memory_bytes=MEMORY_BYTES, cpu_s=CPU_S, file_bytes=0)
        seclusion.no_sockets_no_programs()
        with path.open("rb") as file:
            data = file.read(opening.MAX_MAIL_BYTES + 1)
        answer = msgspec.json.encode(read(data, now_s=clock.epoch()))
        while answer:
            answer = answer[os.write(sending, answer) :]
        status = 0
    finally:
        os._exit(status)


def read_waiting(state: Path) -> int:
    """Read every mail that Postfix put into the Maildir; return how many."""
    count, results = 0, values.read_folder(state)
    new = values.maildir(state) / "new"
    waiting = len(list(results.iterdir()))
    for path in sorted(new.iterdir()) if new.exists() else []:
        if waiting + count >= MOST_WAITING:
            break
        result = results / f"{clock.epoch_s()}-{path.name[:120]}.json"
        durable.write(result, (read_apart(path),), mode=0o640)
        path.unlink()
        count += 1
    return count


def wake_socket(state: Path) -> Path:
    """A datagram here makes it look at once. Supervised by it, too."""
    return values.read_folder(state) / "reports.sock"


def main() -> int:
    config = load()
    logged.to_stderr()
    os.umask(0o007)

    def step() -> float:
        read_waiting(config.state)
        return POLL_S

    waking.look(wake_socket(config.state), step)
    return 0


if __name__ == "__main__":
    sys.exit(main())
