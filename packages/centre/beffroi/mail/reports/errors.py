"""Why a mail to the reports' address gave no report. Only the code is kept: it says nothing of the content."""

from __future__ import annotations

from beffroi.lib.errors import BeffroiError


class ReportRefused(BeffroiError):
    """No report could be read: {}"""

    code = "report.refused"
    http_status = 400


class NoReport(ReportRefused):
    """The mail brings no report."""

    code = "report.none"


class TooBig(ReportRefused):
    """The mail, or what its archive holds, is larger than {}."""

    code = "report.too_big"


class TooMany(ReportRefused):
    """The mail or the report has more than {}."""

    code = "report.too_many"


class Unreadable(ReportRefused):
    """The report cannot be read: {}"""

    code = "report.unreadable"


class Declared(ReportRefused):
    """The report declares a document type or entities: no honest one does."""

    code = "report.declared"


class OtherDomain(ReportRefused):
    """The report is about a domain that is not enrolled here."""

    code = "report.other_domain"


class UnknownMail(ReportRefused):
    """The complaint is about no mail that left a mailbox of ours within the days that are kept."""

    code = "report.unknown_mail"


class Crashed(ReportRefused):
    """The report was too much for the process that reads it."""

    code = "report.crashed"
