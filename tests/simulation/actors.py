"""Who acts in the world, and how often: people, hostile machines, misfortune.

Each function of ``ACTIONS`` is one deed at one moment; the seed draws when and which.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from tests.simulation import hostile, local, misfortune, people, trying

if TYPE_CHECKING:
    from tests.simulation.world import World

ACTIONS: dict[Callable[[World], None], int] = {
    people.honest_report: 10, people.lying_report: 5, people.conspiracy: 2, people.confirm: 3, people.undo: 4,
    people.withdraw: 4, people.approve: 2, people.revoke: 3,
    people.block: 9, people.protected_by_mistake: 1, people.stolen_console: 2, people.policy: 2,
    hostile.lying_box: 4, hostile.hostile_middle: 8, hostile.attack: 6,
    local.allow: 5, local.close: 1, local.allow_for_all: 1, local.never_again: 2, local.take_back: 1,
    local.publish_list: 5, local.withdraw_list: 1, trying.source_brings: 4, trying.answer: 1,
    misfortune.partition: 4, misfortune.crash_box: 5, misfortune.keep_state: 2, misfortune.disk: 2,
    misfortune.clock_jump: 2, misfortune.engines: 2, misfortune.door_restarts: 2, misfortune.stream_dies: 4,
    misfortune.rotate: 1, misfortune.backup: 3, misfortune.restore: 2,
}  # fmt: skip
