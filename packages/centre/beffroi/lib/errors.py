"""One hierarchy of errors: the docstring is the message, ``code`` is stable and documented.

docs/reference/errors.md is generated from it. Messages never hold content (mail, files, names).
"""

from __future__ import annotations

from typing import ClassVar


class BeffroiError(Exception):
    """Something went wrong: {}"""

    code: ClassVar[str] = "beffroi.error"
    http_status: ClassVar[int] = 500
    retryable: ClassVar[bool] = False

    def __init__(self, *args: object) -> None:
        super().__init__((type(self).__doc__ or "").format(*args))
        self.what = str(args[0]) if args else ""
        """Of which field, thing or right, where it says one."""


class NotFound(BeffroiError):
    """There is no such {}, or it is not yours."""

    # The same answer for absent and forbidden: otherwise identifiers can be probed.
    code = "access.not_found"
    http_status = 404


def existing[T](row: T | None, what: str) -> T:
    """``row``, where there is one. Errors: NotFound."""
    if row is None:
        raise NotFound(what)
    return row


class NotAllowed(BeffroiError):
    """Your role does not allow this: {}."""

    code = "access.not_allowed"
    http_status = 403


class Invalid(BeffroiError):
    """This value cannot be used: {}"""

    code = "input.invalid"
    http_status = 400


class TooLarge(BeffroiError):
    """The request has more than {} bytes."""

    code = "input.too_large"
    http_status = 413


class Conflict(BeffroiError):
    """This cannot be done now: {}"""

    code = "state.conflict"
    http_status = 409


class Unavailable(BeffroiError):
    """{} does not answer at the moment; try again shortly."""

    code = "service.unavailable"
    http_status = 503
    retryable = True
