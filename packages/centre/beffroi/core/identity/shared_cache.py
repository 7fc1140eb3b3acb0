"""The cache that all processes of web share, honest about a disk that is full, and throwing out nothing that holds.

Purpose: Django's database cache says "somebody else holds this key" also when it could not write. The sign-in's rate
         limits take that for a lock, and answer "too many tries" to the first try of a person. And where it holds too
         many entries it throws a third of them out, the first in the alphabet: counts of tries at the console among
         them, by whoever has a rented server with its thousands of networks.
Fails:   closed: without a place to count, nobody signs in; but the page says why, and what to do.
"""

from __future__ import annotations

import secrets
from typing import Any

from django.core.cache.backends.db import DatabaseCache

from beffroi.lib.errors import Unavailable


class StorageFull(Unavailable):
    """The centre cannot write ({}): its disk is full or its database refuses. Next: ./beffroi status on the centre."""

    code = "storage.full"


class SharedCache(DatabaseCache):
    def add(self, key: Any, value: Any, timeout: Any = ..., version: int | None = None) -> bool:
        """Errors: StorageFull where neither this key nor somebody else's could be written."""
        options = {"version": version} if timeout is ... else {"version": version, "timeout": timeout}
        if super().add(key, value, **options):
            return True
        if self.has_key(key, version=version):
            return False
        # It ended between the two questions, or nothing can be written: a key that nobody else asks for tells.
        probe = f"written:{secrets.token_hex(16)}"
        if not super().add(probe, 1, timeout=1):
            raise StorageFull("cache")
        self.delete(probe)
        return super().add(key, value, **options)

    def _cull(self, db: str, cursor: Any, now: Any, num: int) -> None:
        """What is over, and nothing else: whoever fills it would try anew. What a flood leaves goes with its window."""
        # So few that none of those that hold has to go.
        super()._cull(db, cursor, now, 0)  # type: ignore[misc] # the stubs have no such method
