"""What one source may do at the front door: a flood of it is refused before anything behind the door works.

Purpose: HAProxy's rules and tables that count connections, requests, sign-ins and large bodies of a source (an IPv4
         address, a /64); other sources do not notice. What a person reads instead is in front_pages.py.
Source:  docs.haproxy.org/3.0/configuration.html (stick tables).
"""

from __future__ import annotations

from beffroi.supervise import front_pages
from beffroi.supervise.front_listeners import DRIVE_PATHS, Listener

REQUESTS_WINDOW_S, SIGN_INS_WINDOW_S = 10, front_pages.RETRY_AFTER_S
SOURCE_BODIES = 4
"""Of ``MAX_BODIES``: a town hall whose line is slow leaves the others some."""
# What stands in HAProxy's buffer (16 KiB, less 1 for what it adds) before a plane hears of the request.
_HEAD_BYTES, _BODY_BYTES = 8192, 4096
# Sources that one listener remembers, about 200 bytes each; the one that was silent longest is forgotten first.
_SOURCES = 50_000
_SOURCE = "src,ipmask(32,64)"


def rules(listener: Listener) -> list[str]:
    """Before all others that refuse or change something: a flood costs as little as it can."""
    refusal = "http-request deny deny_status 429"
    lines = [
        f"tcp-request connection track-sc0 {_SOURCE} table {listener.name}_sources",
        f"tcp-request connection reject if {{ sc_conn_cur(0) gt {listener.connections} }}",
        f"tcp-request connection reject if {{ sc_conn_rate(0) gt {listener.connections} }}",
        # Who waits before it sends, and is refused, sends nothing more: the connection would stay in the middle of its
        # request, and what the client asks next on it be taken for the body.
        "http-request set-var(txn.waits) bool(true) if { req.ver 1.1 } { req.hdr(expect) -m found }",
        "http-after-response set-header Connection close if { var(txn.waits) -m bool } { status ge 300 }",
        # No form of ours stands on another site. What a page there sends by the browser of who reads it would use up
        # the sign-ins of all who share their address.
        "http-request deny deny_status 403 if METH_POST { req.hdr(sec-fetch-site) cross-site same-site }",
    ]
    if listener.drive_requests:
        # A first synchronisation is thousands of small requests: nobody's pages may wait for it.
        lines += [
            f"acl drive path_beg {' '.join(DRIVE_PATHS)}",
            "acl drive path /dav",
            f"http-request track-sc2 {_SOURCE} table {listener.name}_pages if !drive",
            f"http-request track-sc2 {_SOURCE} table {listener.name}_drive if drive",
            f"{refusal} if !drive {{ sc_http_req_rate(2) gt {listener.requests} }}",
            f"http-request return status 429 hdr Retry-After {REQUESTS_WINDOW_S} if drive"
            f" {{ sc_http_req_rate(2) gt {listener.drive_requests} }}",
        ]
    else:
        lines.append(f"{refusal} if {{ sc_http_req_rate(0) gt {listener.requests} }}")
    lines += _bodies(listener)
    if listener.sign_ins:
        # The second form of step-up counts too: it takes a password or a code as well; so does a link.
        lines += [
            # As the planes read it: /%63onnexion/ is the same page.
            "acl sign_in path,url_dec -m beg /connexion/ /confirmer/ /premiere-connexion/ /partage/",
            f"http-request track-sc1 {_SOURCE} table {listener.name}_sign_ins if METH_POST sign_in",
            f"{refusal} if METH_POST sign_in {{ sc_http_req_rate(1) gt {listener.sign_ins} }}",
        ]
    return lines


def _bodies(listener: Listener) -> list[str]:
    """A blocking plane has few threads, and whoever sends a body slowly would hold one. The front takes in whole what
    fits its buffer; of what is ``large``, few are let through at a time."""
    few = f"{{ var(txn.large) -m bool }}{listener.blocking}"
    return [
        "http-request set-var(txn.large) bool(true) if { req.hdr(transfer-encoding) -m found }"
        f" or {{ req.hdr_val(content-length) gt {_BODY_BYTES} }} or {{ req.hdrs,length gt {_HEAD_BYTES} }}",
        # HTTP/2 need not say how long a body is.
        "http-request set-var(txn.large) bool(true) if { req.ver 2.0 } !METH_GET !{ req.hdr(content-length) -m found }",
        "acl large var(txn.large) -m bool",
        f"http-request track-sc3 {_SOURCE} table {listener.name}_bodies if {few}",
        f"http-request deny deny_status 429 if {few} {{ sc_conn_cur(3) gt {SOURCE_BODIES} }}",
    ]


def tables(listener: Listener) -> list[str]:
    """HAProxy's memory of sources, one table for each thing that is counted."""
    windows_s = {"sources": REQUESTS_WINDOW_S, "bodies": REQUESTS_WINDOW_S}
    if listener.drive_requests:
        windows_s |= dict.fromkeys(("pages", "drive"), REQUESTS_WINDOW_S)
    if listener.sign_ins:
        windows_s["sign_ins"] = SIGN_INS_WINDOW_S
    lines = []
    for kind, window_s in windows_s.items():
        connections = {"sources": f"conn_cur,conn_rate({window_s}s),", "bodies": "conn_cur,"}.get(kind, "")
        lines += [
            f"backend {listener.name}_{kind}",
            f"    stick-table type ipv6 size {_SOURCES} expire {2 * window_s}s"
            f" store {connections}http_req_rate({window_s}s)",
        ]
    return lines
