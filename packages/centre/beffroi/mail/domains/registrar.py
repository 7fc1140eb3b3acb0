"""The process that holds the keys of providers of domains: ``python -m beffroi.mail.domains.registrar``.

Purpose: a zone that lies with OVH, Gandi and so on follows our plan when an administrator says so, and comes back.
Process: a system user of its own (``USER-registrar``): no database, no secret of ours. DNS, HTTPS to providers. Listens
         on STATE/registrar/registrar.sock for the console (SO_PEERCRED); keys come in there, go straight into
         STATE/registrar/keys (0600), and never out. One child a task (hands), with limits and an end.
Hostile: whoever asks; what a provider answers, which only the child reads.
Fails:   closed, one code. What is about to be changed is on disk before it is: a task that was cut off can be undone.
Source:  docs/decisions/0054-registrars-and-certificates.md; unix(7) SO_PEERCRED.
"""

from __future__ import annotations

import contextlib
import json
import logging
import os
import pwd
import re
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

from beffroi.lib import asked, clock, durable, programs
from beffroi.lib.config import Config
from beffroi.lib.ready import readable
from beffroi.mail.domains import providers

MAX_ANSWER_BYTES = 8 * 1024 * 1024
TASK_S = 50.0
"""A person waits, and the front door ends what takes a minute. What is left is done by the next try."""
_NAME = re.compile(r"(?=.{4,253}\Z)[a-z0-9_-]{1,63}(\.[a-z0-9_-]{1,63})+\Z")
_END = '{"end": true}\n'
_AGAIN = b'\n{"undo": true}\n'
"""Taken back in part: what is changed next joins it."""
log = logging.getLogger("beffroi.mail.registrar")
Answer = dict[str, Any]


def folder(state: Path) -> Path:
    return state / "registrar"


def socket_path(state: Path) -> Path:
    return folder(state) / "registrar.sock"


class Refused(Exception):
    """``code``: as ``hands.Trouble``; also request, none (no key), changed, slow, busy, nothing (to undo)."""

    def __init__(self, code: str) -> None:
        super().__init__(code)
        self.code = code


class Store:
    """Files of one domain: its key, what we wrote there, the steps of the last change. All 0600."""

    def __init__(self, state: Path, domain: str) -> None:
        if not _NAME.match(domain):
            raise Refused("request")
        self._base = folder(state) / "keys" / domain

    def _path(self, what: str) -> Path:
        return self._base.with_name(f"{self._base.name}.{what}")

    def read(self, what: str) -> Any:
        """Of "key" and "ours"; None if there is none or it cannot be read."""
        try:
            return json.loads(self._path(what).read_bytes())
        except (OSError, ValueError):
            return None

    def write(self, what: str, value: Any) -> None:
        data = json.dumps(value).encode()
        durable.write(self._path(what), (data,), mode=0o600, owner=(os.getuid(), os.getgid()))

    def forget(self, *kinds: str) -> None:
        for what in kinds:
            self._path(what).unlink(missing_ok=True)

    def steps(self) -> list[tuple[str, list[str], bool]]:
        """Of the last change, in order: add or remove, the record, whether we had written it before."""
        try:
            lines = self._path("last").read_text("utf-8").splitlines()
        except OSError:
            return []
        found = []
        for line in lines:
            with contextlib.suppress(ValueError):  # a line that a power cut left half written was not begun
                step = json.loads(line)
                if "doing" in step:
                    found.append((step["doing"], step["row"], step["ours"]))
        return found

    def begin(self) -> None:
        """A new change, or more of one that was cut off: that one is taken back as a whole."""
        try:
            told = self._path("last").read_text("utf-8")
        except OSError:
            return
        if told.endswith(_END):
            self.forget("last")
        elif not told.endswith("\n"):
            self.note(b"\n")

    def note(self, line: bytes) -> None:
        """One step, on disk when this returns."""
        descriptor = os.open(
            self._path("last"), os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_NOFOLLOW, 0o600
        )
        try:
            os.write(descriptor, line)
            os.fsync(descriptor)
        finally:
            os.close(descriptor)

    def changed_at(self) -> int:
        return self.noted()[0] // 1_000_000_000

    def noted(self) -> tuple[int, int]:
        """When something was last noted of the last change, in ns, and how much is by now; zeros where nothing is."""
        try:
            found = self._path("last").stat()
        except OSError:
            return 0, 0
        return found.st_mtime_ns, found.st_size


