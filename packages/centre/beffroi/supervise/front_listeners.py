"""The front door's three listeners: what each lets through, how much, and which plane serves it.

Purpose: a table; front.py writes HAProxy's configuration by it.
Source:  docs.haproxy.org/3.0/configuration.html.
"""

from __future__ import annotations

from dataclasses import dataclass

from beffroi.lib.config import Config

MAX_BODIES = 12
"""Large bodies that are on their way to a blocking plane at a time; the others wait their turn here."""
MAX_PORTAL_BODY_BYTES = 30 * 1024 * 1024
MAX_BOX_BODY_BYTES = 1024 * 1024
MAX_CALDAV_BODY_BYTES = 8 * 1024 * 1024
# A held stream is silent between two heartbeats (at most 300 s), a boîtier a minute longer; ordinary requests are not.
HELD_TIMEOUT = "390s"
DISCOVERY_HOSTS = ("mta-sts.", "autoconfig.", "autodiscover.")
DISCOVERY_PATHS = (
    "/.well-known/mta-sts.txt",
    "/mail/config-v1.1.xml",
    "/.well-known/autoconfig/mail/config-v1.1.xml",
    "/autodiscover/autodiscover.xml",
)
"""What mail servers and clients fetch under names of the communes' domains, and nothing else there."""
MAX_DISCOVERY_BODY_BYTES = 64 * 1024
DRIVE_PATHS = (
    "/remote.php/",
    "/ocs/",
    "/index.php/204",
    "/index.php/avatar",
    "/index.php/core/",
    "/index.php/apps",
    "/push/",
    "/status.php",
    "/dav/",
    "/public.php/dav",
    "/.well-known/webdav",
    "/coffre/octets/",
    "/coffre/envoi/",
    "/coffre/lien/",
    "/coffre/depot/",
    "/wopi/",
)
"""What clients of files ask for under the portal's name; the process drive answers. How a program gets its app password
(/index.php/login/v2) is the portal's: a person answers there."""

_ENROLMENT = "{ path /v1/enrol /v1/mail-token }"


@dataclass(frozen=True)
class Listener:
    """``address``: where it listens, "*" for everywhere."""

    name: str
    address: str
    port: int
    body_bytes: int
    rules: tuple[str, ...]
    connections: int
    requests: int
    sign_ins: int = 0
    """Limits of one source; 0: nobody signs in there."""
    blocking: str = ""
    """Of which requests few large ones are let through at a time (``front_limits``): " CONDITION", "" for all."""
    drive_requests: int = 0
    """Limit of one source on DRIVE_PATHS; 0: they do not exist there."""


def listeners(config: Config) -> tuple[Listener, ...]:
    """The portal's, the console's and the boîtiers', in this order."""
    boxes = "relays" if config.stream_relays else "stream"
    browser = (
        "acl held path /live",
        "http-request deny deny_status 404 if { path_beg /v1/ }",
        f"http-request set-timeout client {HELD_TIMEOUT} if held",
        "use_backend stream if held",
    )
    return (
        Listener(
            "portal",
            config.listen,
            config.portal_port,
            MAX_PORTAL_BODY_BYTES,
            (
                *_discovery(),
                *_caldav(),
                _windows(),
                *_grants(),
                *browser,
                "use_backend calendars-bodies if caldav large",
                "use_backend calendars if caldav",
                "use_backend drive-clients if drive !{ path_beg /coffre/ }",
                "use_backend drive if drive",
                "use_backend web-bodies if large",
                "default_backend web",
            ),
            config.portal_source_connections,
            config.portal_source_requests,
            config.portal_source_sign_ins,
            " !drive",
            config.drive_source_requests,
        ),
        Listener(
            "console",
            config.console_listen,
            config.console_port,
            MAX_PORTAL_BODY_BYTES,
            (*browser, "use_backend console-bodies if large", "default_backend console"),
            config.console_source_connections,
            config.console_source_requests,
            config.console_source_sign_ins,
        ),
        Listener(
            "box",
            config.listen,
            config.box_port,
            MAX_BOX_BODY_BYTES,
            (
                # The body of a boîtier's request stays open; it says at least an empty line each minute, or heartbeat.
                # What goes down is no sign of life: the kernel takes it for a peer that is long gone.
                f"timeout client {HELD_TIMEOUT}",
                "option independent-streams",
                "http-request deny deny_status 404 unless { path_beg /v1/ }",
                f"use_backend web-bodies if {_ENROLMENT} large",
                f"use_backend web if {_ENROLMENT}",
                f"use_backend {boxes}-held if METH_POST {{ path /v1/feed }}",
                f"default_backend {boxes}",
            ),
            _part(config.box_source_connections, config),
            _part(config.box_source_requests, config),
            blocking=f" {_ENROLMENT}",
        ),
    )


