"""Is an engine doing its work? One short question each, over loopback.

Purpose: ``healthy`` of the process table: "" or one sentence.
Hostile: nothing beyond this machine.
Source:  RFC 5321 (banner), RFC 9051 (greeting), RFC 1035.
"""

from __future__ import annotations

import http.client
import socket
import struct
from pathlib import Path

from beffroi.lib.config import Config
from beffroi.mail.engines import layout

_TIMEOUT_S = 3.0
# A query for the root's NS without recursion would pass; "localhost" is answered by unbound itself.
_QUERY = struct.pack(">6H", 0x4242, 0x0100, 1, 0, 0, 0) + b"\x09localhost\x00" + struct.pack(">2H", 1, 1)


def _banner(host: str, port: int, expected: bytes, name: str) -> str:
    try:
        with socket.create_connection((host, port), timeout=_TIMEOUT_S) as connection:
            line = connection.recv(512)
    except OSError as error:
        return f"{name} does not answer on {host} port {port} ({error.strerror or error})."
    return "" if line.startswith(expected) else f"{name} greets on port {port} in an unexpected way."


def smtp(config: Config) -> str:
    return _banner(layout.own_address(config), config.smtp_port, b"220 ", "Postfix")


def imap(config: Config) -> str:
    return _banner(layout.LOOPBACK, config.imap_local_port, b"* OK", "Dovecot")


def managesieve(config: Config) -> str:
    return _banner(layout.LOOPBACK, config.managesieve_port, b'"IMPLEMENTATION"', "The keeper of scripts")


def resolver(config: Config) -> str:
    try:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as connection:
            connection.settimeout(_TIMEOUT_S)
            connection.connect((layout.LOOPBACK, config.resolver_port))
            connection.send(_QUERY)
            answer = connection.recv(512)
    except OSError as error:
        return f"The resolver does not answer on port {config.resolver_port} ({error.strerror or error})."
    return "" if answer[:2] == _QUERY[:2] else "The resolver answers another question."


def http_get(port: int, path: str, name: str) -> str:
    connection = http.client.HTTPConnection(layout.LOOPBACK, port, timeout=_TIMEOUT_S)
    try:
        connection.request("GET", path)
        status = connection.getresponse().status
    except (OSError, http.client.HTTPException) as error:
        return f"{name} does not answer on port {port} ({error})."
    finally:
        connection.close()
    return "" if status == 200 else f"{name} answers {status} on port {port}."


def rspamd(config: Config) -> str:
    found = http_get(config.rspamd_normal_port, "/ping", "rspamd")
    return found or _connect(config.rspamd_proxy_port, "rspamd's milter")


def mailgate(config: Config) -> str:
    return http_get(config.mailgate_port, "/healthz", "mailgate")


def queue(config: Config) -> str:
    return _socket(config.run / "queue.sock", "The keeper of the mail queue")


def backup(config: Config) -> str:
    return _socket(config.run / "backup.sock", "The keeper of the backups")


def _socket(path: Path, name: str) -> str:
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
        connection.settimeout(_TIMEOUT_S)
        try:
            connection.connect(str(path))
        except OSError as error:
            return f"{name} does not answer ({error.strerror or error})."
    return ""


def _connect(port: int, name: str) -> str:
    try:
        socket.create_connection((layout.LOOPBACK, port), timeout=_TIMEOUT_S).close()
    except OSError as error:
        return f"{name} does not answer on port {port} ({error.strerror or error})."
    return ""
