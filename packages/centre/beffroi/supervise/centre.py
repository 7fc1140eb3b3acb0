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
from dataclasses import replace
from pathlib import Path

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
        _django(
            config,
            "web",
            "beffroi.settings.web",
            workers=WEB_WORKERS,
            application="beffroi.portal.wsgi_web:application",
        ),
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
        _django(config, "console", "beffroi.settings.console", workers=1),
        front.process(config),
        *front.box_processes(config),
    ]


def write_files(config: Config) -> None:
    """Write every engine's configuration. Errors: those of the engines, each one sentence."""
    mail.write(config)
    front.write(config)


def _granian(config: Config, name: str, *arguments: str) -> tuple[str, ...]:
    return (
        sys.executable,
        "-m",
        "granian",
        "--no-ws",
        "--log-level",
        "warning",
        "--respawn-failed-workers",
        "--workers-kill-timeout",
        "8",
        "--uds",
        str(config.run / f"{name}.sock"),
        "--uds-permissions",
        "432",  # 0o660: the front's group may connect, nobody else
        *arguments,
    )


def _django(
    config: Config,
    name: str,
    settings: str,
    *,
    workers: int,
    application: str = "django.core.wsgi:get_wsgi_application",
) -> Process:
    return Process(
        name=name,
        argv=_granian(
            config,
            name,
            "--interface",
            "wsgi",
            "--workers",
            str(workers),
            "--blocking-threads",
            "4",
            "--factory",
            application,
        ),
        user=config.user or None,
        group=secret_files.group(config, secret_files.PAGES),
        socket=config.run / f"{name}.sock",
        environment=_environment(config, settings),
        healthy=lambda: answers(config.run / f"{name}.sock", "/healthz"),
        stop_timeout_s=12,
        start_timeout_s=45,
        advice=f"Look at {config.log / (name + '.log')}.",
    )


def _calendars(config: Config) -> Process:
    """Blocking, as Radicale is; one process, so that its threads share what it holds of the feed."""
    return Process(
        name="calendars",
        argv=_granian(
            config,
            "calendars",
            "--interface",
            "wsgi",
            "--workers",
            "1",
            "--blocking-threads",
            "4",
            "--factory",
            "beffroi.drive.calendars.app:application",
        ),
        user=config.user or None,
        # Opens no secret of the pages, nor the feed's key.
        group=secret_files.group(config, secret_files.ALL),
        socket=config.run / "calendars.sock",
        environment=_environment(config, None),
        healthy=lambda: answers(config.run / "calendars.sock", "/healthz"),
        stop_timeout_s=12,
        advice=f"Look at {config.log / 'calendars.log'}.",
    )


def _drive(config: Config) -> Process:
    return Process(
        name="drive",
        # Serves inside one process: the grouped commits of a collectivité have one writer.
        argv=(sys.executable, "-m", "beffroi.drive"),
        user=config.user or None,
        # The keys of files are wrapped by the communes' master key.
        group=secret_files.group(config, secret_files.PAGES),
        environment=_environment(config, None),
        healthy=lambda: answers(config.run / "drive.sock", "/healthz"),
        stop_timeout_s=12,
        advice=f"Look at {config.log / 'drive.log'}.",
    )


def _beside_drive(config: Config, name: str, module: str) -> Process:
    """Opens what the drive opens, for it looks into contents; it hears from the drive alone."""
    return Process(
        name=name,
        argv=(sys.executable, "-m", module),
        user=config.user or None,
        group=secret_files.group(config, secret_files.PAGES),
        environment=_environment(config, None),
        healthy=lambda: listens(following.directory(config.run) / f"{name}.sock"),
        stop_timeout_s=12,
        advice=f"Look at {config.log / (name + '.log')}.",
    )


def _filescan(config: Config) -> Process:
    """An engine that hangs must not look like one at work."""
    one = _beside_drive(config, "filescan", "beffroi.drive.scanning")
    return replace(one, healthy=lambda: filescan.late(config))


def _stream(config: Config, relay: int = 0) -> Process:
    """The publisher, or one of its relays."""
    name = config.relay_names[relay - 1] if relay else "stream"
    return Process(
        name=name,
        # Serves inside one process: it holds its connections, and the publisher is the only one that makes batches.
        argv=(sys.executable, "-m", "beffroi.stream", *(("--relay", str(relay)) if relay else ())),
        user=config.user or None,
        group=secret_files.group(config, secret_files.FEED),
        environment=_environment(config, None),
        healthy=lambda: answers(config.run / f"{name}.sock", "/v1/nonce"),
        stop_timeout_s=12,
        advice=f"Look at {config.log / (name + '.log')}.",
    )


def _consumers(config: Config, name: str, group: str) -> Process:
    return Process(
        name=name,
        argv=(sys.executable, "-m", "beffroi.cli", name),
        user=config.user or None,
        group=secret_files.group(config, secret_files.PAGES),
        environment=_environment(config, "beffroi.settings.base"),
        healthy=lambda: listens(wake.directory(config.run) / f"{group}.sock"),
        start_timeout_s=45,
        advice=f"Look at {config.log / (name + '.log')}.",
    )


