"""The front door: HAProxy's configuration and its row of the process table.

Purpose: TLS for the portal, the console and the boîtiers; each request goes to the plane that serves it.
Process: haproxy; root only until its ports are bound, then user ``haproxy`` in a chroot of STATE/run, in the
         group of the Python processes, whose sockets it connects to.
Hostile: every byte from the network. Headers that planes trust are removed here and set anew. What a source that
         floods a listener gets is in front_limits.py: connections are closed, requests and sign-ins get 429.
Fails:   closed: an unknown host name, a path of another listener or an oversized request is refused here.
Source:  docs.haproxy.org/3.0/configuration.html; Mozilla "intermediate" TLS of 2025.
"""

from __future__ import annotations

import grp
import http.client
import os
import signal
import socket
import ssl
from pathlib import Path

from beffroi.lib.config import Config
from beffroi.lib.process import Process
from beffroi.mail.certificates.places import installed
from beffroi.mail.engines import layout
from beffroi.supervise import acme, front_limits, front_pages
from beffroi.supervise.certificates import front_names
from beffroi.supervise.front_listeners import DISCOVERY_HOSTS, HELD_TIMEOUT, MAX_BODIES, Listener, listeners
from beffroi.supervise.secret_files import python_owner, supervisor_owner, write_file

PAGE_CONNECTIONS = 4000
LAST_WORD_TIMEOUT = "30m"
QUEUE_TIMEOUT = "60s"
MAX_URL_BYTES = 4096
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
        "    tune.stick-counters 4",
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
    for listener in listeners(config):
        if _serves(config, listener, box_front):
            lines += [*_frontend(config, listener), *front_limits.tables(listener)]
    if not box_front:
        lines += acme.frontend(config, _addresses(config.listen, config.acme_port))
    else:
        lines += [
            "frontend alive",
            f"    bind unix@{_socket(config, box_front)} mode 600",
            "    monitor-uri /healthz",
        ]
    for name in ("web", "calendars", "console"):
        lines += _blocking(name, f"unix@{sockets}/{name}.sock")
    for name in ("drive", "drive-clients", "stream", "stream-held"):
        lines.append(f"backend {name}")
        if name.startswith("stream"):
            lines.append(f"    timeout server {HELD_TIMEOUT}")
        if name == "drive-clients":
            lines += [f"    {rule}" for rule in front_pages.client_rules(config)]
        if name.startswith("drive"):
            lines.append("    timeout tunnel 1h")  # a sync client that waits to hear of changes
            # A long file is read back before its last word is answered, gigabytes a minute; its client waits as long.
            lines.append(f"    timeout server {LAST_WORD_TIMEOUT}")
        lines.append(f"    server {name} unix@{sockets}/{name.removesuffix('-clients')}.sock")
    for end in ("", "-held") if config.relay_names else ():
        # By its address: a box finds the nonce that it was given, and one relay sees whether it is used twice. One
        # that is away is back in a second; nobody goes to another meanwhile.
        lines += [f"backend relays{end}", "    balance source", "    hash-type map-based sdbm avalanche"]
        lines.append(f"    timeout server {HELD_TIMEOUT}")
        lines += [f"    server {name} unix@{sockets}/{name}{end}.sock" for name in config.relay_names]
    return "\n".join(lines) + "\n"


def _blocking(name: str, socket_name: str) -> list[str]:
    """A plane whose threads wait for what they read (``front_limits``): it gets requests that are here whole, and few
    that are not."""
    return [
        f"backend {name}",
        "    option http-buffer-request",
        f"    server {name} {socket_name}",
        f"backend {name}-bodies",
        "    option http-buffer-request",
        f"    timeout queue {QUEUE_TIMEOUT}",
        f"    server {name} {socket_name} maxconn {MAX_BODIES}",
    ]


def _serves(config: Config, listener: Listener, box_front: str) -> bool:
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


def _frontend(config: Config, listener: Listener) -> list[str]:
    pem = config.state / "tls" / "portal.pem"
    alpn = "http/1.1" if listener.name == "box" else "h2,http/1.1"
    crt = f"crt {pem}"
    folder = installed(config.state)
    if listener.name == "portal" and (acme.on(config) or any(folder.glob("*.pem"))):
        crt += f" crt {folder}"  # the name in the hello chooses; portal.pem stays the first
    binds = [
        f"bind {address} ssl {crt} alpn {alpn}" for address in _addresses(listener.address, listener.port)
    ]
    others = " or discovery" if listener.name == "portal" else ""
    names = " ".join(name for name in front_names(config) if ":" not in name)
    pages = " !drive" if listener.drive_requests else ""
    body = [
        *binds,
        *(front_pages.rules(config) if listener.sign_ins else []),
        *front_limits.rules(listener),
        *([f"acl discovery req.hdr(host),lower -m beg {' '.join(DISCOVERY_HOSTS)}"] if others else []),
        *(f"http-request del-header {header}" for header in _TRUSTED),
        # To WSGI a dash and an underscore are one name: X_Forwarded_For would stand beside ours. No program needs one.
        "http-request del-header _ -m sub",
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


def _addresses(address: str, port: int) -> list[str]:
    if address != "*":
        host = f"[{address}]" if ":" in address else address
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
    for page, content in front_pages.files(config).items():
        write_file(page, content, mode=0o644, owner=supervisor_owner())
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
    pages, console = layout.own_address(config), layout.reached(config.console_listen)
    context = ssl.create_default_context()
    # This asks whether the door opens, on loopback; who it is was settled when the files were written.
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    for name, host, port, path, server in (
        ("portal", pages, config.portal_port, "/healthz", config.portal_name),
        ("console", console, config.console_port, "/healthz", config.console_name),
        ("boîtiers", pages, config.box_port, "/v1/nonce", config.box_name),
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
