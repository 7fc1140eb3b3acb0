"""The process that talks to outside sources: ``python -m beffroi.watch.sources.fetch``.

Purpose: fetch and parse what strangers publish, far from everything else.
Process: a system user of its own (``USER-fetch``): no database, no secret, no socket of the centre. It reads
         STATE/sources/ask and writes STATE/sources/brought. Each source is read by a child with limits of memory,
         CPU and time, of which ``CHILDREN`` run at once. Where no source is active nothing is asked, and nothing
         leaves the machine.
Input:   hostile: servers, archives, JSON, XML, and the files that operators give.
Fails:   closed: no answer, or a bad one, becomes a code on the source's page, and the list in force stays.
Source:  docs/internals/sources.md.
"""

from __future__ import annotations

import os
import resource
import signal
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import msgspec

from beffroi.lib import clock, waking
from beffroi.lib.config import load
from beffroi.watch.sources import handover, taxii, web
from beffroi.watch.sources.errors import Crashed, NotText, SourceError, TooBig, TooSlow, WebPage
from beffroi.watch.sources.formats import misp, rss, stix, text
from beffroi.watch.sources.formats.values import Found
from beffroi.watch.sources.handover import Ask, Brought

CHILDREN = 3
GRACE_S = 15
POLL_S = 2.0
MEMORY_BYTES = 1536 * 1024 * 1024
CPU_S = 120
FILE_BYTES = 512 * 1024 * 1024
MAX_EVENTS = 400
"""Events of a MISP feed that one round reads, the newest first."""
DAY_S = 86400
_TEXTS = {"plain": text.plain, "csv": text.table, "hosts": text.hosts}
_TEXT_BOM = b"\xef\xbb\xbf"


# -- the child: one source ---------------------------------------------------------------------------------


def bring(state: Path, ask: Ask) -> None:
    """Fetch and parse one source and write the answer, whatever happens: what goes wrong becomes its code. Ends after
    ``ask.deadline_s`` seconds."""

    def too_slow(*_: object) -> None:
        raise TooSlow(ask.deadline_s)

    signal.signal(signal.SIGALRM, too_slow)
    signal.alarm(ask.deadline_s)
    try:
        brought, found = _bring(state, ask)
        signal.alarm(0)
        if found is not None:
            _write_values(state, ask, found)
    except SourceError as error:
        brought = Brought(ask.number, ask.source_id, code=error.code, detail=error.detail)
    except (MemoryError, RecursionError):
        brought = Brought(ask.number, ask.source_id, code=Crashed.code)
    signal.alarm(0)
    _write_answer(state, brought)


def _bring(state: Path, ask: Ask) -> tuple[Brought, Found | None]:
    if ask.given:
        answer = web.Answer(_given(handover.given_file(state, ask.source_id), ask.max_bytes))
        found, size_bytes = parse(ask, answer.body, None), len(answer.body)
    else:
        client = web.Web(ask)
        if ask.format == "taxii":
            answer, found = web.Answer(b""), taxii.read(ask, client, now_s=clock.epoch_s())
        else:
            answer = client.get(ask.address, conditional=True)
            if answer.not_modified:
                return Brought(ask.number, ask.source_id, not_modified=True), None
            found = parse(ask, answer.body, client)
        size_bytes = ask.max_bytes - client.bytes_left
    brought = Brought(
        ask.number,
        ask.source_id,
        values=len(found.values),
        invalid=found.invalid,
        unsupported=found.unsupported,
        size_bytes=size_bytes,
        etag=answer.etag,
        last_modified=answer.last_modified,
        notes=tuple(found.notes),
    )
    return brought, found


def parse(ask: Ask, data: bytes, client: web.Web | None) -> Found:
    """Read a body in the source's format. Errors: SourceError.

    ``client``: for formats that name further pages; None for a file that was given.
    """
    data = web.unpacked(data, ask.max_bytes)
    if ask.format == "rss":
        return rss.read(data)
    decoded = decoded_text(data)
    if ask.format in _TEXTS:
        return _TEXTS[ask.format](ask, decoded)
    bare = data.removeprefix(_TEXT_BOM)
    if ask.format == "stix":
        return stix.read(bare, now_s=clock.epoch_s())
    if ask.format == "misp_feed" and client is not None:
        return _events(ask, bare, client)
    return misp.read(bare)


def decoded_text(data: bytes) -> str:
    """Errors: NotText, WebPage."""
    if data[:2] in (b"\xff\xfe", b"\xfe\xff"):
        raise NotText("it is UTF-16")
    try:
        decoded = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise NotText(f"byte {error.start}") from None
    if "\0" in decoded:
        raise NotText("it holds null bytes")
    if decoded[:512].lstrip().lower().startswith(("<!doctype html", "<html", "<head", "<body")):
        raise WebPage
    return decoded


