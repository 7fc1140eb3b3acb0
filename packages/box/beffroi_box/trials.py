"""Which policies are worth a trial now. Pure: the caller brings the time.

Rule:    a policy that was rolled back stays noted. The same version is tried again only after the centre sent it
         again (at each connection it sends the current one), and not sooner than ``POLICY_RETRY_S`` after the last
         failure: a trial may cut the town hall for some seconds. A later version is tried at once.
"""

from __future__ import annotations

from beffroi_protocol.messages import PolicyMessage

POLICY_RETRY_S = 600.0


class Trials:
    """``offer`` each received policy, ask ``due``, report by ``failed`` or ``proved``."""

    def __init__(self) -> None:
        self._waiting: tuple[PolicyMessage, bytes] | None = None
        self._failed_version = 0
        self._failed_at = 0.0

    def offer(self, message: PolicyMessage, line: bytes) -> None:
        if self._waiting is None or message.policy_version >= self._waiting[0].policy_version:
            self._waiting = (message, line)

    def due(self, *, in_force: int, monotonic: float) -> tuple[PolicyMessage, bytes] | None:
        """Return the policy to try now, and forget it; one whose time has not come stays."""
        if self._waiting is None:
            return None
        version = self._waiting[0].policy_version
        if version <= in_force:
            self._waiting = None
            return None
        if version == self._failed_version and monotonic - self._failed_at < POLICY_RETRY_S:
            return None
        found, self._waiting = self._waiting, None
        return found

    def failed(self, version: int, *, monotonic: float) -> None:
        self._failed_version, self._failed_at = version, monotonic

    def proved(self) -> None:
        self._failed_version = 0
