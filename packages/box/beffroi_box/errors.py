"""Errors of the agent: the docstring is the message, ``code`` is stable. Messages hold no content."""

from __future__ import annotations

from typing import ClassVar


class BoxError(Exception):
    """The box could not do this: {}"""

    code: ClassVar[str] = "box.error"

    def __init__(self, *args: object) -> None:
        super().__init__((type(self).__doc__ or "").format(*args))


class ConfigInvalid(BoxError):
    """Setting {} in {}: {}"""

    code = "box.config_invalid"


class NotEnrolled(BoxError):
    """This box is not enrolled yet. Ask the Département for a code, then: beffroi-box enrol CODE --centre URL"""

    code = "box.not_enrolled"


class IdentityDamaged(BoxError):
    """Both copies of this box's identity are damaged. It asks the centre for it again with its own key"""

    code = "box.identity_damaged"


class KeyUnreadable(BoxError):
    """Both copies of {} are damaged: this box cannot prove who it is. Ask the Département to replace it; then move
    the state directory away and enrol with the new code"""

    code = "box.key_unreadable"


class EnrolRefused(BoxError):
    """The centre refused: {}"""

    code = "box.enrol_refused"


class NotConfirmed(EnrolRefused):
    """Nobody confirmed the fingerprint in time. The code still counts: run the same command again"""


class CentreUnreachable(BoxError):
    """The centre does not answer: {}"""

    code = "box.centre_unreachable"


class CentreRefused(BoxError):
    """The centre answered {} ({})"""

    code = "box.centre_refused"

    def __init__(self, status: int, problem: str) -> None:
        super().__init__(status, problem)
        self.status = status
        self.problem = problem


class RulesRefused(BoxError):
    """The kernel refused the rules: {}"""

    code = "box.rules_refused"


class ResolverUnavailable(BoxError):
    """The resolver does not answer: {}"""

    code = "box.resolver_unavailable"


class PolicyInvalid(BoxError):
    """The policy cannot be used: {}"""

    code = "box.policy_invalid"


class LabelFailed(BoxError):
    """The QR code could not be made. Next: {}"""

    code = "box.label_failed"


class LoadFailed(BoxError):
    """A list could not be brought into force ({}): {}"""

    code = "box.load_failed"

    def __init__(self, cause: str, trouble: str) -> None:
        super().__init__(cause, trouble)
        self.cause = cause
