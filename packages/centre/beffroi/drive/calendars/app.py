"""Calendars and contacts: what lies between a program and Radicale, and the portal's own way in.

Purpose: sign-in by app password, limits, and one answer for what is absent and what is another's; then Radicale.
         /caldav/... for programs (the front lets nothing else through), /portal/... for the process web, which shows
         a grant.
Process: calendars (granian, WSGI, STATE/run/calendars.sock); no Django, no database.
Hostile: every header and body. Nobody's body is read before they signed in. Read, but not trusted: names and content of
         items, which Radicale and vobject parse.
Limits:  ``MAX_ITEM_BYTES`` an item, ``MAX_SAID_BYTES`` what sets properties, ``MAX_BODY_BYTES`` any other request;
         ``MAX_ITEMS`` entries and ``MAX_PROPS_BYTES`` of properties a collection, ``MAX_COLLECTIONS`` a home; rules
         that repeat within a day are refused. PROPFIND goes one level deep.
Fails:   closed. Acknowledged means on disk: Radicale writes, syncs, renames and syncs the directory before it answers.
Source:  RFC 4791, RFC 6352, RFC 4918; docs/internals/calendars.md.
"""

from __future__ import annotations

import base64
import binascii
import io
import logging
import re
from collections.abc import Callable, Iterable
from functools import partial
from http import HTTPStatus
from typing import Any
from urllib.parse import quote, unquote, urlsplit, urlunsplit

from radicale.pathutils import is_safe_filesystem_path_component

from beffroi.drive.calendars import effort, homes, lines, portal_door, questions, rules
from beffroi.drive.calendars.counted import MAX_PROPS_BYTES, PropsTooLong
from beffroi.drive.calendars.fullness import Fullness
from beffroi.drive.calendars.items import MAX_ITEMS
from beffroi.drive.calendars.programs import LOGIN_KEY, ItemTooLong
from beffroi.drive.calendars.store import MAX_ITEM_BYTES, WHO_KEY, Store, Stores
from beffroi.drive.calendars.warming import Warmer
from beffroi.drive.credentials import Credentials
from beffroi.drive.sign_ins import WINDOW_S, SignIns
from beffroi.drive.web.errors import words
from beffroi.drive.who import Who
from beffroi.lib import digits, logged
from beffroi.lib.config import Config, load
from beffroi.lib.errors import BeffroiError

PREFIX = "/caldav"
MAX_BODY_BYTES = 8 * 1024 * 1024
"""Of a question with a list of addresses; the front door refuses more."""
MAX_SAID_BYTES = 4 * MAX_PROPS_BYTES
"""Of a request that sets properties: what they are wrapped in is left out of what is kept."""
MAX_COLLECTIONS = 50
METHODS = "OPTIONS, GET, HEAD, PUT, DELETE, PROPFIND, PROPPATCH, REPORT, MKCOL, MKCALENDAR, MOVE"
_ALLOWED = frozenset(METHODS.split(", "))
_PASSED_ON = ("HTTP_ACCEPT", "HTTP_DEPTH", "HTTP_IF_MATCH", "HTTP_IF_NONE_MATCH", "HTTP_OVERWRITE",
              "HTTP_DESTINATION", "HTTP_HOST", "HTTP_PREFER", "HTTP_ACCEPT_ENCODING", "HTTP_USER_AGENT",
              "REQUEST_METHOD", "SERVER_NAME", "SERVER_PORT", "SERVER_PROTOCOL", "wsgi.version", "wsgi.url_scheme",
              "wsgi.errors", "wsgi.multithread", "wsgi.multiprocess", "wsgi.run_once")  # fmt: skip
_MOST_BYTES = {
    "PUT": MAX_ITEM_BYTES,
    "PROPFIND": MAX_BODY_BYTES,
    "REPORT": MAX_BODY_BYTES,
    **dict.fromkeys(("PROPPATCH", "MKCOL", "MKCALENDAR"), MAX_SAID_BYTES),
}
"""Of the body, by method; others have none."""
_CUT = re.compile(r"[?#;]")
"""Where a path ends in an address that is not quoted."""
PROPS_TOO_LONG = f"The properties of a collection have {MAX_PROPS_BYTES} bytes at most.\n"
TOO_BUSY = "Too many repeating entries to look through; take some out, or ask for less.\n"
_DECLARED = re.compile(rb"<!(?:DOCTYPE|ENTITY)", re.IGNORECASE)

_FINITE = (
    b'<?xml version="1.0" encoding="utf-8"?>\n<D:error xmlns:D="DAV:"><D:propfind-finite-depth/></D:error>'
)
log = logging.getLogger("beffroi.calendars")

Environ = dict[str, Any]
StartResponse = Callable[..., Any]


