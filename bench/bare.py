"""The bare half of `bench mail`: the engines with our configuration and without our hooks.

What:    no rule of ours in rspamd, no question to mailgate, no journal of deliveries, no script of verdicts.
         Encryption, compression, DKIM, quotas, index of words and people's filters are configuration: they stay.
Process: root; the engines start in the datacenter's namespace as the supervisor starts them.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from beffroi.lib import config as config_module
from beffroi.mail.engines import layout, setup
from beffroi_lab.running import Program, wait_until
from beffroi_lab.topology import LabFailed, Network

ENGINES = ("unbound", "scan", "rspamd", "dovecot", "postfix")
_BLOCKS = (
    "sieve_script verdict",
    "event_exporter journal",
    "metric deliveries",
    "auth_policy_request_attributes",
)
_HOOKS = re.compile(
    rf"^(?:auth_policy[_/]\w+ = .*|(?:{'|'.join(_BLOCKS)}) \{{\n(?:[ #].*\n)*\}})\n", re.MULTILINE
)


def without_hooks(dovecot_conf: str) -> str:
    """Dovecot's configuration without ours in it."""
    return _HOOKS.sub("", dovecot_conf)


@contextmanager
def bare_engines(network: Network, state: Path, directory: Path) -> Iterator[dict[str, int]]:
    """Start the engines over the stopped centre's state; the process of each. Errors: LabFailed."""
    config = config_module.load(state)
    paths = layout.Paths(state)
    paths.dovecot_conf.write_text(without_hooks(paths.dovecot_conf.read_text("utf-8")), "utf-8")
    (paths.rspamd / "etc" / "lua.local.d" / "beffroi.lua").unlink()
    running: dict[str, Program] = {}
    try:
        for process in setup.processes(config):
            if process.name in ENGINES:
                running[process.name] = Program(
                    network["dc"],
                    process.argv,
                    directory / f"bare-{process.name}.log",
                    environment=dict(process.environment),
                    directory=process.directory,
                )
        for process in setup.processes(config):
            if process.name in running and not wait_until(lambda p=process: not _unwell(network, p), 90):  # type: ignore[misc]
                raise LabFailed(f"bare {process.name}: {running[process.name].tail()}")
        yield {name: program.process.pid for name, program in running.items()}
    finally:
        for program in running.values():
            program.stop(timeout_s=10)


def _unwell(network: Network, process: Any) -> str:
    """What its own probe says, asked from where it listens."""
    with (
        Path(f"/run/netns/{network['dc'].name}").open("rb") as there,
        Path("/proc/self/ns/net").open("rb") as here,
    ):
        os.setns(there.fileno(), os.CLONE_NEWNET)
        try:
            return str(process.healthy())
        finally:
            os.setns(here.fileno(), os.CLONE_NEWNET)
