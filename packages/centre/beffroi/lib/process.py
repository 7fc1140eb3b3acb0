"""What the supervisor needs to know about a process. Pure: the supervisor acts on it."""

from __future__ import annotations

import signal
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path


@dataclass(frozen=True)
class Process:
    """One row of the process table in ARCHITECTURE.md.

    ``healthy`` returns "" when the process does its work, else one sentence that says what is wrong.
    ``user`` None means: the user of the supervisor (an engine that drops privileges by itself).
    """

    name: str
    argv: tuple[str, ...]
    healthy: Callable[[], str]
    user: str | None = None
    group: str | None = None
    """Primary group instead of the user's own, which stays as a second one: it opens the secrets of this process,
    and keeps processes of the same user with another group out of its memory (ptrace(2))."""
    environment: Mapping[str, str] = field(default_factory=dict)
    directory: Path | None = None
    network: bool = True
    """False: it starts in a network namespace of its own, which has nothing in it, where the supervisor may make one.
    Sockets of the file system work all the same."""
    socket: Path | None = None
    """A socket that it binds: what a killed predecessor left of it is removed before each start."""
    start_timeout_s: float = 30.0
    stop_signal: signal.Signals = signal.SIGTERM
    stop_timeout_s: float = 20.0
    restart_when_unwell: bool = True
    """Whether a process that answers no longer, for minutes, is restarted; not when the cause may lie behind it."""
    restart_when_set_back: bool = False
    """Whether it has to begin anew when the machine's clock was set back."""
    dies_without_log: bool = False
    """Whether it ends when its log cannot be written: room for some is kept then."""
    advice: str = ""
    """What to do when it will not start: one sentence for a person."""
