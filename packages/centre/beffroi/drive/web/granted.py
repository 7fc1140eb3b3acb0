"""Who a browser is on the drive's own addresses: the portal's signed grant, and nothing of another site.

Purpose: bytes of files go between browser and drive; the portal alone knows sessions, and gives a grant for minutes.
Hostile: cookies and headers; other sites that make a signed-in browser send requests.
Fails:   closed. The cookie is HttpOnly, SameSite=Strict and of its path alone. What changes something must besides
         come from our own pages: ``Origin`` names the host that was asked for, and where a browser sends none, the
         header ``X-Beffroi-File`` or a method that another site may not send without asking us first: there is no CORS.
Source:  docs/decisions/0074-bytes-by-grant.md.
"""

from __future__ import annotations

from collections.abc import Mapping
from http.cookies import CookieError, SimpleCookie
from typing import NamedTuple

from beffroi.core.planes.tokens import GrantRefused, read_grant
from beffroi.drive.web.messages import Request
from beffroi.drive.who import ROLES, Who
from beffroi.lib.errors import BeffroiError

OUT_PATH, IN_PATH = "/coffre/octets", "/coffre/envoi"
LINK_PATH, LINK_COOKIE = "/coffre/lien", "beffroi_coffre_lien"
"""For who holds a link: the cookie lies at LINK_PATH/SHARE/, so that two links stand beside one another."""
COOKIES = {OUT_PATH: "beffroi_coffre_octets", IN_PATH: "beffroi_coffre_envoi"}
DROP_PATH, DROP_COOKIE = "/coffre/depot", "beffroi_coffre_depot"
"""For who hands files in by a link; as above."""
FILE_HEADER = b"x-beffroi-file"


class ForeignOrigin(BeffroiError):
    """This request does not come from a page of the portal."""

    code = "drive.foreign_origin"
    http_status = 403


class OtherCollectivite(BeffroiError):
    """The page that sends or fetches is of another collectivité than the one that this person works for by now."""

    code = "drive.other_collectivite"
    http_status = 409


class Visit(NamedTuple):
    """``name``: of this visit, which goes on where the same browser opens the page again; to a page that takes files
    each look is another."""

    share_id: str
    collectivite_id: str
    name: str


def who(key: bytes, request: Request, path: str) -> Who:
    """The person of the grant for ``path``. Errors: GrantRefused."""
    return _who(key, _cookie(request, COOKIES[path]), path)


def who_asks(key: bytes, request: Request, path: str) -> Who:
    """The same where the process web asks on somebody's behalf: in a header, for no browser has such a grant."""
    scheme, _, text = request.header(b"authorization").partition(" ")
    return _who(key, text if scheme == "Bearer" else "", path)


def _who(key: bytes, text: str, path: str) -> Who:
    grant = read_grant(key, text, path=path)
    if grant.collectivite_id is None or grant.role not in ROLES:
        raise GrantRefused
    return Who(grant.subject_id, "", grant.collectivite_id, ROLES[grant.role], "", "", "")


def visit(key: bytes, request: Request, path: str = LINK_PATH, cookie: str = LINK_COOKIE) -> Visit:
    """Of who opened the page of a link. Errors: GrantRefused."""
    text = _cookie(request, cookie)
    grant = read_grant(key, text, path=path)
    if grant.collectivite_id is None:
        raise GrantRefused
    return Visit(grant.subject_id, grant.collectivite_id, grant.session or text)


def _cookie(request: Request, name: str) -> str:
    """Errors: GrantRefused."""
    jar: SimpleCookie = SimpleCookie()
    try:
        jar.load(request.header(b"cookie"))
    except CookieError:
        raise GrantRefused from None
    found = jar.get(name)
    return found.value if found else ""


def require_collectivite(who: Who, of: str) -> None:
    """``of``: whose page it is, "" where it does not say. Errors: OtherCollectivite."""
    if of not in ("", who.collectivite_id):
        raise OtherCollectivite


def require_own_origin(request: Request) -> None:
    """For what changes something. Errors: ForeignOrigin."""
    if request.header(b"origin"):
        if is_foreign(request.headers):
            raise ForeignOrigin
    elif request.method == "POST" and FILE_HEADER not in request.headers:
        raise ForeignOrigin


def is_foreign(headers: Mapping[bytes, bytes]) -> bool:
    """Whether a page of another site asks. Programs name the host that they ask, or no origin."""
    origin = headers.get(b"origin")
    return origin is not None and origin.lower().partition(b"://")[2] != headers.get(b"host", b"").lower()
