"""What can be wrong with an outside source. ``code`` travels from the fetching process to the console's page.

``args[0]``, where there is one, is a short detail (a host, a status, a line number), never content of the list.
"""

from __future__ import annotations

from beffroi.lib.errors import BeffroiError


class SourceError(BeffroiError):
    """The source cannot be used: {}"""

    code = "source.unusable"
    http_status = 400

    def __init__(self, detail: object = "") -> None:
        super().__init__(detail)
        self.detail = str(detail)[:120]


class AddressInvalid(SourceError):
    """The address of a source begins with https:// and names a host; it holds no password: {}"""

    code = "source.address_invalid"


class KeyMissing(SourceError):
    """This publisher wants a key: ask it for one, and enter it beside the account."""

    code = "source.key_missing"


class AddressInside(SourceError):
    """The host {} has an address of a private network; list its network in the setting sources_networks."""

    code = "source.address_inside"


class Unreachable(SourceError):
    """The server does not answer: {}"""

    code = "source.unreachable"


class NotTrusted(SourceError):
    """The certificate of {} is not valid."""

    code = "source.not_trusted"


class Refused(SourceError):
    """The server answers {}."""

    code = "source.refused"


class Moved(SourceError):
    """The source has moved to {}; nothing was fetched there. Check it, then change the address."""

    code = "source.moved"


class TooSlow(SourceError):
    """The source was not read within {} seconds."""

    code = "source.too_slow"


class TooBig(SourceError):
    """The source has more than {}, unpacked."""

    code = "source.too_big"


class ArchiveUnusable(SourceError):
    """The archive cannot be unpacked: {}"""

    code = "source.archive"


class NotText(SourceError):
    """The source is not UTF-8 text: {}"""

    code = "source.not_text"


class WebPage(SourceError):
    """A web page came instead of a list{}; the address may need an account."""

    code = "source.web_page"


class Unreadable(SourceError):
    """The source is not in the format that was chosen: {}"""

    code = "source.unreadable"


class TooDeep(SourceError):
    """The source nests too deep{}; nothing honest looks like this."""

    code = "source.too_deep"


class Crashed(SourceError):
    """Reading the source took too much memory or time, and was stopped{}."""

    code = "source.crashed"


class NothingInIt(SourceError):
    """The source holds no usable indicator{}."""

    code = "source.nothing_in_it"
