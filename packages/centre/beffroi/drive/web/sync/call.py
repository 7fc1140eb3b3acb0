"""What handlers of sync clients share: the call of a request, and answers that list something that is no file."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping

from beffroi.drive.store.model import AbsentNode
from beffroi.drive.web.dav import paths, xml
from beffroi.drive.web.dav.call import Call
from beffroi.drive.web.dav.paths import Target
from beffroi.drive.web.dav.xml import Name
from beffroi.drive.web.messages import Request

type CallFor = Callable[[Request, Target], Awaitable[Call]]
"""The call of a request that is signed in. Errors: Unavailable."""


NOWHERE = Target("", ())
"""For a call that speaks of no file by its path."""


def own(path: str, prefix: str, call: Call) -> str:
    """What follows PREFIX/LOGIN/. Errors: AbsentNode (another's, or nobody's)."""
    login, _, rest = path.removeprefix(prefix).lstrip("/").partition("/")
    if not path.startswith(prefix + "/") or login.casefold() != call.who.login.casefold():
        raise AbsentNode("file")
    return rest.rstrip("/")


def require_restore(call: Call, prefix: str) -> None:
    """The destination of what comes back only has to be the place for it: where to is known here. Errors: AbsentNode,
    those of ``paths.local``."""
    path = paths.local(call.request.header(b"destination"), call.request.header(b"host"))
    if not own(path, prefix, call).startswith("restore/"):
        raise AbsentNode("destination")


async def asked(request: Request) -> tuple[Name, ...] | None:
    """The names of a PROPFIND; None for all there are. Errors: XmlRefused, TooLarge, ClientGone."""
    body = await xml.read(request, "propfind")
    found = body.find(f"{{{xml.DAV}}}prop") if body is not None else None
    return None if found is None else tuple(dict.fromkeys(xml.names(found)))


def entry(href: str, values: Mapping[Name, str], names: tuple[Name, ...] | None) -> str:
    """One response element. ``values``: the inner XML of what it has."""
    wanted = tuple(values) if names is None else names
    found = "".join(_element(name, values[name]) for name in wanted if name in values)
    absent = "".join(xml.empty(name) for name in wanted if name not in values)
    return xml.response(href, xml.propstats(found, absent))


def _element(name: Name, inside: str) -> str:
    tag = xml.empty(name)[1:-2]
    return f"<{tag}>{inside}</{tag.split(' ')[0]}>"
