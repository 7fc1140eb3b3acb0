"""The process table of the centre as the supervisor runs it.

Purpose: one list, in the order of need; ARCHITECTURE.md describes each row.
Process: Python processes run as Config.user, without privileges they could regain, in one of three groups that
         open different secrets; engines start as root and drop their privileges by themselves.
Source:  docs/internals/supervisor.md.
"""

from __future__ import annotations

import http.client
import os
import socket
import sys
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from beffroi.core.planes import wake
from beffroi.drive import following
from beffroi.drive.scanning import told as filescan
from beffroi.lib.config import STATE_VARIABLE, Config
from beffroi.lib.process import Process
from beffroi.lib.unix_http import UnixConnection
from beffroi.mail.certificates import health as certificates_health
from beffroi.mail.domains import registrar, registrar_asking
from beffroi.mail.engines import probes
from beffroi.mail.engines import setup as mail
from beffroi.mail.reports import intake
from beffroi.previews import server as previews
from beffroi.scan import wire
from beffroi.supervise import front, secret_files
from beffroi.supervise.front_listeners import MAX_BODIES
from beffroi.watch.sources import fetch

WEB_WORKERS = 2


def processes(config: Config) -> list[Process]:
    """All rows; what others wait for comes first."""
    engines = mail.processes(config)
    return [
        *(row for row in engines if row.name == "unbound"),
        _stream(config),
        *(_stream(config, number) for number in range(1, config.stream_relays + 1)),
        *([_scan(config)] if config.scan else []),
        *(row for row in engines if row.name == "rspamd"),
        _web(config),
        *(row for row in engines if row.name == "mailgate"),
        *(row for row in engines if row.name not in ("unbound", "rspamd", "mailgate")),
        _calendars(config),
        *([_previews(config)] if config.previews else []),
        _drive(config),
        _beside_drive(config, "sentry", "beffroi.drive.sentry"),
        _beside_drive(config, "drive-keeper", "beffroi.drive.keeper"),
        *([_filescan(config)] if config.scan or config.clamd else []),
        _consumers(config, "worker", "main"),
        _consumers(config, "remediation", "remediation"),
        _consumers(config, "webmail", "webmail"),
        _consumers(config, "sources", "sources"),
        _consumers(config, "import", "import"),
        _managesieve(config),
        _fetch(config),
        _reports(config),
        _registrar(config),
        *([_authority(config), _certificates(config)] if config.acme_directory else []),
        _console(config),
        front.process(config),
        *front.box_processes(config),
    ]


def write_files(config: Config) -> None:
    """Write every engine's configuration. Errors: those of the engines, each one sentence."""
    mail.write(config)
    front.write(config)


def held(config: Config) -> AbstractContextManager[None]:
    """What must stay in use for as long as the engines run."""
    return mail.held(config)


def _python(config: Config, name: str, argv: Sequence[str], *, settings: str = "", **more: Any) -> Process:
    """A process of ours; ``argv``: a module and what it is given, ``more``: of ``Process``."""
    environment = {STATE_VARIABLE: str(config.state)}
    if settings:
        environment["DJANGO_SETTINGS_MODULE"] = f"beffroi.settings.{settings}"
    return Process(
        name=name,
        argv=(sys.executable, "-m", *argv),
        environment=environment,
        advice=f"Look at {config.log / (name + '.log')}.",
        **more,
    )


def _ours(config: Config, name: str, argv: Sequence[str], *, readers: str, **more: Any) -> Process:
    """``_python`` as Config.user, among the readers of these secrets."""
    group = secret_files.group(config, readers)
    return _python(config, name, argv, user=config.user or None, group=group, **more)


def _pages(
    config: Config, name: str, application: str, *, readers: str, workers: int, **more: Any
) -> Process:
    """Blocking pages (WSGI) on a socket, behind the front door."""
    path = config.run / f"{name}.sock"
    argv = (
        *("granian", "--interface", "wsgi", "--no-ws", "--log-level", "warning"),
        # Where all bodies that come slowly are one worker's, it has some left.
        *("--workers", str(workers), "--blocking-threads", str(MAX_BODIES + 4)),
        *("--respawn-failed-workers", "--workers-kill-timeout", "8"),
        # 0o660: the front's group may connect, nobody else
        *("--uds", str(path), "--uds-permissions", "432"),
        *("--factory", application),
    )
    return _ours(
        config,
        name,
        argv,
        readers=readers,
        socket=path,
        healthy=partial(answers, path, "/healthz"),
        stop_timeout_s=12,
        **more,
    )


def _web(config: Config) -> Process:
    return _pages(
        config,
        "web",
        "beffroi.portal.wsgi_web:application",
        readers=secret_files.PAGES,
        settings="web",
        workers=WEB_WORKERS,
        start_timeout_s=45,
    )


def _console(config: Config) -> Process:
    return _pages(
        config,
        "console",
        "django.core.wsgi:get_wsgi_application",
        readers=secret_files.PAGES,
        settings="console",
        workers=1,
        start_timeout_s=45,
    )


def _calendars(config: Config) -> Process:
    """Blocking, as Radicale is; one process, so that its threads share what it holds of the feed. It opens no secret of
    the pages, nor the feed's key."""
    application = "beffroi.drive.calendars.app:application"
    return _pages(config, "calendars", application, readers=secret_files.ALL, workers=1)


def _drive(config: Config) -> Process:
    """Serves inside one process: the grouped commits of a collectivité have one writer. The keys of files are wrapped
    by the communes' master key."""
    return _ours(
        config,
        "drive",
        ("beffroi.drive",),
        readers=secret_files.PAGES,
        healthy=lambda: answers(config.run / "drive.sock", "/healthz"),
        stop_timeout_s=12,
    )


