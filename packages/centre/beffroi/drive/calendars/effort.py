"""How long one question may keep a thread busy: so much of the processor's time, then it ends.

Why:     a calendar that many write in holds thousands of entries, each with thousands of legal dates; who asks for a
         week walks through all of them, and one process serves all collectivités.
Process: calendars; ``install`` once. vobject makes the dates of an entry, for Radicale and for us: there they count. It
         reads lines by the expression of ``lines``, since one of its own never comes back to where time is asked for.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import date
from functools import wraps
from typing import Any

import vobject
from vobject.icalendar import RecurringComponent

from beffroi.drive.calendars import lines

MOST_CPU_S = 4.0


class Spent(BaseException):
    """A question took too much. No ``Exception``: Radicale would call it a mistake of its own, and answer so."""


class _Own(threading.local):
    end_s: float | None = None


_own = _Own()


@contextmanager
def bounded(most_cpu_s: float | None = None) -> Iterator[None]:
    """What this thread does within. ``most_cpu_s``: MOST_CPU_S where None. Errors: Spent."""
    _own.end_s = time.thread_time() + (MOST_CPU_S if most_cpu_s is None else most_cpu_s)
    try:
        yield
    finally:
        _own.end_s = None


def require() -> None:
    """There is time left. Errors: Spent."""
    if _own.end_s is not None and time.thread_time() >= _own.end_s:
        raise Spent


def install() -> None:
    """Twice does nothing more than once."""
    vobject.base.line_re = lines.AS_VOBJECT
    if not hasattr(RecurringComponent.getrruleset, "__wrapped__"):
        RecurringComponent.getrruleset = _counted(RecurringComponent.getrruleset)


def _counted(getrruleset: Any) -> Any:
    @wraps(getrruleset)
    def counted(*args: Any, **options: Any) -> Any:
        found = getrruleset(*args, **options)
        if found is not None:
            dates = found._iter  # what dateutil walks by, whoever asks

            def walked() -> Iterator[date]:
                for one in dates():
                    require()
                    yield one

            found._iter = walked
        return found

    return counted
