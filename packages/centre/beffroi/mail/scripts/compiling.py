"""The engine reads a script before it is kept: with the extensions that people's scripts may use, and no others.

Process: managesieve, unprivileged: ``sievec`` with a configuration of its own that holds no secret (engines.dovecot).
Hostile: the script, which Pigeonhole's parser reads here as it does at each delivery; what is compiled is thrown away.
Fails:   closed: what could not be read is not kept.
"""

from __future__ import annotations

import resource
import subprocess
import tempfile
from pathlib import Path

from beffroi.lib.config import Config
from beffroi.mail.engines import layout
from beffroi.mail.scripts.errors import ScriptInvalid

TIMEOUT_S = 20
MAX_MEMORY_BYTES = 512 * 1024 * 1024
MAX_SAID = 2000
_NAME = "script"


def check(config: Config, text: str) -> None:
    """Errors: ScriptInvalid, with the engine's lines, which name places and words of the script itself."""
    with tempfile.TemporaryDirectory(prefix="sieve-") as folder:
        source = Path(folder) / f"{_NAME}.sieve"
        source.write_text(text, "utf-8", newline="")
        command = ["/usr/bin/sievec", "-c", str(layout.Paths(config.state).scripts_conf)]
        try:
            done = subprocess.run(
                [*command, str(source), f"{folder}/{_NAME}.svbin"],
                capture_output=True,
                timeout=TIMEOUT_S,
                check=False,
                preexec_fn=_limits,
            )
        except (OSError, subprocess.TimeoutExpired):
            raise ScriptInvalid("engine") from None
    if done.returncode:
        said = (done.stderr or done.stdout).decode("utf-8", "replace")
        lines = [line.partition(f"{_NAME}: ")[2] for line in said.splitlines() if f"{_NAME}: " in line]
        raise ScriptInvalid("compile", "\n".join(lines)[:MAX_SAID])


def _limits() -> None:
    resource.setrlimit(resource.RLIMIT_CPU, (TIMEOUT_S, TIMEOUT_S))
    resource.setrlimit(resource.RLIMIT_AS, (MAX_MEMORY_BYTES, MAX_MEMORY_BYTES))
