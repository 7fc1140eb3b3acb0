"""Argon2 for account passwords, with a cap on how many run at once.

One hash takes 64 MiB and a third of a second: without the cap, a flood of sign-ins would take the machine.
"""

from __future__ import annotations

import threading

from django.contrib.auth.hashers import Argon2PasswordHasher

MAX_AT_ONCE = 2
_slots = threading.BoundedSemaphore(MAX_AT_ONCE)


class CappedArgon2PasswordHasher(Argon2PasswordHasher):
    time_cost = 3
    memory_cost = 64 * 1024
    parallelism = 1

    def encode(self, password: str, salt: str) -> str:
        with _slots:
            return super().encode(password, salt)

    def verify(self, password: str, encoded: str) -> bool:
        with _slots:
            return super().verify(password, encoded)
