"""What every test would make anew, and need not: accounts' hashes, DKIM keys, what a page's middleware reads at its
start. Each is the real thing; only its number or its cost is less.
"""

from __future__ import annotations

from beffroi.core.identity.hashers import CappedArgon2PasswordHasher
from beffroi.mail.domains import dkim
from whitenoise.middleware import WhiteNoiseMiddleware

_pairs: list[dkim.KeyPair] = []
_given = 0
_new_pair = dkim.new_pair
_served: dict[str, dict[str, object]] = {}
_look_for_files = WhiteNoiseMiddleware.add_files_from_finders


def hold() -> None:
    """From now on, in this process."""
    CappedArgon2PasswordHasher.time_cost = 1  # its lowest cost: tests make many accounts
    CappedArgon2PasswordHasher.memory_cost = 64
    dkim.new_pair = _pair
    WhiteNoiseMiddleware.add_files_from_finders = _files


def begin_file() -> None:
    """In one file of tests no key comes twice; the next file has the same ones."""
    global _given  # noqa: PLW0603 - one count a process, as there is one list
    _given = 0


def _pair() -> dkim.KeyPair:
    global _given  # noqa: PLW0603
    if _given == len(_pairs):
        _pairs.append(_new_pair())
    _given += 1
    return _pairs[_given - 1]


def _files(made: WhiteNoiseMiddleware) -> None:
    """Each test's browser has a middleware of its own; its files are those of the others."""
    if made.static_prefix not in _served:
        _look_for_files(made)
        _served[made.static_prefix] = made.files
    made.files = _served[made.static_prefix]
