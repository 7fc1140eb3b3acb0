"""The front door: HAProxy's configuration and its row of the process table.

Purpose: TLS for the portal, the console and the boîtiers; each request goes to the plane that serves it.
Process: haproxy; root only until its ports are bound, then user ``haproxy`` in a chroot of STATE/run, in the
         group of the Python processes, whose sockets it connects to.
Hostile: every byte from the network. Headers that planes trust are removed here and set anew. One source (an IPv4
         address, a /64) that floods a listener is refused before anything behind it works: connections are
         closed, requests and sign-ins get 429; other sources do not notice.
Fails:   closed: an unknown host name, a path of another listener or an oversized request is refused here.
Source:  docs.haproxy.org/3.0/configuration.html; Mozilla "intermediate" TLS of 2025.
"""

from __future__ import annotations

import base64
import grp
import hashlib
import http.client
import os
import signal
import socket
import ssl
from dataclasses import dataclass
from pathlib import Path

from beffroi.lib.config import Config
from beffroi.lib.process import Process
from beffroi.mail.certificates.places import installed
from beffroi.supervise import acme
from beffroi.supervise.certificates import front_names
from beffroi.supervise.secret_files import python_owner, supervisor_owner, write_file

MAX_PORTAL_BODY_BYTES = 30 * 1024 * 1024
MAX_BOX_BODY_BYTES = 1024 * 1024
MAX_CALDAV_BODY_BYTES = 8 * 1024 * 1024
MAX_URL_BYTES = 4096
# A held stream is silent between two heartbeats (at most 300 s), a boîtier a minute longer; ordinary requests are not.
HELD_TIMEOUT = "390s"
PAGE_CONNECTIONS = 4000
REQUESTS_WINDOW_S, SIGN_INS_WINDOW_S = 10, 60
# Sources that one listener remembers, about 200 bytes each; the one that was silent longest is forgotten first.
_SOURCES = 50_000
_SOURCE = "src,ipmask(32,64)"
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
MAX_DRIVE_URL_BYTES = 8192
"""A letter of French in a path takes up to six bytes."""
# Only the front may set these: planes take them for true.
_TRUSTED = (
    "X-Forwarded-For",
    "X-Forwarded-Host",
    "X-Forwarded-Proto",
    "X-Real-IP",
    "Forwarded",
    "X-Beffroi-Listener",
    "X-Beffroi-Door",
    "X-Beffroi-Token",
)


@dataclass(frozen=True)
class _Listener:
    name: str
    port: int
    body_bytes: int
    rules: tuple[str, ...]
    connections: int
    requests: int
    sign_ins: int = 0
    """Limits of one source; 0: nobody signs in there."""
    drive_requests: int = 0
    """Limit of one source on DRIVE_PATHS; 0: they do not exist there."""