def _events(ask: Ask, data: bytes, client: web.Web) -> Found:
    """The events of a feed that changed within ``ask.days``."""
    found = Found()
    since = clock.epoch_s() - ask.days * DAY_S if ask.days else 0
    wanted = [uuid for uuid, changed in misp.manifest(data) if changed >= since]
    base = ask.address.rpartition("/")[0]
    for uuid in wanted[:MAX_EVENTS]:
        event = misp.read(client.get(f"{base}/{uuid}.json").body)
        for value in event.values:
            found.add(value)
        found.invalid += event.invalid
        found.unsupported += event.unsupported
    return found


def _given(path: Path, limit_bytes: int) -> bytes:
    with path.open("rb") as file:
        data = file.read(limit_bytes + 1)
    if len(data) > limit_bytes:
        raise TooBig(f"{limit_bytes // 1048576} MiB")
    return data


def _write_values(state: Path, ask: Ask, found: Found) -> None:
    kinds = set(ask.kinds)
    path = handover.values_file(state, ask.source_id)
    draft = path.with_suffix(".draft")
    with draft.open("w", encoding="utf-8", newline="\n") as file:
        for one in found.values:
            if not kinds or one.kind in kinds:
                file.write(f"{'-' if one.withdrawn else ''}{one.kind}\t{one.value}\t{one.valid_until}\n")
    draft.replace(path)


def _write_answer(state: Path, brought: Brought) -> None:
    path = handover.brought_file(state, brought.source_id)
    draft = path.with_suffix(".draft-answer")
    draft.write_bytes(msgspec.json.encode(brought))
    draft.replace(path)


def _child(state: Path, source_id: str) -> int:
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY_BYTES, MEMORY_BYTES))
    resource.setrlimit(resource.RLIMIT_CPU, (CPU_S, CPU_S + 5))
    resource.setrlimit(resource.RLIMIT_FSIZE, (FILE_BYTES, FILE_BYTES))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    ask = msgspec.json.decode(handover.ask_file(state, source_id).read_bytes(), type=Ask)
    bring(state, ask)
    return 0


# -- the parent: starts children, ends those that do not end -----------------------------------------------


@dataclass
class _Running:
    ask: Ask
    child: subprocess.Popen[bytes]
    until: float


class Fetcher:
    """Looks for questions and has them answered. ``step`` does what is due now."""

    def __init__(self, state: Path) -> None:
        self._state = state
        self._running: dict[str, _Running] = {}
        self._answered: dict[str, str] = {}

    def step(self) -> int:
        """Start and end children; return how many run."""
        for source_id, one in list(self._running.items()):
            if one.child.poll() is None and time.monotonic() > one.until:
                one.child.kill()
                one.child.wait()
            if one.child.poll() is not None:
                self._ended(source_id, one)
        for ask in handover.asks(self._state):
            if len(self._running) >= CHILDREN:
                break
            if ask.source_id in self._running or self._answered.get(ask.source_id) == ask.number:
                continue
            argv = (sys.executable, "-m", "beffroi.watch.sources.fetch", "--one", ask.source_id)
            child = subprocess.Popen(argv, stdin=subprocess.DEVNULL)
            self._running[ask.source_id] = _Running(ask, child, time.monotonic() + ask.deadline_s + GRACE_S)
        return len(self._running)

    def _ended(self, source_id: str, one: _Running) -> None:
        del self._running[source_id]
        self._answered[source_id] = one.ask.number
        try:
            brought = handover.read_brought(self._state, source_id)
        except handover.BroughtInvalid:
            brought = None
        if brought is None or brought.number != one.ask.number:
            _write_answer(self._state, Brought(one.ask.number, source_id, code=Crashed.code))

    def stop(self) -> None:
        for one in self._running.values():
            one.child.kill()
            one.child.wait()


def wake_socket(state: Path) -> Path:
    """A datagram here makes fetch look at once. Supervised by it, too."""
    return handover.root(state) / "brought" / "fetch.sock"


def main() -> int:
    config = load()
    if sys.argv[1:2] == ["--one"]:
        return _child(config.state, sys.argv[2])
    os.umask(0o007)
    fetcher = Fetcher(config.state)
    waking.look(wake_socket(config.state), lambda: 0.2 if fetcher.step() else POLL_S)
    fetcher.stop()
    return 0


if __name__ == "__main__":
    sys.exit(main())
