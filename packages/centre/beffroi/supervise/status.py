"""What the supervisor knows, as a file that anyone may read: STATE/supervisor/status.json.

Purpose: `./beffroi status`, readiness for scripts and the laboratory (STATE/run/ready.json has the same form).
Process: written by the supervisor by rename; it holds no secret and no personal data.
Format:  docs/reference/status.md.
"""

from __future__ import annotations

import fcntl
import json
import os
from dataclasses import asdict, dataclass, field
from pathlib import Path

from beffroi.lib.config import Config
from beffroi.lib.errors import BeffroiError
from beffroi.lib.locks import open_lock
from beffroi.supervise import children


class AlreadyRunning(BeffroiError):
    """The centre of {} runs already (process {}). See it with ./beffroi status, stop it with ./beffroi stop."""

    code = "supervise.already_running"


@dataclass
class ProcessStatus:
    """``state``: waiting, starting, healthy, unwell, restarting, stopped. ``since``: epoch seconds."""

    name: str
    state: str = "waiting"
    pid: int = 0
    since: int = 0
    restarts: int = 0
    problem: str = ""
    advice: str = ""
    log: str = ""


@dataclass
class CentreStatus:
    pid: int
    state_directory: str
    started_at: int
    ready: bool = False
    stopping: bool = False
    written_at: int = 0
    addresses: dict[str, str] = field(default_factory=dict)
    notices: list[str] = field(default_factory=list)
    processes: list[ProcessStatus] = field(default_factory=list)


def directory(config: Config) -> Path:
    """The supervisor's own files. Root's: nothing that an unprivileged process could replace."""
    return config.state / "supervisor"


def status_path(config: Config) -> Path:
    return directory(config) / "status.json"


def ready_path(config: Config) -> Path:
    return config.run / "ready.json"


def write(path: Path, status: CentreStatus, *, draft_directory: Path) -> None:
    draft = draft_directory / f"{path.name}.new"
    draft.write_text(json.dumps(asdict(status), ensure_ascii=False), "utf-8")
    draft.chmod(0o644)
    draft.replace(path)


def read(config: Config) -> CentreStatus | None:
    """The last status written, by a supervisor that may be gone (ask ``running_pid``)."""
    try:
        values = json.loads(status_path(config).read_text("utf-8"))
        processes = [ProcessStatus(**one) for one in values.pop("processes")]
        return CentreStatus(**values, processes=processes)
    except (OSError, ValueError, TypeError, KeyError):
        return None


class Lock:
    """Held by the one supervisor of a state directory; the kernel lets go of it when that dies."""

    def __init__(self, config: Config) -> None:
        folder = directory(config)
        folder.mkdir(parents=True, exist_ok=True)
        folder.chmod(0o755)
        self._descriptor = open_lock(folder / "lock")
        try:
            fcntl.flock(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(self._descriptor)
            raise AlreadyRunning(config.state, running_pid(config) or "unknown") from None
        self._running = running_path(config)
        children.write_records(self._running, [children.recorded("supervisor", os.getpid())])
        self._running.chmod(0o644)

    def release(self) -> None:
        children.forget(self._running)
        os.close(self._descriptor)


def running_path(config: Config) -> Path:
    """Who holds the lock, for anybody to read."""
    return directory(config) / "running.json"


def running_pid(config: Config) -> int:
    """Process id of the supervisor of this state directory, 0 if none runs."""
    return next((one.pid for one in children.read_records(running_path(config)) if children.lives(one)), 0)