def _discovery() -> tuple[str, ...]:
    """Under a commune's own names only what finds mail settings is answered: no page, no sign-in, no cookie."""
    paths, most = " ".join(DISCOVERY_PATHS), MAX_DISCOVERY_BODY_BYTES
    return (
        f"http-request deny deny_status 404 if discovery !{{ path -i {paths} }}",
        "http-request del-header Cookie if discovery",
        f"http-request deny deny_status 413 if discovery {{ req.hdr_val(content-length) gt {most} }}",
    )


def _caldav() -> tuple[str, ...]:
    """Where programs look for calendars and contacts first (RFC 6764), and how much they send."""
    paths = "/.well-known/caldav /.well-known/caldav/ /.well-known/carddav /.well-known/carddav/ /caldav"
    # At the address that it was given. Others walk up from a folder to the root: for them it ends there.
    kde = "{ method PROPFIND } { path / } { req.hdr(user-agent) -m sub KIO/ }"
    return (
        f"http-request redirect location /caldav/ code 301 if {{ path {paths} }}",
        f"http-request redirect location /caldav/ code 301 if {kde}",
        "acl caldav path_beg /caldav/",
        "http-request return status 411 if caldav { req.hdr(transfer-encoding) -m found }",
        f"http-request deny deny_status 413 if caldav {{ req.hdr_val(content-length) gt {MAX_CALDAV_BODY_BYTES} }}",
    )


def _windows() -> str:
    """Before it connects a drive, Windows asks at the root whether this server speaks WebDAV; the pages do not."""
    agents = "DavClnt Microsoft-WebDAV-MiniRedir"
    asks = f"METH_OPTIONS {{ path / }} {{ req.hdr(user-agent) -m beg {agents} }}"
    return f"http-request redirect location /dav/ code 302 if {asks}"


def _grants() -> tuple[str, ...]:
    """Who signed in to pages is nobody at the process drive, but for the grants that pages give: one for each path.

    Bodies of files pass as they come, of any length; drive ends those that come too slowly.
    """
    named = (
        ("/coffre/octets", "beffroi_coffre_octets"),
        ("/coffre/envoi", "beffroi_coffre_envoi"),
        ("/coffre/lien", "beffroi_coffre_lien"),
        ("/coffre/depot", "beffroi_coffre_depot"),
    )
    return (
        # The request is for what was asked, whatever else its client would rather speak (RFC 9110, 7.8).
        "http-request del-header Upgrade if drive !{ path_beg /push/ }",
        "http-request del-header Cookie if drive !{ path_beg /coffre/ }",
        *(
            f"http-request set-header Cookie {name}=%[req.cook({name})] if {{ path_beg {path}/ }}"
            for path, name in named
        ),
    )


def _part(limit: int, config: Config) -> int:
    """What one of several front doors grants: the kernel deals connections out by their ports, not quite evenly."""
    return limit if config.box_fronts < 2 else -(-limit * 5 // (4 * config.box_fronts))
