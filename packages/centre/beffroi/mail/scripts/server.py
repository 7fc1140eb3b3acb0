"""ManageSieve for people's own mail programs.

Purpose: put, look at, choose and delete Sieve scripts, with our rules (``rules``) in place of Dovecot's storage, which
         cannot refuse ``redirect``. TLS, passwords and guesses are Dovecot's: its ``managesieve-login`` hands over who
         has signed in, with a secret that nobody else has.
Process: ``managesieve``: USER, USER-pages; loopback only. One thread a connection, a few at once.
Hostile: every byte after sign-in; whoever on this machine connects without the secret learns our capabilities.
Fails:   closed: without the database a command is answered NO (TRYLATER); scripts in force go on in Dovecot.
Source:  RFC 5804.
"""

from __future__ import annotations

import base64
import binascii
import contextlib
import hmac
import logging
import re
import socket
import threading
import time
from collections import Counter
from collections.abc import Callable

from django.db import DatabaseError, connections

from beffroi.core.identity.actor import Actor
from beffroi.lib.config import Config
from beffroi.lib.errors import NotFound
from beffroi.mail.engines import layout
from beffroi.mail.models import Mailbox
from beffroi.mail.scripts import actions, protocol, queries, rules, words
from beffroi.mail.scripts.errors import (
    AccountHeld,
    ScriptActive,
    ScriptInvalid,
    ScriptNameTaken,
    ScriptsFull,
)
from beffroi.mail.scripts.protocol import Broken, Command, Malformed, TooLong, answer, quoted

log = logging.getLogger("beffroi.mail.scripts")
AT_ONCE = 64
AT_ONCE_OF_ONE = 4
GREETING_S = 60.0
IDLE_S = 1800.0
"""RFC 5804, 1.2: not less."""
LIFE_S = 3600.0
"""However busy: a password that was taken back closes the door within this time."""
SECRET = "managesieve.key"  # noqa: S105 - the name of the file
_XCLIENT = re.compile(r"(?:^| )ADDR=([0-9A-Fa-f:.]{2,45})(?: |$)")


_places: Counter[str] = Counter()
_places_lock = threading.Lock()