def _listeners(config: Config) -> tuple[_Listener, ...]:
    boxes = "relays" if config.stream_relays else "stream"
    browser = (
        "acl held path /live",
        "http-request deny deny_status 404 if { path_beg /v1/ }",
        f"http-request set-timeout client {HELD_TIMEOUT} if held",
        "use_backend stream if held",
    )
    return (
        _Listener(
            "portal",
            config.portal_port,
            MAX_PORTAL_BODY_BYTES,
            (
                *_discovery(),
                *_caldav(),
                *_grants(),
                *browser,
                "use_backend calendars if caldav",
                "use_backend drive if drive",
                "default_backend web",
            ),
            config.portal_source_connections,
            config.portal_source_requests,
            config.portal_source_sign_ins,
            config.drive_source_requests,
        ),
        _Listener(
            "console",
            config.console_port,
            MAX_PORTAL_BODY_BYTES,
            (*browser, "default_backend console"),
            config.console_source_connections,
            config.console_source_requests,
            config.console_source_sign_ins,
        ),
        _Listener(
            "box",
            config.box_port,
            MAX_BOX_BODY_BYTES,
            (
                # The body of a boîtier's request stays open; it says at least an empty line each minute, or heartbeat.
                # What goes down is no sign of life: the kernel takes it for a peer that is long gone.
                f"timeout client {HELD_TIMEOUT}",
                "option independent-streams",
                "http-request deny deny_status 404 unless { path_beg /v1/ }",
                "use_backend web if { path /v1/enrol /v1/mail-token }",
                f"use_backend {boxes}-held if METH_POST {{ path /v1/feed }}",
                f"default_backend {boxes}",
            ),
            _part(config.box_source_connections, config),
            _part(config.box_source_requests, config),
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
    paths = "/.well-known/caldav /.well-known/carddav /caldav"
    return (
        f"http-request redirect location /caldav/ code 301 if {{ path {paths} }}",
        "acl caldav path_beg /caldav/",
        "http-request return status 411 if caldav { req.hdr(transfer-encoding) -m found }",
        f"http-request deny deny_status 413 if caldav {{ req.hdr_val(content-length) gt {MAX_CALDAV_BODY_BYTES} }}",
    )


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
        "http-request del-header Cookie if drive !{ path_beg /coffre/ }",
        *(
            f"http-request set-header Cookie {name}=%[req.cook({name})] if {{ path_beg {path}/ }}"
            for path, name in named
        ),
    )


def _part(limit: int, config: Config) -> int:
    """What one of several front doors grants: the kernel deals connections out by their ports, not quite evenly."""
    return limit if config.box_fronts < 2 else -(-limit * 5 // (4 * config.box_fronts))


def configuration(config: Config, *, drop_privileges: bool, box_front: str = "") -> str:
    """Return haproxy.cfg of the front door, or of one for boîtiers alone. ``drop_privileges``: started by root."""
    # After the chroot the sockets' paths begin at STATE/run.
    sockets = "" if drop_privileges else str(config.run)
    lines = ["# Written by the supervisor at each start.", "global"]
    if drop_privileges:
        group = grp.getgrgid(python_owner(config).gid).gr_name
        lines += ["    user haproxy", f"    group {group}", f"    chroot {config.run}"]
    lines += [
        f"    maxconn {_connections(config, box_front)}",
        *(["    nbthread 1"] if box_front else acme.admin_line(config)),
        "    log stderr format raw local0 notice",
        "    ssl-default-bind-options ssl-min-ver TLSv1.2 no-tls-tickets",
        "    ssl-default-bind-ciphers ECDHE-ECDSA-AES128-GCM-SHA256:ECDHE-RSA-AES128-GCM-SHA256:"
        "ECDHE-ECDSA-AES256-GCM-SHA384:ECDHE-RSA-AES256-GCM-SHA384:"
        "ECDHE-ECDSA-CHACHA20-POLY1305:ECDHE-RSA-CHACHA20-POLY1305",
        "    ssl-default-bind-curves X25519:P-256:P-384",
        "defaults",
        "    mode http",
        "    log global",
        "    option dontlognull",
        "    option http-no-delay",
        "    option http-ignore-probes",
        "    retries 3",
        "    retry-on conn-failure",
        "    timeout http-request 10s",
        "    timeout http-keep-alive 30s",
        "    timeout connect 3s",
        "    timeout client 60s",
        "    timeout server 60s",
    ]
    for listener in _listeners(config):
        if _serves(config, listener, box_front):
            lines += [*_frontend(config, listener), *_tables(listener)]
    if not box_front:
        lines += acme.frontend(config, _addresses(config, config.acme_port))
    else:
        lines += [
            "frontend alive",
            f"    bind unix@{_socket(config, box_front)} mode 600",
            "    monitor-uri /healthz",
        ]
    for name in ("web", "calendars", "drive", "console", "stream", "stream-held"):
        lines.append(f"backend {name}")
        if name.startswith("stream"):
            lines.append(f"    timeout server {HELD_TIMEOUT}")
        if name == "drive":
            lines.append("    timeout tunnel 1h")  # a sync client that waits to hear of changes
        lines.append(f"    server {name} unix@{sockets}/{name}.sock")
    for end in ("", "-held") if config.relay_names else ():
        # By its address: a box finds the nonce that it was given, and one relay sees whether it is used twice. One
        # that is away is back in a second; nobody goes to another meanwhile.
        lines += [f"backend relays{end}", "    balance source", "    hash-type map-based sdbm avalanche"]
        lines.append(f"    timeout server {HELD_TIMEOUT}")
        lines += [f"    server {name} unix@{sockets}/{name}{end}.sock" for name in config.relay_names]
    return "\n".join(lines) + "\n"


def _serves(config: Config, listener: _Listener, box_front: str) -> bool:
    if listener.name == "box":
        return bool(box_front) or not config.box_fronts
    return not box_front


def _connections(config: Config, box_front: str) -> int:
    """What one process holds: of several for boîtiers its part and a tenth more, since the kernel does not deal quite
    evenly; the front door beside them has people only."""
    if not config.box_fronts:
        return config.connections
    if not box_front:
        return min(config.connections, PAGE_CONNECTIONS)
    return -(-config.connections * 11 // (10 * config.box_fronts))


def _box_fronts(config: Config) -> tuple[str, ...]:
    return tuple(f"box-front-{number}" for number in range(1, config.box_fronts + 1))


def _socket(config: Config, name: str) -> Path:
    return config.run / f"{name}.sock"


def _frontend(config: Config, listener: _Listener) -> list[str]:
    pem = config.state / "tls" / "portal.pem"
    alpn = "http/1.1" if listener.name == "box" else "h2,http/1.1"
    crt = f"crt {pem}"
    folder = installed(config.state)
    if listener.name == "portal" and (acme.on(config) or any(folder.glob("*.pem"))):
        crt += f" crt {folder}"  # the name in the hello chooses; portal.pem stays the first
    binds = [f"bind {address} ssl {crt} alpn {alpn}" for address in _addresses(config, listener.port)]
    others = " or discovery" if listener.name == "portal" else ""
    names = " ".join(name for name in front_names(config) if ":" not in name)
    pages = " !drive" if listener.drive_requests else ""
    body = [
        *binds,
        *_limits(config, listener),
        *([f"acl discovery req.hdr(host),lower -m beg {' '.join(DISCOVERY_HOSTS)}"] if others else []),
        *(f"http-request del-header {header}" for header in _TRUSTED),
        "http-request set-header X-Forwarded-For %[src]",
        f"http-request set-header X-Beffroi-Listener {listener.name}",
        # A foreign Host header must never reach a plane, or it could appear in a link.
        f"http-request deny deny_status 421 unless {{ req.hdr(host),field(1,:),lower -m str {names} }}{others}",
        f"http-request return status 414 if {{ url_len gt {MAX_URL_BYTES} }}{pages}",
        *([f"http-request return status 414 if {{ url_len gt {MAX_DRIVE_URL_BYTES} }}"] if pages else []),
        f"http-request deny deny_status 413 if {{ req.hdr_val(content-length) gt {listener.body_bytes} }}{pages}",
        *(f"{line}" for line in listener.rules),
        "http-response del-header Server",
    ]
    if config.hsts_s and listener.name != "box":
        body.append(f'http-response set-header Strict-Transport-Security "max-age={config.hsts_s}"')
    return [f"frontend {listener.name}", *(f"    {line}" for line in body)]


def _limits(config: Config, listener: _Listener) -> list[str]:
    """What one source may do. First of all rules: a flood costs as little as it can."""
    refusal = "http-request deny deny_status 429"
    if listener.sign_ins:
        refusal = (
            f"http-request return status 429 content-type text/html;charset=utf-8 file {page_path(config)}"
            f" hdr Retry-After {SIGN_INS_WINDOW_S} hdr Cache-Control no-store hdr X-Content-Type-Options nosniff"
            f' hdr Content-Security-Policy "{_page_policy()}"'
        )
    rules = [
        f"tcp-request connection track-sc0 {_SOURCE} table {listener.name}_sources",
        f"tcp-request connection reject if {{ sc_conn_cur(0) gt {listener.connections} }}",
        f"tcp-request connection reject if {{ sc_conn_rate(0) gt {listener.connections} }}",
    ]
    if listener.drive_requests:
        # A first synchronisation is thousands of small requests: nobody's pages may wait for it.
        rules += [
            f"acl drive path_beg {' '.join(DRIVE_PATHS)}",
            "acl drive path /dav",
            f"http-request track-sc2 {_SOURCE} table {listener.name}_pages if !drive",
            f"http-request track-sc2 {_SOURCE} table {listener.name}_drive if drive",
            f"{refusal} if !drive {{ sc_http_req_rate(2) gt {listener.requests} }}",
            f"http-request return status 429 hdr Retry-After {REQUESTS_WINDOW_S} if drive"
            f" {{ sc_http_req_rate(2) gt {listener.drive_requests} }}",
        ]
    else:
        rules.append(f"{refusal} if {{ sc_http_req_rate(0) gt {listener.requests} }}")
    if listener.sign_ins:
        # The second form of step-up counts too: it takes a password or a code as well; so does a link.
        rules += [
            "acl sign_in path_beg /connexion/ /confirmer/ /premiere-connexion/ /partage/",
            f"http-request track-sc1 {_SOURCE} table {listener.name}_sign_ins if METH_POST sign_in",
            f"{refusal} if METH_POST sign_in {{ sc_http_req_rate(1) gt {listener.sign_ins} }}",
        ]
    return rules


def _tables(listener: _Listener) -> list[str]:
    lines = [
        f"backend {listener.name}_sources",
        f"    stick-table type ipv6 size {_SOURCES} expire {2 * REQUESTS_WINDOW_S}s store conn_cur,"
        f"conn_rate({REQUESTS_WINDOW_S}s),http_req_rate({REQUESTS_WINDOW_S}s)",
    ]
    for kind in ("pages", "drive") if listener.drive_requests else ():
        lines += [
            f"backend {listener.name}_{kind}",
            f"    stick-table type ipv6 size {_SOURCES} expire {2 * REQUESTS_WINDOW_S}s"
            f" store http_req_rate({REQUESTS_WINDOW_S}s)",
        ]
    if listener.sign_ins:
        lines += [
            f"backend {listener.name}_sign_ins",
            f"    stick-table type ipv6 size {_SOURCES} expire {2 * SIGN_INS_WINDOW_S}s"
            f" store http_req_rate({SIGN_INS_WINDOW_S}s)",
        ]
    return lines


def _page() -> bytes:
    return (Path(__file__).parent / "too_many.html").read_bytes()


def _page_policy() -> str:
    style = _page().partition(b"<style>")[2].partition(b"</style>")[0]
    digest = base64.b64encode(hashlib.sha256(style).digest()).decode()
    return f"default-src 'none'; style-src 'sha256-{digest}'; base-uri 'none'; frame-ancestors 'none'"


def page_path(config: Config) -> Path:
    """The page of an answer 429: HAProxy reads it once, at its start."""
    return config.state / "haproxy" / "429.html"


def _addresses(config: Config, port: int) -> list[str]:
    if config.listen != "*":
        host = f"[{config.listen}]" if ":" in config.listen else config.listen
        return [f"{host}:{port}"]
    # Two sockets, not one for both families: addresses of IPv4 clients then need no unmapping.
    both = [f"0.0.0.0:{port}"]
    if Path("/proc/net/if_inet6").exists():
        both.append(f"[::]:{port} v6only")
    return both


def config_path(config: Config, box_front: str = "") -> Path:
    return config.state / "haproxy" / (f"{box_front}.cfg" if box_front else "haproxy.cfg")


def write(config: Config) -> None:
    path = config_path(config)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.parent.chmod(0o755)
    write_file(page_path(config), _page(), mode=0o644, owner=supervisor_owner())
    for name in ("", *_box_fronts(config)):
        text = configuration(config, drop_privileges=os.getuid() == 0, box_front=name)
        write_file(config_path(config, name), text.encode(), mode=0o644, owner=supervisor_owner())


def process(config: Config) -> Process:
    return Process(
        name="front",
        argv=("/usr/sbin/haproxy", "-db", "-f", str(config_path(config))),
        healthy=lambda: _healthy(config),
        stop_signal=signal.SIGTERM,
        stop_timeout_s=5,
        restart_when_unwell=False,
        advice=f"Look at {config.log / 'front.log'}; check with: haproxy -c -f {config_path(config)}",
    )


def box_processes(config: Config) -> list[Process]:
    """Further front doors, for boîtiers: all bind the same port, and the kernel deals connections out to them."""
    return [_box_process(config, name) for name in _box_fronts(config)]


def _box_process(config: Config, name: str) -> Process:
    path = config_path(config, name)
    return Process(
        name=name,
        argv=("/usr/sbin/haproxy", "-db", "-f", str(path)),
        healthy=lambda: "" if _alive(_socket(config, name)) else f"{name} does not answer.",
        socket=_socket(config, name),
        stop_signal=signal.SIGTERM,
        stop_timeout_s=5,
        advice=f"Look at {config.log / (name + '.log')}; check with: haproxy -c -f {path}",
    )


def _alive(path: Path) -> bool:
    """HAProxy itself answers ``monitor-uri``, whatever stands behind it."""
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as asked:
            asked.settimeout(5)
            asked.connect(str(path))
            asked.sendall(b"GET /healthz HTTP/1.0\r\n\r\n")
            return b" 200 " in asked.recv(64)
    except OSError:
        return False


def _healthy(config: Config) -> str:
    """One request through TLS on each listener; any answer below 500 means that the plane behind it answers."""
    host = "127.0.0.1" if config.listen == "*" else config.listen
    context = ssl.create_default_context()
    # This asks whether the door opens, on loopback; who it is was settled when the files were written.
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    for name, port, path, server in (
        ("portal", config.portal_port, "/healthz", config.portal_name),
        ("console", config.console_port, "/healthz", config.console_name),
        ("boîtiers", config.box_port, "/v1/nonce", config.box_name),
    ):
        connection = http.client.HTTPSConnection(host, port, timeout=5, context=context)
        try:
            connection.request("GET", path, headers={"Host": server})
            status = connection.getresponse().status
        except (OSError, http.client.HTTPException) as error:
            return f"The listener {name} (port {port}) does not answer: {error}."
        finally:
            connection.close()
        if status >= 500:
            return f"The listener {name} (port {port}) answers {status}: what stands behind it is not ready."
    return ""
