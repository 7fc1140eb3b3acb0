"""A profile by which an iPhone, an iPad or a Mac adds its person's calendars and contacts; the app for iOS asks for it.

Rule:    no password stands in it: the device asks for an app password.
Source:  Apple's "Configuration Profile Reference", CalDAV and CardDAV; docs/internals/drive-sync.md.
"""

from __future__ import annotations

import plistlib
from typing import Any
from urllib.parse import urlsplit
from uuid import NAMESPACE_URL, uuid5

from beffroi.drive.web.dav.call import MethodRefused
from beffroi.drive.web.messages import NO_STORE, Answer, Handler, Request
from beffroi.drive.who import Who

PATH = "/remote.php/dav/provisioning/apple-provisioning.mobileconfig"
NAME = "Beffroi"
_KINDS = (("CalDAV", "com.apple.caldav.account"), ("CardDAV", "com.apple.carddav.account"))
_HEADERS = (
    (b"content-type", b"application/x-apple-aspen-config; charset=utf-8"),
    (b"content-disposition", b'attachment; filename="beffroi.mobileconfig"'),
    NO_STORE,
)


def handler(base_url: str) -> Handler:
    """``base_url``: where programs reach this server."""

    async def give(request: Request) -> Answer:
        if request.method not in ("GET", "HEAD"):
            raise MethodRefused("GET", "HEAD")
        body = plistlib.dumps(_profile(base_url, request.signed_in))
        headers = (*_HEADERS, (b"content-length", str(len(body)).encode()))
        return Answer(200, headers, b"" if request.method == "HEAD" else body)

    return give


def _profile(base_url: str, who: Who) -> dict[str, Any]:
    address = urlsplit(base_url)
    server: dict[str, Any] = {
        "AccountDescription": NAME,
        "HostName": address.hostname or "",
        "Port": address.port or 443,
        "UseSSL": True,
        "Username": who.login,
    }
    accounts = [
        {
            **{kind + key: value for key, value in server.items()},
            **_payload(base_url, who, payload),
            "PayloadDisplayName": f"{NAME}, {kind}",
        }
        for kind, payload in _KINDS
    ]
    return {
        **_payload(base_url, who, "Configuration"),
        "PayloadContent": accounts,
        "PayloadDisplayName": NAME,
        "PayloadDescription": "Agenda et contacts de la collectivité",
        "PayloadRemovalDisallowed": False,
    }


def _payload(base_url: str, who: Who, kind: str) -> dict[str, Any]:
    """The same for the same person: a device that gets it again replaces what it has."""
    said = uuid5(NAMESPACE_URL, f"{base_url}/{who.person_id}/{kind}")
    return {
        "PayloadType": kind,
        "PayloadIdentifier": f"beffroi.{said}",
        "PayloadUUID": str(said).upper(),
        "PayloadVersion": 1,
    }