def _beside_drive(config: Config, name: str, module: str) -> Process:
    """Opens what the drive opens, for it looks into contents; it hears from the drive alone."""
    return _ours(
        config,
        name,
        (module,),
        readers=secret_files.PAGES,
        healthy=lambda: listens(following.directory(config.run) / f"{name}.sock"),
        stop_timeout_s=12,
    )


def _filescan(config: Config) -> Process:
    """An engine that hangs must not look like one at work."""
    one = _beside_drive(config, "filescan", "beffroi.drive.scanning")
    return replace(one, healthy=lambda: filescan.late(config))


def _stream(config: Config, relay: int = 0) -> Process:
    """The publisher, or one of its relays. Serves inside one process: it holds its connections, and the publisher is
    the only one that makes batches."""
    name = config.relay_names[relay - 1] if relay else "stream"
    return _ours(
        config,
        name,
        ("beffroi.stream", *(("--relay", str(relay)) if relay else ())),
        readers=secret_files.FEED,
        healthy=lambda: answers(config.run / f"{name}.sock", "/v1/nonce"),
        stop_timeout_s=12,
    )


def _consumers(config: Config, name: str, group: str) -> Process:
    return _django(config, name, lambda: listens(wake.directory(config.run) / f"{group}.sock"))


def _managesieve(config: Config) -> Process:
    return _django(config, "managesieve", lambda: probes.managesieve(config))


def _django(config: Config, name: str, healthy: Callable[[], str]) -> Process:
    return _ours(
        config,
        name,
        ("beffroi.cli", name),
        readers=secret_files.PAGES,
        settings="base",
        healthy=healthy,
        start_timeout_s=45,
    )


def _fetch(config: Config) -> Process:
    """It talks to strangers and parses what they say, so it is a user of its own, in no group of ours."""
    path, user = fetch.wake_socket(config.state), secret_files.user_of(config, "fetch")
    argv = ("beffroi.watch.sources.fetch",)
    return _python(config, "fetch", argv, user=user, socket=path, healthy=lambda: listens(path))


def _reports(config: Config) -> Process:
    """It unpacks and parses what strangers mail to us, so it is a user of its own, in no group of ours."""
    path, user = intake.wake_socket(config.state), secret_files.user_of(config, "reports")
    argv = ("beffroi.mail.reports.intake",)
    return _python(config, "reports", argv, user=user, socket=path, healthy=lambda: listens(path))


def _registrar(config: Config) -> Process:
    """It holds keys of providers and reads what these say, so it is a user of its own, in no group of ours."""
    return _python(
        config,
        "registrar",
        ("beffroi.mail.domains.registrar",),
        user=secret_files.user_of(config, "registrar"),
        socket=registrar.socket_path(config.state),
        healthy=lambda: "" if registrar_asking.answers(config) else "The process registrar does not answer.",
    )


def _authority(config: Config) -> Process:
    """It talks to the certificate authority with the account's key and no other."""
    return _python(
        config,
        "acme",
        ("beffroi.mail.certificates.authority",),
        user=secret_files.user_of(config, "acme"),
        healthy=lambda: certificates_health.late(config, "brought", certificates_health.AUTHORITY_LATE_S),
    )


def _certificates(config: Config) -> Process:
    """It makes the keys of the communes' certificates; of root it has the name and the files, no power."""
    one = _python(
        config,
        "certificates",
        ("beffroi.mail.certificates.keeper",),
        network=False,
        healthy=lambda: certificates_health.late(config, "told", certificates_health.KEEPER_LATE_S),
    )
    limited = ("/usr/bin/setpriv", "--bounding-set=-all", "--inh-caps=-all", "--no-new-privs")
    return replace(one, argv=(*limited, *one.argv)) if os.getuid() == 0 else one


def _scan(config: Config) -> Process:
    """It opens the files that strangers send, so it is a user of its own, in no group of ours, without a network."""
    path, user = wire.socket_path(config.state), secret_files.user_of(config, "scan")
    argv = ("beffroi.scan",)
    return _python(config, "scan", argv, user=user, socket=path, network=False, healthy=lambda: _scans(path))


def _previews(config: Config) -> Process:
    """It runs LibreOffice on what anybody stored: a user of its own, in no group of ours, without a network. It may be
    busy with a document for a while, so that it listens is enough."""
    path, user = previews.socket_path(config.state), secret_files.user_of(config, "previews")
    return _python(
        config,
        "previews",
        ("beffroi.previews",),
        user=user,
        socket=path,
        network=False,
        healthy=lambda: listens(path, socket.SOCK_STREAM),
    )


def _scans(path: Path) -> str:
    """ "" when the scanner answers, by a child as for any file."""
    try:
        answer = wire.ask(path, wire.PING, timeout_s=5)
    except (OSError, wire.Ended) as error:
        return f"The scanner of attached files does not answer ({error})."
    return "" if answer == b"PONG" else "The scanner of attached files answers in an unexpected way."


def answers(path: Path, request: str) -> str:
    """ "" when whoever listens on this socket answers below 500, else one sentence."""
    connection = UnixConnection(path, timeout_s=5)
    try:
        connection.request("GET", request)
        status = connection.getresponse().status
    except (OSError, http.client.HTTPException) as error:
        return f"{path.name} does not answer ({error})."
    finally:
        connection.close()
    return "" if status < 500 else f"{path.name} answers {status}."


def listens(path: Path, kind: socket.SocketKind = socket.SOCK_DGRAM) -> str:
    """ "" when a living process holds this socket: connecting to a dead one is refused."""
    with socket.socket(socket.AF_UNIX, kind) as probe:
        probe.settimeout(5)
        try:
            probe.connect(str(path))
        except OSError as error:
            return f"{path.name} is not listened to ({error.strerror or error})."
    return ""