class Refused(Exception):
    """An answer that is no page: status, words, more headers."""

    def __init__(self, status: HTTPStatus, words: str | bytes = b"", **headers: str) -> None:
        super().__init__(status.phrase)
        self.status = status
        self.body = words.encode() if isinstance(words, str) else words
        self.headers = [(name.replace("_", "-"), value) for name, value in headers.items()]


class Calendars:
    """The WSGI application."""

    def __init__(self, config: Config) -> None:
        self._config = config
        self._credentials = Credentials(config)
        self._fullness = Fullness(config)
        self._stores = Stores(config, self._fullness.grown)
        self._portal = portal_door.PortalDoor(config, self._stores, self._fullness)
        self._warmer = Warmer()
        self.sign_ins = SignIns(config, "calendars")

    def __call__(self, environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        path = environ.get("PATH_INFO", "")
        try:
            if path == "/healthz":
                raise Refused(HTTPStatus.OK, "ok\n")
            if path.startswith(portal_door.PREFIX):
                status, body = self._portal.answer(path, environ)
                raise Refused(status, body, Content_Type="application/json")
            return self._caldav(environ, start_response)
        except Refused as refused:
            return _answer(refused, environ, start_response)
        except Exception as error:  # noqa: BLE001 - outermost: one request fails, the process goes on
            log.error("a request failed: %s", type(error).__name__)
            return _answer(Refused(HTTPStatus.INTERNAL_SERVER_ERROR, "error\n"), environ, start_response)

    def _caldav(self, environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        method = environ["REQUEST_METHOD"]
        parts = _parts(_text(environ.get("PATH_INFO", "")))
        if method not in _ALLOWED:
            raise Refused(HTTPStatus.METHOD_NOT_ALLOWED, Allow=METHODS)
        who = self._sign_in(environ)
        if parts and parts[0] != who.person_id:
            raise Refused(HTTPStatus.NOT_FOUND)  # another's, another commune's, or nobody's: one answer
        if method == "PROPFIND" and environ.get("HTTP_DEPTH", "0").strip() not in ("0", "1"):
            raise Refused(HTTPStatus.FORBIDDEN, _FINITE, Content_Type="application/xml; charset=utf-8")
        if (method == "DELETE" and len(parts) < 2) or (method in ("PUT", "MOVE") and len(parts) != 3):
            raise Refused(HTTPStatus.FORBIDDEN, "Only entries are put and moved, never a collection.\n")
        body = _as_utf8(_body(environ, _MOST_BYTES[method])) if method in _MOST_BYTES else b""
        if method != "PUT" and _DECLARED.search(body):
            # In another encoding it meets defusedxml, by which Radicale parses: refused too, in worse words.
            raise Refused(HTTPStatus.BAD_REQUEST, "XML without a document type, please.\n")
        refused = questions.why_refused(body.decode()) if method != "PUT" and body else ""
        if refused == "vast":
            raise Refused(HTTPStatus.BAD_REQUEST, "Nobody asks for so much at once.\n")
        if refused == "far":
            raise Refused(
                HTTPStatus.FORBIDDEN, questions.TOO_FAR, Content_Type="application/xml; charset=utf-8"
            )
        try:
            store = self._stores.home(who.collectivite_id, who.person_id)
            target = self._check_room(method, parts, who, environ)
            if method == "MOVE" and homes.is_shared(parts[1]) != homes.is_shared(target[1]):
                moved = self._size(who, parts)
                self._fullness.require(
                    who.collectivite_id, who.person_id, target[1], moved, moved_bytes=moved
                )
            if method in ("PUT", "PROPPATCH", "MKCOL", "MKCALENDAR"):
                growth = len(body) - self._size(who, parts) if method == "PUT" else max(1, len(body))
                self._fullness.require(who.collectivite_id, who.person_id, (*parts, "", "")[1], growth)
            if method == "PUT":
                _require_quick(body.decode())
            inner = _passed_on(environ, who, parts, target, body)
            return _bounded(store, inner, start_response, partial(self._read_on, store, who, parts))
        except BeffroiError as error:
            raise Refused(HTTPStatus(error.http_status), f"{words(error)}\n") from None
        except OSError as error:
            log.error("calendars cannot be reached: %s", error.strerror)
            raise Refused(HTTPStatus.INSUFFICIENT_STORAGE) from None

    def _sign_in(self, environ: Environ) -> Who:
        """Errors: Refused."""
        address = (environ.get("HTTP_X_FORWARDED_FOR") or environ.get("REMOTE_ADDR") or "").strip()
        if self.sign_ins.refuses(address):
            raise _immune()
        login, password = _basic(environ.get("HTTP_AUTHORIZATION", ""))
        who = self._credentials.check(login, password) if login else None
        if who is None:
            # Whoever knows a password goes on: a town hall comes by one address, a neighbour's old password with it.
            if self.sign_ins.too_many(address):
                raise Refused(HTTPStatus.TOO_MANY_REQUESTS, Retry_After=str(int(WINDOW_S)))
            if login:
                self.sign_ins.failed(address, login, fetch_site=environ.get("HTTP_SEC_FETCH_SITE", ""))
            raise _ask_for_password()
        if self.sign_ins.refuses(address, who.collectivite_id):
            raise _immune()
        self.sign_ins.succeeded(address, who.login, who.app_password_id)
        return who

    def _read_on(self, store: Store, who: Who, parts: list[str]) -> None:
        home = homes.folder(self._config, who.collectivite_id) / homes.ROOT / who.person_id
        for name in parts[1:2] or [one.name for one in home.iterdir() if not one.name.startswith(".")]:
            self._warmer.want(store.storage, f"/{who.person_id}/{name}/")

    def _size(self, who: Who, parts: list[str]) -> int:
        home = homes.folder(self._config, who.collectivite_id) / homes.ROOT / who.person_id
        try:
            return home.joinpath(*parts[1:]).stat().st_size
        except (FileNotFoundError, NotADirectoryError):
            return 0

    def _check_room(self, method: str, parts: list[str], who: Who, environ: Environ) -> list[str]:
        """Return where an entry goes to. Errors: Refused."""
        target = parts
        if method == "MOVE":
            said = urlsplit(environ.get("HTTP_DESTINATION", ""))
            target = _parts(unquote(said.path))
            # Radicale unquotes an address before it takes it apart.
            is_one = "%" not in said.netloc and not _CUT.search("".join(target))
            if target[:1] != [who.person_id] or len(target) != 3 or not is_one:
                raise Refused(HTTPStatus.NOT_FOUND)
        home = homes.folder(self._config, who.collectivite_id) / homes.ROOT / who.person_id
        if method in ("PUT", "MOVE") and len(target) == 3:
            place = home / target[1]
            if not (place / target[2]).exists() and homes.count(place) >= MAX_ITEMS:
                raise Refused(HTTPStatus.INSUFFICIENT_STORAGE, f"A collection holds {MAX_ITEMS} entries.\n")
        if method in ("MKCOL", "MKCALENDAR") and homes.is_shared((*parts, "", "")[1]):
            raise Refused(HTTPStatus.FORBIDDEN, "Such a name is the mairie's.\n")
        if method in ("MKCOL", "MKCALENDAR") and homes.count(home) >= MAX_COLLECTIONS:
            raise Refused(HTTPStatus.INSUFFICIENT_STORAGE, f"A home holds {MAX_COLLECTIONS} collections.\n")
        return target


def _passed_on(environ: Environ, who: Who, parts: list[str], target: list[str], body: bytes) -> Environ:
    """What Radicale sees of a request: nothing that it could read otherwise than we did."""
    inner = {key: environ[key] for key in _PASSED_ON if key in environ}
    if "HTTP_DESTINATION" in inner:
        said = urlsplit(inner["HTTP_DESTINATION"])
        inner["HTTP_DESTINATION"] = urlunsplit(
            (said.scheme, said.netloc, quote("/".join((PREFIX, *target))), "", "")
        )
    return inner | {
        WHO_KEY: (who.person_id, who.role),
        LOGIN_KEY: who.login,
        # Without a charset, which Radicale would try first.
        "CONTENT_TYPE": environ.get("CONTENT_TYPE", "").partition(";")[0].strip(),
        "SCRIPT_NAME": PREFIX,
        # As text, which no WSGI server hands over: so Radicale makes names and addresses of it.
        "PATH_INFO": "/" + "/".join(parts) + _slash(environ, parts),
        "QUERY_STRING": "",
        "CONTENT_LENGTH": str(len(body)),
        "wsgi.input": io.BytesIO(body),
    }


def _bounded(
    store: Store, inner: Environ, start_response: StartResponse, spent: Callable[[], object]
) -> Iterable[bytes]:
    """Radicale's answer. ``spent``: called where there was no time for it. Errors: Refused."""
    try:
        with effort.bounded():
            answer: Iterable[bytes] = store.application(inner, start_response)
            return answer
    except effort.Spent:
        spent()
        raise Refused(HTTPStatus.INSUFFICIENT_STORAGE, TOO_BUSY) from None
    except ItemTooLong:
        raise Refused(HTTPStatus.REQUEST_ENTITY_TOO_LARGE) from None
    except PropsTooLong:
        raise Refused(HTTPStatus.INSUFFICIENT_STORAGE, PROPS_TOO_LONG) from None


def _require_quick(text: str) -> None:
    """An entry that keeps nobody busy who reads it. Errors: Refused."""
    if lines.keeps_busy(text):
        raise Refused(
            HTTPStatus.BAD_REQUEST, "So many lines, dates, or parameters of a line are not taken.\n"
        )
    if rules.repeats_within_a_day(text):
        raise Refused(HTTPStatus.FORBIDDEN, "A rule that repeats within a day is not taken.\n")
    if rules.walks_far(text):
        raise Refused(HTTPStatus.FORBIDDEN, "A rule that hardly ever comes is not taken.\n")
    if rules.changes_what_follows(text):
        raise Refused(
            HTTPStatus.FORBIDDEN,
            "One date that changes all later ones (RANGE) is not taken: end the series, and begin another.\n",
        )


def _answer(refused: Refused, environ: Environ, start_response: StartResponse) -> list[bytes]:
    headers = dict(refused.headers)
    headers.setdefault("Content-Type", "text/plain; charset=utf-8")
    body = refused.body or f"{refused.status.phrase}\n".encode()
    headers["Content-Length"] = str(len(body))
    start_response(f"{refused.status.value} {refused.status.phrase}", list(headers.items()))
    return [] if environ.get("REQUEST_METHOD") == "HEAD" else [body]


def _immune() -> Refused:
    return Refused(HTTPStatus.FORBIDDEN, "blocked by collective immunity\n")


def _ask_for_password() -> Refused:
    return Refused(HTTPStatus.UNAUTHORIZED, WWW_Authenticate='Basic realm="Beffroi", charset="UTF-8"')


def _text(path: str) -> str:
    """A path as WSGI hands it over. Errors: Refused."""
    try:
        return path.encode("latin-1").decode("utf-8")
    except UnicodeError:
        raise Refused(HTTPStatus.BAD_REQUEST) from None


def _parts(path: str) -> list[str]:
    """The parts of a path below ``PREFIX``. Errors: Refused for what no file may be named."""
    if path != PREFIX and not path.startswith(PREFIX + "/"):
        raise Refused(HTTPStatus.NOT_FOUND)
    parts = [part for part in path.removeprefix(PREFIX).split("/") if part]
    for part in parts:
        if part.startswith(".") or not part.isprintable() or not is_safe_filesystem_path_component(part):
            raise Refused(HTTPStatus.NOT_FOUND)
        if len(part.encode("utf-8", "replace")) > homes.MAX_NAME_BYTES:
            raise Refused(HTTPStatus.REQUEST_URI_TOO_LONG)
    return parts


def _slash(environ: Environ, parts: list[str]) -> str:
    return "/" if parts and environ.get("PATH_INFO", "").endswith("/") else ""


def _basic(header: str) -> tuple[str, str]:
    """("", "") for what is no Basic authorization (RFC 7617)."""
    scheme, _, encoded = header.partition(" ")
    if scheme.lower() != "basic" or len(encoded) > 2048:
        return "", ""
    try:
        login, _, password = base64.b64decode(encoded, validate=True).decode("utf-8").partition(":")
    except (binascii.Error, ValueError):
        return "", ""
    return login, password


def _body(environ: Environ, most_bytes: int) -> bytes:
    """The whole body. Errors: Refused."""
    text = environ.get("CONTENT_LENGTH") or ""
    if not text:
        if environ.get("HTTP_TRANSFER_ENCODING"):
            raise Refused(HTTPStatus.LENGTH_REQUIRED)
        return b""
    told = digits.number(text)
    if told is None:
        raise Refused(HTTPStatus.BAD_REQUEST)
    if told > most_bytes:
        # Read to its end all the same: whoever still sends does not hear an answer. The front lets no more come.
        while told <= MAX_BODY_BYTES and environ["wsgi.input"].read(64 * 1024):
            pass
        raise Refused(HTTPStatus.REQUEST_ENTITY_TOO_LARGE)
    body: bytes = environ["wsgi.input"].read(told)
    if len(body) != told:
        raise Refused(HTTPStatus.BAD_REQUEST)
    return body


def _as_utf8(body: bytes) -> bytes:
    """As Radicale would read it, so that what we looked at and what it reads is the same text."""
    try:
        body.decode()
    except UnicodeDecodeError:
        return body.decode("latin-1").encode()
    return body


def application() -> Calendars:
    """Made once in each process. Radicale and vobject quote what they cannot read: only our own words are logged."""
    logged.to_stderr(logging.CRITICAL)
    logging.getLogger("beffroi").setLevel(logging.INFO)
    made = Calendars(load())
    logging.getLogger("radicale").setLevel(logging.CRITICAL)
    made.sign_ins.start()
    return made