def _managesieve(config: Config) -> Process:
    return Process(
        name="managesieve",
        argv=(sys.executable, "-m", "beffroi.cli", "managesieve"),
        user=config.user or None,
        group=secret_files.group(config, secret_files.PAGES),
        environment=_environment(config, "beffroi.settings.base"),
        healthy=lambda: probes.managesieve(config),
        start_timeout_s=45,
        advice=f"Look at {config.log / 'managesieve.log'}.",
    )


def _fetch(config: Config) -> Process:
    """It talks to strangers and parses what they say, so it is a user of its own, in no group of ours."""
    return Process(
        name="fetch",
        argv=(sys.executable, "-m", "beffroi.watch.sources.fetch"),
        user=secret_files.fetch_user(config),
        environment=_environment(config, None),
        socket=fetch.wake_socket(config.state),
        healthy=lambda: listens(fetch.wake_socket(config.state)),
        advice=f"Look at {config.log / 'fetch.log'}.",
    )


def _reports(config: Config) -> Process:
    """It unpacks and parses what strangers mail to us, so it is a user of its own, in no group of ours."""
    return Process(
        name="reports",
        argv=(sys.executable, "-m", "beffroi.mail.reports.intake"),
        user=secret_files.reports_user(config),
        environment=_environment(config, None),
        socket=intake.wake_socket(config.state),
        healthy=lambda: listens(intake.wake_socket(config.state)),
        advice=f"Look at {config.log / 'reports.log'}.",
    )


def _registrar(config: Config) -> Process:
    """It holds keys of providers and reads what these say, so it is a user of its own, in no group of ours."""
    path = registrar.socket_path(config.state)
    return Process(
        name="registrar",
        argv=(sys.executable, "-m", "beffroi.mail.domains.registrar"),
        user=secret_files.registrar_user(config),
        environment=_environment(config, None),
        socket=path,
        healthy=lambda: "" if registrar_asking.answers(config) else "The process registrar does not answer.",
        advice=f"Look at {config.log / 'registrar.log'}.",
    )


def _authority(config: Config) -> Process:
    """It talks to the certificate authority with the account's key and no other."""
    return Process(
        name="acme",
        argv=(sys.executable, "-m", "beffroi.mail.certificates.authority"),
        user=secret_files.acme_user(config),
        environment=_environment(config, None),
        healthy=lambda: certificates_health.late(config, "brought", certificates_health.AUTHORITY_LATE_S),
        advice=f"Look at {config.log / 'acme.log'}.",
    )


def _certificates(config: Config) -> Process:
    """It makes the keys of the communes' certificates; of root it has the name and the files, no power."""
    limited = ("/usr/bin/setpriv", "--bounding-set=-all", "--inh-caps=-all", "--no-new-privs")
    return Process(
        name="certificates",
        argv=(
            *(limited if os.getuid() == 0 else ()),
            sys.executable,
            "-m",
            "beffroi.mail.certificates.keeper",
        ),
        environment=_environment(config, None),
        network=False,
        healthy=lambda: certificates_health.late(config, "told", certificates_health.KEEPER_LATE_S),
        advice=f"Look at {config.log / 'certificates.log'}.",
    )


def _scan(config: Config) -> Process:
    """It opens the files that strangers send, so it is a user of its own, in no group of ours, without a network."""
    path = wire.socket_path(config.state)
    return Process(
        name="scan",
        argv=(sys.executable, "-m", "beffroi.scan"),
        user=secret_files.scan_user(config),
        environment=_environment(config, None),
        socket=path,
        network=False,
        healthy=lambda: _scans(path),
        advice=f"Look at {config.log / 'scan.log'}.",
    )


def _previews(config: Config) -> Process:
    """It runs LibreOffice on what anybody stored: a user of its own, in no group of ours, without a network."""
    path = previews.socket_path(config.state)
    return Process(
        name="previews",
        argv=(sys.executable, "-m", "beffroi.previews"),
        user=secret_files.previews_user(config),
        environment=_environment(config, None),
        socket=path,
        network=False,
        healthy=lambda: _listens(path),
        advice=f"Look at {config.log / 'previews.log'}.",
    )


def _listens(path: Path) -> str:
    """ "" when somebody takes connections, else one sentence: it may be busy with a document for a while."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as one:
        one.settimeout(5)
        try:
            one.connect(str(path))
        except OSError as error:
            return f"The process of previews does not answer ({error})."
    return ""


def _scans(path: Path) -> str:
    """ "" when the scanner answers, by a child as for any file."""
    try:
        answer = wire.ask(path, wire.PING, timeout_s=5)
    except (OSError, wire.Ended) as error:
        return f"The scanner of attached files does not answer ({error})."
    return "" if answer == b"PONG" else "The scanner of attached files answers in an unexpected way."


def _environment(config: Config, settings: str | None) -> dict[str, str]:
    values = {STATE_VARIABLE: str(config.state)}
    if settings:
        values["DJANGO_SETTINGS_MODULE"] = settings
    return values


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


def listens(path: Path) -> str:
    """ "" when a living process holds this datagram socket: connecting to a dead one is refused."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(str(path))
        except OSError as error:
            return f"{path.name} is not listened to ({error.strerror})."
    return ""
