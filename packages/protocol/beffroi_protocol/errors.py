"""Errors of the protocol. The docstring is the message; ``code`` is stable and documented."""

from __future__ import annotations

from typing import ClassVar

import msgspec

UNDECODABLE = (msgspec.MsgspecError, ValueError, RecursionError)
"""What decoding raises: for a string whose bytes are no UTF-8 a ValueError of Python's, unlike for all else."""


class ProtocolError(Exception):
    """A message of the feed could not be used: {}"""

    code: ClassVar[str] = "protocol.error"

    def __init__(self, *args: object) -> None:
        super().__init__((type(self).__doc__ or "").format(*args))


class IndicatorInvalid(ProtocolError):
    """Not a valid {} indicator: {}"""

    code = "indicator.invalid"


class MessageMalformed(ProtocolError):
    """The message does not decode: {}"""

    code = "message.malformed"


class MessageTooLarge(ProtocolError):
    """The message has {} bytes; at most {} are accepted."""

    code = "message.too_large"


class VersionUnknown(ProtocolError):
    """The message has protocol version {}; this side understands {} to {}. Update the older side."""

    code = "message.version_unknown"


class SignatureInvalid(ProtocolError):
    """The signature of key {} does not fit the message."""

    code = "signature.invalid"


class KeyUnknown(ProtocolError):
    """Key {} is not delegated by the pinned root for the role {}."""

    code = "key.unknown"


class KeyExpired(ProtocolError):
    """The delegation of key {} ended at {}."""

    code = "key.expired"


class KeyNotYet(ProtocolError):
    """The delegation of key {} begins at {}; the message is older."""

    code = "key.not_yet"


class KeyRetired(ProtocolError):
    """The delegation of key {} has serial {}, which a later one replaced."""

    code = "key.retired"


class EpochBehind(ProtocolError):
    """Channel {} is at epoch {}; the message is of epoch {}."""

    code = "feed.epoch_behind"


class BatchReplayed(ProtocolError):
    """Channel {} is at version {}; the batch ends at {}."""

    code = "feed.replayed"


class ChainBroken(ProtocolError):
    """Channel {} is at version {} with another head; a snapshot is needed."""

    code = "feed.chain_broken"


class StateDamaged(ProtocolError):
    """The saved state is damaged: {}"""

    code = "state.damaged"


class FileMismatch(ProtocolError):
    """The file is not the one that was announced: {}"""

    code = "file.mismatch"


class ListInvalid(ProtocolError):
    """The list {} is not usable: {}"""

    code = "list.invalid"
