"""Limits of the kernel that the engines need higher than Debian sets them.

Purpose: Dovecot watches each mailbox that a phone waits on by inotify, under the one user of all mailboxes. Debian
         allows a user 128 such watchers; from the 129th on, a waiting phone would keep a process of 2.6 MB to itself.
Process: the supervisor, as root. Until the next start of the machine; set again at each start.
Fails:   open: without the right to set it (a container), phones cost more memory and a notice says so.
Source:  Dovecot's hibernation (doc.dovecot.org 2.4); inotify(7); docs/internals/mail-engines.md.
"""

from __future__ import annotations

from pathlib import Path

WATCHERS = 16_384
_WATCHERS = Path("/proc/sys/fs/inotify/max_user_instances")
_NOTICE = (
    "each phone beyond the {allowed}th that waits for mail costs a process. "
    "Next: set fs.inotify.max_user_instances={wanted} on the host"
)


def raise_watchers(path: Path = _WATCHERS) -> str:
    """Never lowers it. Return what a person should know when it could not be raised, else nothing."""
    allowed = 0
    try:
        allowed = int(path.read_text("ascii"))
        if allowed < WATCHERS:
            path.write_text(f"{WATCHERS}\n", "ascii")
    except (OSError, ValueError):
        return _NOTICE.format(allowed=allowed, wanted=WATCHERS)
    return ""
