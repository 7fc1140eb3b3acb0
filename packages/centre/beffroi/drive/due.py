"""What is to be looked at, and from when on: at once, or again after a while where something failed. One thread."""

from __future__ import annotations

from beffroi.lib import clock


class Due:
    """Nothing waits twice. What waits longest comes first, so that a busy one keeps no other from its turn."""

    def __init__(self) -> None:
        self._at_s: dict[str, float] = {}

    def now(self, one: str) -> None:
        self.after(one, 0.0)

    def after(self, one: str, wait_s: float) -> None:
        """Sooner, where it waited for an earlier moment."""
        at_s = clock.steady_s() + wait_s
        self._at_s[one] = min(self._at_s.get(one, at_s), at_s)

    def wait_s(self) -> float | None:
        """Until the first is due; None where nothing waits."""
        return max(0.0, min(self._at_s.values()) - clock.steady_s()) if self._at_s else None

    def first(self) -> str | None:
        """Taken out; None where none is due yet."""
        one = min(self._at_s, key=self._at_s.__getitem__, default=None)
        if one is None or self._at_s[one] > clock.steady_s():
            return None
        del self._at_s[one]
        return one
