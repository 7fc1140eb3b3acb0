"""What Django logs of a request that was refused or that failed: which page it was, and not its address.

Attack:  the addresses of some pages are secrets, such as a link for people without an account: who reads a log must not
         be able to open it. Pure.
"""

from __future__ import annotations

import logging


class Routes(logging.Filter):
    """The path of a request becomes the route that it took, "-" where it took none."""

    def filter(self, record: logging.LogRecord) -> bool:
        request = getattr(record, "request", None)
        path = getattr(request, "path", None)
        if path is not None and isinstance(record.args, tuple):
            route = getattr(getattr(request, "resolver_match", None), "route", "-")
            record.args = tuple(route if one == path else one for one in record.args)
        return True