class Session:
    """One connection. ``address``: of the mail program, as Dovecot saw it; "" while nobody said."""

    def __init__(self, config: Config, connection: socket.socket) -> None:
        self._config = config
        self._stream = connection.makefile("rb")
        self._connection = connection
        self._login = ""
        self._address = ""
        self._ends_at = time.monotonic() + LIFE_S
        self._open: dict[str, Callable[[Command], str]] = {
            "AUTHENTICATE": self._authenticate,
            "XCLIENT": self._xclient,
        }
        self._signed_in: dict[str, Callable[[Command], str]] = {
            "HAVESPACE": self._have_space,
            "PUTSCRIPT": self._put,
            "CHECKSCRIPT": self._check,
            "LISTSCRIPTS": self._list,
            "SETACTIVE": self._activate,
            "GETSCRIPT": self._get,
            "DELETESCRIPT": self._delete,
            "RENAMESCRIPT": self._rename,
        }

    def serve(self) -> None:
        self._say(self._capabilities())
        while time.monotonic() < self._ends_at:
            try:
                command = protocol.read(self._stream, max_string_bytes=rules.MAX_SCRIPT_BYTES)
            except TooLong:
                self._say(answer("NO", words.fault(self._config, ScriptInvalid("long")), "QUOTA/MAXSIZE"))
                continue
            except Malformed:
                self._say(answer("NO", words.MALFORMED))
                continue
            except Broken:
                break
            if command.name == "LOGOUT":
                self._say(answer("OK", "Au revoir."))
                return
            self._say(self._answer(command))
        self._say(answer("BYE", "Au revoir."))

    def _say(self, text: str) -> None:
        self._connection.sendall(text.encode("utf-8"))

    def _answer(self, command: Command) -> str:
        if command.name == "CAPABILITY":
            return self._capabilities()
        if command.name == "NOOP":
            tag = f"TAG {quoted(command.strings[0])}" if command.strings else ""
            return answer("OK", "Rien à faire.", tag)
        known = (self._signed_in if self._login else self._open).get(command.name)
        if known is None:
            return answer("NO", words.UNKNOWN)
        try:
            return known(command)
        except (IndexError, ValueError):
            return answer("NO", words.MALFORMED)
        except ScriptInvalid as error:
            long = error.why == "long"
            return answer("NO", words.fault(self._config, error), "QUOTA/MAXSIZE" if long else "")
        except ScriptsFull:
            return answer("NO", words.FULL, "QUOTA/MAXSCRIPTS")
        except AccountHeld:
            return answer("NO", words.HELD)
        except ScriptActive:
            return answer("NO", words.ACTIVE, "ACTIVE")
        except ScriptNameTaken:
            return answer("NO", words.TAKEN, "ALREADYEXISTS")
        except NotFound:
            return answer("NO", words.ABSENT, "NONEXISTENT")
        except DatabaseError as error:
            log.warning("a script cannot be read or kept: %s", type(error).__name__)
            return answer("NO", words.LATER, "TRYLATER")
        finally:
            connections.close_all()  # a program stays connected for minutes and asks for seconds

    def _capabilities(self) -> str:
        lines = [
            '"IMPLEMENTATION" "Beffroi"',
            f'"SIEVE" {quoted(" ".join(layout.SCRIPT_EXTENSIONS))}',
            '"SASL" "PLAIN"' if not self._login else '"SASL" ""',
            *(['"XCLIENT" "ADDR"'] if not self._login else [f'"OWNER" {quoted(self._login)}']),
            '"MAXREDIRECTS" "0"',
            '"VERSION" "1.0"',
            'OK "Beffroi."',
        ]
        return "\r\n".join(lines) + "\r\n"

    # -- who it is: Dovecot's word ---------------------------------------------------------------------------

    def _xclient(self, command: Command) -> str:
        found = _XCLIENT.search(" ".join(command.strings))
        self._address = found.group(1) if found else ""
        return answer("OK")

    def _authenticate(self, command: Command) -> str:
        mechanism, initial = command.strings
        if mechanism.upper() != "PLAIN":
            return answer("NO", words.UNKNOWN)
        try:
            _, login, secret = base64.b64decode(initial, validate=True).split(b"\x00")
        except binascii.Error:
            raise ValueError("base64") from None
        if not hmac.compare_digest(secret, self._config.secret(SECRET)):
            return answer("NO", words.CLOSED)
        try:
            queries.owner_of(login.decode("utf-8"))
        except NotFound:
            return answer("NO", words.CLOSED)
        name = login.decode("utf-8").lower()
        with _places_lock:
            if _places[name] >= AT_ONCE_OF_ONE:
                return answer("NO", words.LATER, "TRYLATER")
            _places[name] += 1
        self._login = name
        self._connection.settimeout(IDLE_S)
        return answer("OK")

    def close(self) -> None:
        if self._login:
            with _places_lock:
                _places[self._login] -= 1
                if not _places[self._login]:
                    del _places[self._login]

    def _owner(self) -> tuple[Actor, Mailbox]:
        """Asked at each command: who left meanwhile is nobody. Errors: NotFound."""
        return queries.owner_of(self._login)

    # -- scripts ---------------------------------------------------------------------------------------------

    def _have_space(self, command: Command) -> str:
        (name,) = command.strings
        _, mailbox = self._owner()
        if command.number is None or command.number > rules.MAX_SCRIPT_BYTES:
            raise ScriptInvalid("long")
        rows = queries.scripts(mailbox)
        if not rows.filter(name=name).exists() and rows.count() >= rules.MAX_SCRIPTS:
            raise ScriptsFull(rules.MAX_SCRIPTS)
        return answer("OK")

    def _put(self, command: Command) -> str:
        name, text = command.strings
        actor, mailbox = self._owner()
        row = actions.put(actor=actor, mailbox=mailbox, name=name, text=text, address=self._address)
        return self._done(row.suspended_at is not None)

    def _check(self, command: Command) -> str:
        (text,) = command.strings
        self._owner()
        actions.check(text)
        return answer("OK")

    def _list(self, command: Command) -> str:
        if command.strings:
            raise ValueError("no argument")
        _, mailbox = self._owner()
        lines = [
            quoted(one.name) + (" ACTIVE" if one.in_force else "") + "\r\n"
            for one in queries.scripts(mailbox)
        ]
        return "".join(lines) + answer("OK")

    def _activate(self, command: Command) -> str:
        (name,) = command.strings
        actor, mailbox = self._owner()
        row = queries.named(mailbox, name) if name else None
        row = actions.activate(actor=actor, mailbox=mailbox, row=row, address=self._address)
        return self._done(row is not None and row.suspended_at is not None)

    def _done(self, rests: bool) -> str:
        return answer("NO", words.HELD) if rests else answer("OK")

    def _get(self, command: Command) -> str:
        (name,) = command.strings
        _, mailbox = self._owner()
        text = queries.named(mailbox, name).text
        return f"{{{len(text.encode('utf-8'))}}}\r\n{text}\r\n" + answer("OK")

    def _delete(self, command: Command) -> str:
        (name,) = command.strings
        actor, mailbox = self._owner()
        actions.remove(actor=actor, mailbox=mailbox, row=queries.named(mailbox, name))
        return answer("OK")

    def _rename(self, command: Command) -> str:
        old, new = command.strings
        actor, mailbox = self._owner()
        actions.rename(actor=actor, mailbox=mailbox, row=queries.named(mailbox, old), name=new)
        return answer("OK")


def listen(config: Config) -> socket.socket:
    return socket.create_server((layout.LOOPBACK, config.managesieve_port), backlog=64)


def serve(config: Config, listener: socket.socket) -> None:
    """Answer until the listener is closed."""
    room = threading.BoundedSemaphore(AT_ONCE)

    def one(connection: socket.socket) -> None:
        try:
            with connection, contextlib.suppress(OSError):
                connection.settimeout(GREETING_S)
                with contextlib.closing(Session(config, connection)) as session:
                    session.serve()
        finally:
            room.release()

    while True:
        try:
            connection, _ = listener.accept()
        except OSError:
            return
        if not room.acquire(blocking=False):
            with connection, contextlib.suppress(OSError):
                connection.sendall(answer("BYE", words.LATER, "TRYLATER").encode())
            continue
        threading.Thread(target=one, args=(connection,), daemon=True).start()
