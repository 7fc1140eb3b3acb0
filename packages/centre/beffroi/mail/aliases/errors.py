"""What may be wrong with an alias."""

from __future__ import annotations

from beffroi.lib.errors import Conflict, Invalid


class AddressTaken(Conflict):
    """This address exists already as a {}; an address is one thing, for ever."""

    code = "mail.address_taken"

    def __init__(self, what: str) -> None:
        super().__init__(what)
        self.what = what
        """mailbox, closed (a mailbox), alias or ended (an alias)."""


class TooManyTargets(Conflict):
    """An alias leads to {} mailboxes at most."""

    code = "mail.alias_full"


class NoTarget(Invalid):
    """An alias leads to one open mailbox of the same collectivité at least."""

    code = "mail.alias_without_target"


class AliasLoop(Conflict):
    """This mailbox forwards its mail to this alias; end the forward first."""

    code = "mail.alias_loop"
