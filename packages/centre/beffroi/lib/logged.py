"""A line of a log of ours: its time, and which page was refused or failed, not its address.

Attack:  the addresses of some pages are secrets, such as a link for people without an account: who reads a log must not
         be able to open it. Pure.
"""

from __future__ import annotations

import logging
from datetime import datetime

from beffroi.lib.clock import PLACE


class Line(logging.Formatter):
    """Times of ISO 8601 with their distance to UTC: an hour that comes twice in October is two."""

    def __init__(self) -> None:
        super().__init__("%(asctime)s %(levelname)s %(name)s %(message)s")

    def formatTime(self, record: logging.LogRecord, datefmt: str | None = None) -> str:  # noqa: N802 - logging's name
        return datetime.fromtimestamp(record.created, PLACE).isoformat(timespec="milliseconds")


def to_stderr(level: int = logging.INFO) -> None:
    """Of a process without Django; the supervisor keeps what is written there."""
    handler = logging.StreamHandler()
    handler.setFormatter(Line())
    logging.basicConfig(level=level, handlers=[handler])


class Routes(logging.Filter):
    """The path of a request becomes the route that it took, "-" where it took none."""

    def filter(self, record: logging.LogRecord) -> bool:
        request = getattr(record, "request", None)
        path = getattr(request, "path", None)
        if path is not None and isinstance(record.args, tuple):
            route = getattr(getattr(request, "resolver_match", None), "route", "-")
            record.args = tuple(route if one == path else one for one in record.args)
        return True
