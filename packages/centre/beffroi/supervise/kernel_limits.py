"""What the kernel has to do for the engines, and does not as Debian sets it.

Purpose: Dovecot watches each mailbox that a phone waits on by inotify, under the one user of all mailboxes. Debian
         allows a user 128 such watchers; from the 129th on, a waiting phone would keep a process of 2.6 MB to itself.
         Behind some routers long packets vanish, and no ICMP says so: a mail with a file would never arrive there, nor
         a download here, unless TCP tries shorter ones by itself.
Process: the supervisor, as root. Until the next start of the machine; set again at each start.
Fails:   open: without the right to set it (a container) a notice says what is worse for it.
Source:  Dovecot's hibernation (doc.dovecot.org 2.4); inotify(7); RFC 4821, tcp(7); docs/internals/mail-engines.md.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Limit:
    """``lack``: what is worse where less than ``wanted`` stands in ``path``."""

    path: Path
    wanted: int
    lack: str

    def raise_(self) -> str:
        """Never lowers it. Return what a person should know when it could not be raised, else nothing."""
        allowed = 0
        try:
            allowed = int(self.path.read_text("ascii"))
            if allowed < self.wanted:
                self.path.write_text(f"{self.wanted}\n", "ascii")
        except (OSError, ValueError):
            name = ".".join(self.path.parts[-3:])
            return f"{self.lack.format(allowed=allowed)}. Next: set {name}={self.wanted} on the host"
        return ""


LIMITS = (
    Limit(
        Path("/proc/sys/fs/inotify/max_user_instances"),
        16_384,
        "each phone beyond the {allowed}th that waits for mail costs a process",
    ),
    Limit(
        Path("/proc/sys/net/ipv4/tcp_mtu_probing"),
        1,
        "long mails do not arrive behind lines that swallow long packets and tell nobody",
    ),
)
