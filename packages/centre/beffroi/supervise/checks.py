"""What must hold before anything is started: the place, room on its disk, names, ports. Nothing is changed here.

Process: the supervisor. Fails: closed, with one sentence and the next step.
Source:  proc(5): /proc/net/tcp, /proc/net/udp, /proc/self/mounts.
"""

from __future__ import annotations

import contextlib
import errno
import os
import re
import shutil
import socket
import stat
from dataclasses import dataclass
from pathlib import Path

from beffroi.lib import spare
from beffroi.lib.config import Config, SettingInvalid
from beffroi.lib.errors import BeffroiError

NEEDED_DISK_BYTES = 300 * 1024 * 1024
AGAIN_DISK_BYTES = 32 * 1024 * 1024
"""Of a centre that is there already: people read their mail on a disk that files may fill no further."""
LOW_FILES = 1000
MOST_OF_PLACE = 64
"""Of the 107 bytes of a socket's path (unix(7)), Postfix and Dovecot take some 40."""
_PLACE = re.compile(r"/[\w./%-]*")
_LABEL = "[A-Za-z0-9]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?"
_NAME = re.compile(rf"(?=.{{1,253}}$){_LABEL}(\.{_LABEL})*")
_LOOPBACK_SETTINGS = (
    "mailgate_port",
    "rspamd_proxy_port",
    "rspamd_normal_port",
    "rspamd_controller_port",
    "doveadm_port",
    "imap_local_port",
    "filters_port",
    "split_port",
    "managesieve_port",
)
_PUBLIC_SETTINGS = (
    "portal_port",
    "box_port",
    "smtp_port",
    "imap_port",
    "imaps_port",
    "submission_port",
    "submissions_port",
    "sieve_port",
)


class DiskFull(BeffroiError):
    """The disk of {} has {} MB free and {} MB are needed. Free some space, then start again."""

    code = "supervise.disk_full"


class PlaceUnusable(BeffroiError):
    """{} cannot be the state directory: {}. Choose another one with --state."""

    code = "supervise.place_unusable"


class PortTaken(BeffroiError):
    """Port {} is taken{}. Stop that program, or choose another port: {} = NUMBER in {}."""

    code = "supervise.port_taken"


class PortForbidden(BeffroiError):
    """Port {} cannot be opened on {}: {}. Check the settings {} and {} in {}."""

    code = "supervise.port_forbidden"


class PortTwice(BeffroiError):
    """Port {} is given to {} and to {}; change one of them in {}."""

    code = "supervise.port_twice"


@dataclass(frozen=True)
class _Wanted:
    setting: str
    port: int
    host: str
    kind: socket.SocketKind


def check_place(state: Path) -> None:
    """Errors: PlaceUnusable."""
    if not _PLACE.fullmatch(str(state)):
        raise PlaceUnusable(state, "engines read it, so it has letters, digits and . _ % - only")
    if len(os.fsencode(state)) > MOST_OF_PLACE:
        raise PlaceUnusable(state, f"it has more than {MOST_OF_PLACE} bytes, and sockets lie deep beneath it")
    if state.exists() and not state.is_dir():
        raise PlaceUnusable(state, "it is a file")
    for one in state.parents:
        if one.exists() and not one.stat().st_mode & stat.S_IXOTH:
            raise PlaceUnusable(state, f"system users cannot enter {one}")