class Registrar:
    """Answers one request at a time a domain."""

    def __init__(self, config: Config) -> None:
        self._config = config
        self._busy: set[str] = set()
        self._lock = threading.Lock()

    def answer(self, request: bytes) -> Answer:
        """{"ok": true, ...} or {"ok": false, "code"}; "wrote": how many steps the last change has, where one was made
        or taken back now, also before a cut. No answer holds a key."""
        wrote: Answer = {}
        try:
            asked = json.loads(request)
            domain = str(asked["domain"])
            store = Store(self._config.state, domain)
            with self._alone(domain):
                before = store.noted()
                try:
                    answer = {"ok": True, **self._do(asked, domain, store)}
                finally:
                    if store.noted() != before:
                        wrote["wrote"] = len(store.steps())
        except (ValueError, TypeError, KeyError, AttributeError):
            answer = {"ok": False, "code": "request"}
        except Refused as error:
            answer = {"ok": False, "code": error.code}
        except OSError as error:
            log.error("%s", error.strerror)
            answer = {"ok": False, "code": "disk"}
        return answer | wrote

    @contextlib.contextmanager
    def _alone(self, domain: str) -> Any:
        with self._lock:
            if domain in self._busy:
                raise Refused("busy")
            self._busy.add(domain)
        try:
            yield
        finally:
            with self._lock:
                self._busy.discard(domain)

    def _do(self, asked: Answer, domain: str, store: Store) -> Answer:
        verb = asked["verb"]
        if verb == "state":
            return self._state(store)
        if verb == "keep":
            return self._keep(asked, domain, store)
        if verb == "forget":
            store.forget("key", "ours", "last")
            return {}
        if verb not in ("look", "apply", "undo"):
            raise Refused("request")
        kept = store.read("key")
        if not kept:
            raise Refused("none")
        if verb == "undo":
            return self._undo(domain, store, kept)
        task = {"records": asked["records"], "ours": store.read("ours") or []}
        if verb == "apply":
            task |= {"mark": asked["mark"], "replace": asked["replace"]}
        return self._run(verb, domain, kept, store, task) | {"ours": store.read("ours") or []}

    def _state(self, store: Store) -> Answer:
        kept = store.read("key") or {}
        return {
            "provider": kept.get("provider", ""),
            "since": kept.get("since", 0),
            "changed_at": store.changed_at() if store.steps() else 0,
            "steps": len(store.steps()),
        }

    def _keep(self, asked: Answer, domain: str, store: Store) -> Answer:
        """A key is kept when the provider let us in with it."""
        provider = providers.PROVIDERS.get(asked["provider"])
        if provider is None:
            raise Refused("request")
        keys = providers.credentials(provider, asked["keys"])
        if not keys:
            raise Refused("request")
        kept = {"provider": provider.name, "keys": keys, "since": clock.epoch_s()}
        self._run("look", domain, kept, store, {})
        store.forget("ours", "last")
        store.write("key", kept)
        log.info("%s: key of %s kept", domain, provider.name)
        return {}

    def _undo(self, domain: str, store: Store, kept: Answer) -> Answer:
        steps = store.steps()
        if not steps:
            raise Refused("nothing")
        answer = self._run("undo", domain, kept, store, {"journal": [step[:2] for step in steps]})
        if not answer["refused"]:
            store.forget("last")
        return answer

    def _run(self, verb: str, domain: str, kept: Answer, store: Store, more: Answer) -> Answer:
        """One child, its steps written down while it works. Errors: Refused."""
        options = {"pdns_server": self._config.powerdns_api} if kept["provider"] == "powerdns" else {}
        if not options.get("pdns_server", "-"):
            raise Refused("request")
        task = {"verb": verb, "domain": domain, "provider": kept["provider"], "keys": kept["keys"]}
        task |= {"options": options, "resolver_port": self._config.resolver_port, **more}
        ours = {tuple(one) for one in store.read("ours") or []}
        # What goes and was not ours is not ours when it is put back, either.
        theirs = {tuple(row) for doing, row, had in store.steps() if doing == "remove" and not had}
        theirs = theirs if verb == "undo" else set()
        answer: Answer = {"ok": False, "code": "slow"}
        began = False
        for line in self._lines(json.dumps(task).encode()):
            step = json.loads(line)
            if "doing" not in step:
                answer = step
                continue
            one = tuple(step["row"])
            if verb == "apply":
                if not began:
                    store.begin()
                store.note(json.dumps({**step, "ours": one in ours}).encode() + b"\n")
            elif not began:
                store.note(_AGAIN)
            began = True
            if step["doing"] == "remove" and one not in ours:
                theirs.add(one)
            added = step["doing"] == "add" and one not in theirs
            ours = ours | {one} if added else ours - {one}
            store.write("ours", sorted(ours))
        if began and answer["ok"] and verb == "apply":
            store.note(_END.encode())
        if not answer["ok"]:
            log.info("%s: %s: %s", domain, verb, answer["code"])
            raise Refused(str(answer["code"]))
        log.info("%s: %s done, %d refused", domain, verb, len(answer["refused"]))
        return answer

    def _lines(self, task: bytes) -> Any:
        """Lines that a child says until it ends or its time is over."""
        argv = (sys.executable, "-m", "beffroi.mail.domains.hands")
        child = subprocess.Popen(
            argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
        )
        assert child.stdin is not None and child.stdout is not None
        until, held = time.monotonic() + TASK_S, bytearray()
        try:
            with contextlib.suppress(BrokenPipeError):
                child.stdin.write(task)
                child.stdin.close()
            while (left := until - time.monotonic()) > 0 and len(held) < MAX_ANSWER_BYTES:
                if not readable(child.stdout, left):
                    return
                piece = os.read(child.stdout.fileno(), 65536)
                if not piece:
                    if child.wait(5):
                        yield b'{"ok": false, "code": "odd"}'
                    return
                held += piece
                while b"\n" in held:
                    line, _, rest = bytes(held).partition(b"\n")
                    held = bytearray(rest)
                    yield line
        finally:
            child.kill()
            child.wait()
            child.stdout.close()


def run(config: Config) -> None:
    os.umask(0o077)
    listener = asked.listen(socket_path(config.state))  # its group, of the directory, is the console's user
    programs.Ending()
    callers = {0, pwd.getpwnam(config.user).pw_uid if config.user else os.getuid()}
    registrar = Registrar(config)
    asked.serve(listener, lambda request, _caller: registrar.answer(request), callers=callers)


if __name__ == "__main__":
    sys.exit(programs.run(run))
