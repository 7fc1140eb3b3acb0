"""The only hand on Postfix's queue: what waits, what left encrypted or in clear, and for exact identifiers retry,
hold, release, return, delete; and the word by which it forgets where addresses led.

Purpose: Postfix lets root alone change its queue and reload it; console, worker and command line are not root.
Process: ``python -m beffroi.mail.sending.keeper``, root, no network: STATE/run/queue.sock, for root and the centre's
         Python user. Nothing but fixed Postfix commands is run; those that need no root run as ``nobody``, postdrop, or
         as Postfix's own user.
Hostile: the Python processes, were one taken over: they may do to the queue what an administrator may, nothing else.
         Queue files hold what strangers wrote: only Postfix's own programs read them. Of its log, where their servers'
         answers stand, shapes of lines are matched here (``left``, ``answers``); told are domains, numbers, senders.
Fails:   closed, one sentence; mail flows without this process.
Source:  postqueue(1), postsuper(1), postcat(1), postfix(1); lib/asked.py.
"""

from __future__ import annotations

import json
import os
import pwd
import re
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

from beffroi.lib import asked, programs
from beffroi.lib.config import Config
from beffroi.mail.engines import layout
from beffroi.mail.naming import base_address
from beffroi.mail.sending import answers, left

MAX_IDS = 500
MAX_LISTED = 2000
MAX_REASON = 300
MAX_LOG_BYTES = 8 * 1024 * 1024
MAX_PARTNERS = 20_000
MAX_SENDERS = 2_000
MAX_QUEUED = 50_000
"""Mails whose sender is remembered until they are gone."""
MAX_GONE = 5
"""Mails that leave while somebody asks whose they are."""
COMMAND_TIMEOUT_S = 20.0
_ID = re.compile(r"[0-9A-Za-z]{6,40}")  # never "ALL", which Postfix would take for every message
_NOBODY = "MAILER-DAEMON"
"""What postqueue says in the place of no sender; of any other it tells a domain."""
_LOW = ("nobody", "postdrop")
_LOGIN = re.compile(r"^named_attribute: sasl_username=(.+)$", re.MULTILINE)
_CLIENT = re.compile(r"^named_attribute: client_address=", re.MULTILINE)
_FLAGS = {"delete": "-d", "hold": "-h", "release": "-H", "return": "-f"}
Answer = dict[str, Any]


def socket_path(config: Config) -> Path:
    return config.run / "queue.sock"


