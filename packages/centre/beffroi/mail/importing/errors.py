"""What keeps an import from going on. ``lasting``: only a person can help, so it stops by itself and says why."""

from __future__ import annotations

from typing import ClassVar

from beffroi.lib.errors import BeffroiError, Invalid, Unavailable


class FieldInvalid(Invalid):
    """This value cannot be used: {}"""

    code = "mail.import_field_invalid"

    def __init__(self, field: str) -> None:
        super().__init__(field)
        self.field = field


class ImportStopped(BeffroiError):
    """The import cannot go on: {}."""

    code = "mail.import_stopped"
    lasting: ClassVar[bool] = True


class AddressInside(ImportStopped):
    """The old mail server {} has an address or a port that may not be asked; see the setting import_networks."""

    code = "mail.import_address_inside"


class NotTrusted(ImportStopped):
    """The certificate of the old mail server {} is not valid for its name."""

    code = "mail.import_not_trusted"


class SignInRefused(ImportStopped):
    """The old mail server {} refuses this name or password."""

    code = "mail.import_sign_in_refused"


class TooManyFolders(ImportStopped):
    """The old mailbox at {} has more folders than can be chosen among."""

    code = "mail.import_too_many_folders"


class MailboxFull(ImportStopped):
    """The new mailbox has no room left."""

    code = "mail.import_mailbox_full"


class AskerGone(ImportStopped):
    """Who asked for this import does not read its mailbox any more; a member gives the old mailbox's password anew."""

    code = "mail.import_asker_gone"


class Cancelled(ImportStopped):
    """The owner of the mailbox cancelled this import; what was copied stays."""

    code = "mail.import_cancelled"


class Unreachable(ImportStopped, Unavailable):
    """The old mail server {} does not answer at the moment; it is asked again."""

    code = "mail.import_unreachable"
    lasting = False


class NotUnderstood(ImportStopped):
    """The old mail server {} answers what is no IMAP; it is asked again."""

    code = "mail.import_not_understood"
    lasting = False


class Throttled(ImportStopped, Unavailable):
    """The old mail server {} asks to be left alone for a while; it is asked again later."""

    code = "mail.import_throttled"
    lasting = False


class NewMailboxAway(ImportStopped, Unavailable):
    """The new mailbox does not answer at the moment; the import goes on by itself."""

    code = "mail.import_mailbox_away"
    lasting = False


class Crashed(ImportStopped):
    """The process of the import ended; it is started again."""

    code = "mail.import_crashed"
    lasting = False