def check_disk(config: Config, *, needed_bytes: int = 0) -> None:
    """Errors: DiskFull."""
    needed_bytes = needed_bytes or (AGAIN_DISK_BYTES if config.secrets.exists() else NEEDED_DISK_BYTES)
    place = _existing(config.state)
    free = shutil.disk_usage(place).free
    if free < needed_bytes:
        raise DiskFull(place, free // 2**20, needed_bytes // 2**20)


def low_disk(config: Config) -> str:
    """ "" or what a running centre needs, of each file system that it writes to: room, files that it may still hold.

    With little room where its queue lies Postfix asks senders to come back later.
    """
    seen: set[int] = set()
    said = []
    for place in _written(config):
        with contextlib.suppress(OSError):
            number, room = place.stat().st_dev, os.statvfs(place)
            if number in seen:
                continue
            seen.add(number)
            free_bytes = room.f_bavail * room.f_frsize
            if room.f_flag & os.ST_RDONLY:
                said.append(
                    f"The disk of {place} cannot be written: it is mounted read-only (dmesg says why)"
                )
            elif free_bytes < spare.SPARE_BYTES:
                said.append(f"The disk of {place} has {free_bytes // 2**20} MB free")
            elif room.f_files and room.f_favail < LOW_FILES:  # some file systems count none
                said.append(f"The disk of {place} has room for {room.f_favail} more files (df -i)")
    if not said:
        return ""
    return (
        f"{'. '.join(said)}: new mail waits at its senders or in the queue, files are refused, and pages may fail."
        " Next: give it room, or mount it again; nothing has to be restarted."
    )


def _written(config: Config) -> list[Path]:
    """The state directory first, then whatever else may be a file system of its own: mounts and links beneath it,
    directories of backups."""
    mounts = [Path(line.split()[1]) for line in Path("/proc/self/mounts").read_text("utf-8").splitlines()]
    beneath = [one for one in mounts if config.state in one.parents]
    backups = [Path(one) for one in (config.backup_path, config.drive_backup_path) if one.startswith("/")]
    return [_existing(config.state), *beneath, *sorted(config.state.glob("*/")), *backups]


def _existing(path: Path) -> Path:
    return next(one for one in (path, *path.parents) if one.exists())


def check_names(config: Config) -> None:
    """They go into certificates and into every engine's configuration. Errors: SettingInvalid."""
    for setting in ("portal_name", "console_name", "box_name", "mail_name"):
        if not _NAME.fullmatch(getattr(config, setting)):
            why = "must be a host name or an IPv4 address; accents as in DNS (xn--...)"
            raise SettingInvalid(setting, config.state / "beffroi.toml", why)


def check_backups(config: Config) -> None:
    """Where backups go can be a place. Errors: SettingInvalid."""
    for setting in ("backup_path", "drive_backup_path"):
        value = getattr(config, setting)
        is_bucket = setting == "drive_backup_path" and value.startswith("s3:")
        if value and not is_bucket and not Path(value).is_absolute():
            raise SettingInvalid(setting, config.state / "beffroi.toml", "must be an absolute path")


def check_ports(config: Config) -> None:
    """Errors: PortTaken (with the program's name when it can be seen), PortForbidden, PortTwice."""
    toml = config.state / "beffroi.toml"
    seen: dict[int, str] = {}
    for wanted in _wanted(config):
        other = seen.setdefault(wanted.port, wanted.setting)
        if other != wanted.setting:
            raise PortTwice(wanted.port, other, wanted.setting, toml)
        try:
            _try(wanted)
        except OSError as error:
            if error.errno == errno.EADDRINUSE:
                raise PortTaken(wanted.port, _holder(wanted.port), wanted.setting, toml) from None
            listen = "console_listen" if wanted.setting == "console_port" else "listen"
            raise PortForbidden(
                wanted.port, wanted.host, error.strerror, wanted.setting, listen, toml
            ) from None


def _wanted(config: Config) -> list[_Wanted]:
    public, console = (
        "0.0.0.0" if one == "*" else one  # noqa: S104 - what the setting asks for
        for one in (config.listen, config.console_listen)
    )
    stream, datagram = socket.SOCK_STREAM, socket.SOCK_DGRAM
    names = (*_PUBLIC_SETTINGS, *(("acme_port",) if config.acme_directory else ()))
    found = [_Wanted(name, getattr(config, name), public, stream) for name in names]
    found.append(_Wanted("console_port", config.console_port, console, stream))
    found += [_Wanted(name, getattr(config, name), "127.0.0.1", stream) for name in _LOOPBACK_SETTINGS]
    return [*found, _Wanted("resolver_port", config.resolver_port, "127.0.0.1", datagram)]


def _try(wanted: _Wanted) -> None:
    family = socket.AF_INET6 if ":" in wanted.host else socket.AF_INET
    with socket.socket(family, wanted.kind) as probe:
        if wanted.kind == socket.SOCK_STREAM:
            # As the engines do: connections of an earlier run in TIME_WAIT are no obstacle.
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        probe.bind((wanted.host, wanted.port))
        if wanted.kind == socket.SOCK_STREAM:
            probe.listen(1)


def _holder(port: int) -> str:
    """ " by NAME (process N)" when this can be seen, else ""."""
    inodes = _socket_inodes(port)
    for link in Path("/proc").glob("[0-9]*/fd/*"):
        with contextlib.suppress(OSError):
            target = str(link.readlink())
            if target.startswith("socket:[") and target[8:-1] in inodes:
                pid = link.parts[2]
                name = Path(f"/proc/{pid}/comm").read_text("utf-8", "replace").strip()
                return f" by {name} (process {pid})"
    return ""


def _socket_inodes(port: int) -> set[str]:
    inodes = set()
    for table in ("tcp", "tcp6", "udp", "udp6"):
        with contextlib.suppress(OSError):
            for line in Path(f"/proc/net/{table}").read_text("ascii").splitlines()[1:]:
                fields = line.split()
                listening = fields[3] in ("0A", "07")  # TCP_LISTEN; an unconnected UDP socket
                if listening and int(fields[1].rpartition(":")[2], 16) == port:
                    inodes.add(fields[9])
    return inodes
