"""Mails with DMARC and TLS reports as Google, Microsoft, Yahoo and others send them, written after their formats."""

from __future__ import annotations

import gzip
import io
import json
import zipfile
from collections.abc import Sequence
from datetime import UTC, datetime
from email.message import EmailMessage

DAY_S = 86400
OURS, BREVO, SPAMMER, LIST = "192.0.2.25", "77.32.148.21", "45.155.204.9", "198.51.100.99"
Row = tuple[str, int, bool, bool, str, str, str]
"""(address, count, dkim aligned, spf aligned, DKIM domain that passed, SPF domain that passed, reason)."""
GOOD: Row = (OURS, 40, True, True, "beaune.test", "beaune.test", "")


def _auth(row: Row) -> str:
    _, _, _, _, dkim, spf, _ = row
    signed = (
        f"<dkim><domain>{dkim}</domain><result>pass</result><selector>s1</selector></dkim>" if dkim else ""
    )
    checked = f"<spf><domain>{spf or 'x.invalid'}</domain><result>{'pass' if spf else 'fail'}</result></spf>"
    return signed + checked


def _record(row: Row, domain: str) -> str:
    address, count, dkim, spf, *_, reason = row
    why = f"<reason><type>{reason}</type><comment>arc=pass</comment></reason>" if reason else ""
    word = {True: "pass", False: "fail"}
    return (
        f"<record><row><source_ip>{address}</source_ip><count>{count}</count><policy_evaluated>"
        f"<disposition>none</disposition><dkim>{word[dkim]}</dkim><spf>{word[spf]}</spf>{why}</policy_evaluated></row>"
        f"<identifiers><header_from>{domain}</header_from></identifiers>"
        f"<auth_results>{_auth(row)}</auth_results></record>"
    )


def google(rows: Sequence[Row], *, begin_s: int, domain: str = "beaune.test", number: str = "1") -> bytes:
    """No namespace, no schema version, one record a line."""
    return (
        '<?xml version="1.0" encoding="UTF-8" ?>\n<feedback>\n  <report_metadata><org_name>google.com</org_name>'
        "<email>noreply-dmarc-support@google.com</email><extra_contact_info>https://support.google.com/a/answer/2466580"
        f"</extra_contact_info><report_id>{number}</report_id><date_range><begin>{begin_s}</begin>"
        f"<end>{begin_s + DAY_S - 1}</end></date_range></report_metadata>\n"
        f"  <policy_published><domain>{domain}</domain>"
        "<adkim>r</adkim><aspf>r</aspf><p>none</p><sp>none</sp><pct>100</pct><np>none</np></policy_published>\n"
        + "\n".join(_record(one, domain) for one in rows)
        + "\n</feedback>\n"
    ).encode()


def microsoft(rows: Sequence[Row], *, begin_s: int, domain: str = "beaune.test", number: str = "m1") -> bytes:
    """A version, the namespaces of XML schema, envelope names beside the visible one."""
    records = "".join(
        _record(one, domain).replace(
            "<identifiers>",
            "<identifiers><envelope_to>outlook.com</envelope_to><envelope_from>x.test</envelope_from>",
        )
        for one in rows
    )
    return (
        '<?xml version="1.0"?><feedback xmlns:xsd="http://www.w3.org/2001/XMLSchema"'
        ' xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance"><version>1.0</version><report_metadata>'
        "<org_name>Outlook.com</org_name><email>dmarcreport@microsoft.com</email>"
        f"<report_id>{number}</report_id><date_range><begin>{begin_s}</begin><end>{begin_s + DAY_S}</end></date_range>"
        f"</report_metadata><policy_published><domain>{domain}</domain><adkim>r</adkim><aspf>r</aspf><p>none</p>"
        f"<sp>none</sp><pct>100</pct><fo>0</fo></policy_published>{records}</feedback>"
    ).encode()


def prefixed(rows: Sequence[Row], *, begin_s: int, domain: str = "beaune.test") -> bytes:
    """Every element in a namespace with a prefix; ``identities``; dates with decimals; no disposition."""
    text = google(rows, begin_s=begin_s, domain=domain, number="p1").decode()
    text = text.replace("identifiers>", "identities>").replace("<disposition>none</disposition>", "")
    text = text.replace(f"<begin>{begin_s}<", f"<begin>{begin_s}.0<")
    head, _, body = text.partition("<feedback>")
    body = body.replace("</", "\0").replace("<", "<d:").replace("\0", "</d:")
    return f'{head}<d:feedback xmlns:d="urn:ietf:params:xml:ns:dmarc-2.0">{body}'.encode()


