"""Counts refused look-ups from Unbound's log of local actions.

Purpose: which listed names were asked for, and how often. Who asked is in the line, and is thrown away here.
Process: a thread of the agent; the log lies in STATE/resolver/log and is emptied when read and long.
Input:   names come from LAN clients: hostile; only names on the list are counted.
Fails:   without it nothing is counted, names are refused all the same.
"""

from __future__ import annotations

import re
from pathlib import Path

MAX_LOG_BYTES = 1 << 20
_LINE = re.compile(rb"info: ([A-Za-z0-9_.-]{1,254})\.? always_nxdomain ")


class RefusalLog:
    def __init__(self, path: Path) -> None:
        self._path = path
        self._offset = path.stat().st_size if path.exists() else 0
        self._rest = b""

    def read(self) -> list[str]:
        """Return the listed names refused since the last call, one for each look-up. Errors: OSError."""
        try:
            size = self._path.stat().st_size
        except FileNotFoundError:
            return []
        if size < self._offset:
            self._offset, self._rest = 0, b""
        with self._path.open("rb") as file:
            file.seek(self._offset)
            data = file.read(MAX_LOG_BYTES)
            self._offset = file.tell()
        if self._offset > MAX_LOG_BYTES:
            # Unbound appends, so it goes on at the new end.
            with self._path.open("r+b") as file:
                file.truncate(0)
            self._offset = 0
        lines = (self._rest + data).split(b"\n")
        self._rest = lines.pop()[-4096:]
        return [m.group(1).rstrip(b".").decode().lower() for line in lines if (m := _LINE.search(line))]
