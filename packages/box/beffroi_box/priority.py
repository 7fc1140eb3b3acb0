"""The processor for the thread that enforces: at once, whatever else the box is busy with.

Choice:  real-time priority. A usual thread that wakes up beside busy ones, its own loader among them, waits for the
         end of their turn (4 ms, several times), and a better nice value changes nothing about that.
Process: the agent's thread ``follow`` alone; its children begin as usual ones.
Fails:   where it is not permitted (LimitRTPRIO of the unit), the thread goes on as a usual one. The kernel leaves 5 %
         of the time to the others; packets are forwarded by interrupts, which no thread keeps back.
Source:  sched(7).
"""

from __future__ import annotations

import logging
import os

log = logging.getLogger("beffroi_box")

LOWEST_REAL_TIME = 1


def before_all_others() -> None:
    """For the calling thread."""
    policy = os.SCHED_RR | os.SCHED_RESET_ON_FORK
    try:
        os.sched_setscheduler(0, policy, os.sched_param(LOWEST_REAL_TIME))
    except OSError as error:
        log.info("no real-time priority: %s", error.strerror)
