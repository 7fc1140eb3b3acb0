"""Real mail engines in a private state directory, for tests of the area mail. Needs root."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

from beffroi.lib.config import Config
from beffroi.lib.process import Process
from beffroi.mail.engines import setup

ROOT = Path(__file__).resolve().parents[1]
PORTS = {
    "smtp_port": 22525,
    "imap_port": 22543,
    "imaps_port": 22593,
    "submission_port": 22587,
    "mailgate_port": 22504,
    "rspamd_proxy_port": 22511,
    "rspamd_normal_port": 22512,
    "rspamd_controller_port": 22513,
    "doveadm_port": 22514,
    "imap_local_port": 22515,
    "resolver_port": 22553,
}
DNS_PORT = 22554


def config_for(state: Path, **changes: Any) -> Config:
    """A configuration on the ports of these tests, asking the tests' own DNS."""
    base = Config(state=state, mail_name="mx.beffroi.test", dns_forward=f"127.0.0.1@{DNS_PORT}", **PORTS)
    return replace(base, **changes)


class Engines:
    """Starts, kills and stops the processes of the table, as the supervisor does."""

    def __init__(self, config: Config) -> None:
        self.config = config
        self.table = {p.name: p for p in setup.processes(config)}
        self.running: dict[str, subprocess.Popen[bytes]] = {}

    def write(self, *, xclient: bool = True) -> None:
        setup.write(self.config)
        if xclient:
            # rspamd holds 127.0.0.1 for local and skips SPF and DMARC: only tests may name another client.
            main = self.config.state / "postfix" / "etc" / "main.cf"
            main.write_text(main.read_text() + "smtpd_authorized_xclient_hosts = 127.0.0.1\n")

    def start(self, *names: str) -> None:
        for name in names or tuple(self.table):
            process = self.table[name]
            with (self.config.log / f"{name}.out").open("ab") as log:
                self.running[name] = subprocess.Popen(
                    process.argv,
                    env={**os.environ, **process.environment, "PYTHONPATH": _python_path()},
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=log,
                    cwd=process.directory,
                    start_new_session=True,
                )
        for name in names or tuple(self.table):
            self.wait_healthy(self.table[name])

    def wait_healthy(self, process: Process) -> None:
        end = time.monotonic() + process.start_timeout_s * 2
        while (problem := process.healthy()) != "":
            if time.monotonic() > end or self.running[process.name].poll() is not None:
                tail = (self.config.log / f"{process.name}.out").read_text("utf-8", "replace")[-2000:]
                raise AssertionError(f"{process.name}: {problem} {process.advice}\n{tail}")
            time.sleep(0.1)

    def kill(self, name: str) -> None:
        """kill -9 of the whole process group."""
        running = self.running.pop(name)
        os.killpg(running.pid, signal.SIGKILL)
        running.wait()

    def stop(self, *names: str) -> None:
        for name in names or tuple(reversed(tuple(self.running))):
            running = self.running.pop(name)
            running.send_signal(self.table[name].stop_signal)
            try:
                running.wait(self.table[name].stop_timeout_s)
            except subprocess.TimeoutExpired:
                pass
            try:
                os.killpg(running.pid, signal.SIGKILL)
            except ProcessLookupError:
                pass
            running.wait()


def _python_path() -> str:
    return os.pathsep.join(str(ROOT / "packages" / p) for p in ("protocol", "centre"))


def port_free(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) != 0
