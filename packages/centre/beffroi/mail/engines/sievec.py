"""Pigeonhole's compiler reads a script before the engines see it.

Process: worker and managesieve, unprivileged: ``sievec`` with a configuration that holds no secret (engines.dovecot).
Hostile: people's own scripts, which Pigeonhole's parser reads here as it does at each delivery; what is compiled is
         thrown away.
Fails:   closed: what could not be read is not kept, nor put in force.
"""

from __future__ import annotations

import resource
import subprocess
import tempfile
from pathlib import Path

TIMEOUT_S = 20
MAX_MEMORY_BYTES = 512 * 1024 * 1024
FAILURES = (OSError, subprocess.TimeoutExpired)
"""It said nothing of the script."""
_NAME = "script"


def fault(conf: Path, script: str) -> str | None:
    """What is wrong: the compiler's lines, which name places and words of the script, "" where it says none. None where
    nothing is. Errors: those of ``FAILURES``."""
    with tempfile.TemporaryDirectory(prefix="sieve-") as folder:
        source = Path(folder) / f"{_NAME}.sieve"
        source.write_text(script, "utf-8", newline="")
        done = subprocess.run(
            ["/usr/bin/sievec", "-c", str(conf), str(source), f"{folder}/{_NAME}.svbin"],
            capture_output=True,
            timeout=TIMEOUT_S,
            check=False,
            preexec_fn=_limits,
        )
    if done.returncode == 0:
        return None
    lines = (done.stderr or done.stdout).decode("utf-8", "replace").splitlines()
    return "\n".join(line.partition(f"{_NAME}: ")[2] for line in lines if f"{_NAME}: " in line)


def _limits() -> None:
    resource.setrlimit(resource.RLIMIT_CPU, (TIMEOUT_S, TIMEOUT_S))
    resource.setrlimit(resource.RLIMIT_AS, (MAX_MEMORY_BYTES, MAX_MEMORY_BYTES))