def tls(
    *, begin_s: int, domains: Sequence[str] = ("beaune.test",), failed: int = 3, number: str = "t1"
) -> bytes:
    """Google's form; numbers of failures as RFC 8460's example has them."""
    days = [
        datetime.fromtimestamp(one, UTC).isoformat().replace("+00:00", "Z")
        for one in (begin_s, begin_s + DAY_S)
    ]
    policies = [
        {
            "policy": {
                "policy-type": "sts",
                "policy-string": ["version: STSv1", "mode: testing", "mx: mx.beffroi.test", "max_age: 86400"],
                "policy-domain": one,
                "mx-host": ["mx.beffroi.test"],
            },
            "summary": {"total-successful-session-count": 120, "total-failure-session-count": failed},
            "failure-details": [
                {
                    "result-type": "certificate-expired",
                    "sending-mta-ip": "209.85.219.198",
                    "receiving-mx-hostname": "mx.beffroi.test",
                    "failed-session-count": failed,
                }
            ],
        }
        for one in domains
    ]
    told = {
        "organization-name": "Google Inc.",
        "date-range": {"start-datetime": days[0], "end-datetime": days[1]},
        "contact-info": "smtp-tls-reporting@google.com",
        "report-id": number,
        "policies": policies,
    }
    return json.dumps(told).encode()


def zipped(text: bytes, name: str = "google.com!beaune.test!1!2.xml") -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(name, text)
    return out.getvalue()


def mail(
    body: bytes,
    kind: str,
    *,
    sender: str = "noreply-dmarc-support@google.com",
    auth: str = "",
    alone: bool = True,
) -> bytes:
    """A mail that brings it: as its only part (Google), or after a few words (Microsoft, Yahoo). ``auth``: what our
    mail door stamped."""
    message = EmailMessage()
    message["From"] = sender
    message["To"] = "rapports@mx.beffroi.test"
    message["Subject"] = "Report domain: beaune.test Submitter: google.com Report-ID: 1"
    message["Message-ID"] = "<1@google.com>"
    if auth:
        message["X-Beffroi-Auth"] = auth
    main, _, sub = kind.partition("/")
    if not alone:
        message.set_content("This is a DMARC aggregate report.")
        message.add_attachment(body, maintype=main, subtype=sub, filename="report")
    else:
        message.set_content(body, maintype=main, subtype=sub, filename="report")
    return b"Return-Path: <" + sender.encode() + b">\n" + message.as_bytes()


def packed(text: bytes) -> bytes:
    return gzip.compress(text)


def complaint(
    about: str,
    *,
    kind: str = "abuse",
    number: str = "1",
    sender: str = "feedback@signal-spam.fr",
    auth: str = "",
    whole: bool = True,
) -> bytes:
    """A complaint as feedback loops send it (RFC 5965): the mail itself, or its headers alone."""
    original = (
        f"Received: from mx.beffroi.test\nFrom: mairie@beaune.test\nTo: =?utf-8?q?Jos=C3=A9?= <x@orange.fr>\n"
        f"Subject: Lettre\nMessage-ID: <{about}>\n\n"
    )
    inside = original + "Bonjour,\n" if whole else original
    return (
        f"Return-Path: <{sender}>\nFrom: {sender}\nTo: rapports@mx.beffroi.test\nSubject: FW: Lettre\n"
        f"Message-ID: <complaint-{number}@signal-spam.fr>\n"
        + (f"X-Beffroi-Auth: {auth}\n" if auth else "")
        + "MIME-Version: 1.0\n"
        'Content-Type: multipart/report; report-type=feedback-report; boundary="=b"\n\n'
        "--=b\nContent-Type: text/plain; charset=utf-8\n\nThis is an email abuse report.\n"
        "--=b\nContent-Type: message/feedback-report\n\n"
        f"Feedback-Type: {kind}\nUser-Agent: SomeGenerator/1.0\nVersion: 1\nSource-IP: 192.0.2.25\n"
        "Original-Mail-From: <mairie@beaune.test>\n\n"
        f"--=b\nContent-Type: {'message/rfc822' if whole else 'text/rfc822-headers'}\n"
        f"Content-Disposition: inline\n\n{inside}\n--=b--\n"
    ).encode()
