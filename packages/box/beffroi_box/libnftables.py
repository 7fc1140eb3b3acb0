"""nft text into the kernel without a process of nft: one context of Debian's libnftables, one netlink socket.

Process: the loader, CAP_NET_ADMIN only.
Fails:   one text is one kernel transaction: all of it, or RulesRefused and nothing.
Source:  libnftables(3).
"""

from __future__ import annotations

import ctypes

from beffroi_box.errors import RulesRefused

_TERSE = 1 << 11
_ENCODING = "utf-8"


class Nft:
    """For one thread."""

    def __init__(self) -> None:
        """Errors: RulesRefused (no library)."""
        try:
            library = ctypes.CDLL("libnftables.so.1")
        except OSError as error:
            raise RulesRefused(error) from None
        library.nft_ctx_new.restype = ctypes.c_void_p
        for name in ("nft_ctx_get_output_buffer", "nft_ctx_get_error_buffer"):
            getattr(library, name).restype = ctypes.c_char_p
        self._library = library
        self._context = ctypes.c_void_p(library.nft_ctx_new(0))
        library.nft_ctx_output_set_flags(self._context, _TERSE)
        library.nft_ctx_buffer_output(self._context)
        library.nft_ctx_buffer_error(self._context)

    def run(self, text: str) -> str:
        """Return what nft would print, without elements of sets. Errors: RulesRefused."""
        failed = self._library.nft_run_cmd_from_buffer(self._context, text.encode(_ENCODING))
        # Both are read: each reading empties its buffer.
        out: str = self._library.nft_ctx_get_output_buffer(self._context).decode(_ENCODING)
        error = self._library.nft_ctx_get_error_buffer(self._context).decode(_ENCODING)
        if failed:
            raise RulesRefused((error.strip().splitlines() or ["?"])[0][:200])
        return out

    def close(self) -> None:
        self._library.nft_ctx_free(self._context)