class Keeper:
    def __init__(self, config: Config) -> None:
        self._etc = str(layout.Paths(config.state).postfix / "etc")
        self._log = config.log / "postfix.log"
        self._is_root = os.getuid() == 0
        self._senders: dict[bytes, str] = {}

    def answer(self, request: bytes, _: socket.socket) -> Answer:
        """One request, one answer: {"ok": true, ...} or {"ok": false, "why": SENTENCE}."""
        try:
            wanted = json.loads(request)
            verb, ids = wanted["verb"], wanted.get("ids", [])
        except (ValueError, TypeError, KeyError):
            return _refused("The request is malformed.")
        if verb == "list":
            return self._list(wanted)
        if verb == "left":
            return self._left(wanted.get("offset_bytes"))
        if verb == "reload":
            code, _said = self._run(["/usr/sbin/postfix", "-c", self._etc, "reload"])
            return {"ok": True} if code == 0 else _refused("Postfix is not running.")
        if not isinstance(ids, list) or not 0 < len(ids) <= MAX_IDS:
            return _refused("The request names no message, or too many.")
        if not all(isinstance(one, str) and _ID.fullmatch(one) for one in ids):
            return _refused("An identifier is malformed.")
        if verb == "retry":
            return self._retry(ids)
        if verb in _FLAGS:
            return self._change(_FLAGS[verb], ids, then_retry=verb in ("return", "release"))
        return _refused("There is no such verb.")

    def _list(self, wanted: Answer) -> Answer:
        """The oldest of all that waits; or each mail of these ``senders`` ("+detail" or not), or of these ``ids``."""
        code, output = self._run(["/usr/sbin/postqueue", "-c", self._etc, "-j"], user=_LOW)
        if code != 0:
            return _refused("Postfix does not tell its queue.")
        found = [json.loads(line) for line in output.splitlines()]
        for one in found:
            one["sender"] = "" if one["sender"] == _NOBODY else one["sender"]
        most, senders, ids = MAX_LISTED, wanted.get("senders"), wanted.get("ids")
        found.sort(key=lambda one: (one["arrival_time"], one["queue_id"]))
        if isinstance(ids, list):
            found, most = [one for one in found if one["queue_id"] in ids], len(found)
        known = self._origins([one["queue_id"] for one in found if not one["sender"]][:MAX_LISTED])
        told = [_shown(one, *known.get(one["queue_id"], ("", False))) for one in found]
        if isinstance(senders, list):
            told, most = [one for one in told if base_address(one["account"]) in senders], len(told)
        return {"ok": True, "total": len(told), "messages": told[:most]}

    def _origins(self, ids: list[str]) -> dict[str, tuple[str, bool]]:
        """Of mails without a sender: whose login handed each in, "" for nobody's; and whether it came by SMTP at all.
        The first that is gone ends postcat, so the rest is asked for again; some of many may stay unknown."""
        found: dict[str, tuple[str, bool]] = {}
        for _ in range(MAX_GONE):
            if not ids:
                break
            argv = ["/usr/sbin/postcat", "-c", self._etc, "-e", "-q", *ids]
            code, output = self._run(argv, user=("postfix", "postfix"))
            told = output.split("*** ENVELOPE RECORDS ")[1:]
            for one, records in zip(ids, told, strict=False):
                login = _LOGIN.search(records)
                found[one] = (
                    "@".join(login[1].split("@")[:2]) if login else "",
                    bool(_CLIENT.search(records)),
                )
            ids = ids[len(told) + 1 :] if code else []
        return found

    def _left(self, offset: object) -> Answer:
        """What left since this place of Postfix's log: domains and numbers, what each lane met, and whose recipients
        were refused for good. A log that was cut is read anew."""
        if not isinstance(offset, int) or offset < 0:
            return _refused("The place in the log is malformed.")
        try:
            descriptor = os.open(self._log, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
            with os.fdopen(descriptor, "rb") as file:
                start = offset if offset <= os.fstat(descriptor).st_size else 0
                file.seek(start)
                data = file.read(MAX_LOG_BYTES)
        except OSError:
            return _refused("Postfix's log cannot be read.")
        end = data.rfind(b"\n") + 1
        if not end and len(data) == MAX_LOG_BYTES:
            end = len(data)  # no line of a log is that long: go past it
        whole = data[:end]
        lines = whole.splitlines()
        counted, answered = left.count(lines), answers.count(lines, self._senders)
        for oldest in list(self._senders)[:-MAX_QUEUED]:
            del self._senders[oldest]
        rows = [[domain, how, n] for (domain, how), n in counted.most_common(MAX_PARTNERS)]
        return {
            "ok": True,
            "offset_bytes": start + len(whole),
            "more": len(data) == MAX_LOG_BYTES,
            "rows": rows,
            "lanes": [[*lane, n] for lane, n in answered.lanes.items()],
            "senders": [
                [one, answered.senders[one], answered.unknown[one], n]
                for one, n in answered.answered.most_common(MAX_SENDERS)
            ],
        }

    def _retry(self, ids: list[str]) -> Answer:
        """What is gone meanwhile is no failure."""
        for one in ids:
            self._run(["/usr/sbin/postqueue", "-c", self._etc, "-i", one], user=_LOW)
        return {"ok": True}

    def _change(self, flag: str, ids: list[str], *, then_retry: bool) -> Answer:
        code, _ = self._run(["/usr/sbin/postsuper", "-c", self._etc, flag, "-"], input_="\n".join(ids) + "\n")
        if code != 0:
            return _refused("Postfix refused to change its queue.")
        return self._retry(ids) if then_retry else {"ok": True}

    def _run(
        self, argv: list[str], *, user: tuple[str, str] | None = None, input_: str = ""
    ) -> tuple[int, str]:
        """``user``: and its group, where root is too much."""
        name, group = user if user and self._is_root else (None, None)
        try:
            done = subprocess.run(
                argv,
                user=name,
                group=group,
                extra_groups=[] if name else None,
                input=input_,
                capture_output=True,
                text=True,
                errors="replace",
                timeout=COMMAND_TIMEOUT_S,
                check=False,
                cwd="/",
                env={"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "LANG": "C", "MAIL_CONFIG": self._etc},
            )
        except (OSError, subprocess.TimeoutExpired):
            return 1, ""
        return done.returncode, done.stdout


def _shown(found: Answer, login: str, by_smtp: bool) -> Answer:
    """One message of ``postqueue -j``, only what a person needs. ``recipients``: [address, reason] each."""
    return {
        "id": found["queue_id"],
        "queue": found["queue_name"],
        "since_s": int(found["arrival_time"]),
        "size_bytes": int(found["message_size"]),
        "sender": found["sender"],
        "account": found["sender"] or login,
        "passed_on": by_smtp and not login,
        "recipients": [
            [one["address"], one.get("delay_reason", "")[:MAX_REASON]] for one in found["recipients"]
        ],
    }


def _refused(why: str) -> Answer:
    return {"ok": False, "why": why}


def run(config: Config) -> None:
    pwd.getpwnam("nobody")  # say now, not at the first question, that the system is odd
    listener = asked.listen(socket_path(config))
    programs.Ending()
    asked.serve(listener, Keeper(config).answer, callers={0, layout.python_owner(config).uid})


if __name__ == "__main__":
    sys.exit(programs.run(run))
