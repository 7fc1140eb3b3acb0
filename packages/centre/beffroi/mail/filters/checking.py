"""A script is compiled before the engines see it.

Process: worker, unprivileged: ``sievec`` with a configuration of its own that holds no secret (engines.dovecot).
Hostile: nothing new: the text is ``filters.sieve``'s, in which people's words stand as strings.
Fails:   closed: ScriptRefused, and the script in force stays.
"""

from __future__ import annotations

import subprocess
import tempfile
from pathlib import Path

from beffroi.lib.config import Config
from beffroi.lib.errors import BeffroiError
from beffroi.mail.engines import layout

TIMEOUT_S = 20


class ScriptRefused(BeffroiError):
    """The script of the mailbox {} does not compile"""

    code = "mail.script_refused"


def check(config: Config, name: str, script: str) -> None:
    """``name``: what the error speaks of. Errors: ScriptRefused; never with a word of the script."""
    with tempfile.TemporaryDirectory(prefix="sieve-") as folder:
        source = Path(folder) / "script.sieve"
        source.write_text(script, "utf-8", newline="")
        command = ["/usr/bin/sievec", "-c", str(layout.Paths(config.state).sievec_conf)]
        try:
            done = subprocess.run(
                [*command, str(source), f"{folder}/script.svbin"],
                capture_output=True,
                timeout=TIMEOUT_S,
                check=False,
            )
        except (OSError, subprocess.TimeoutExpired):
            raise ScriptRefused(name) from None
    if done.returncode:
        raise ScriptRefused(name)
