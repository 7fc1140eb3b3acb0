"""What the head of a mail offers to answer: the way out of its list, only as its sender's domain signed it; a read
receipt, to one address."""

from __future__ import annotations

import pytest
from beffroi.mail.heads import receipt_to
from beffroi.mail.unsubscribing import Way, way

PAGE = "https://liste.example/u?x=1&y=%2F"
SIGNED = "DKIM-Signature: v=1; d=liste.example; \r\n h=From:To:\r\n\tList-Unsubscribe:Date; b=abc=\r\n"
BY_OTHERS = "DKIM-Signature: v=1; d=envoi.example; h=From:List-Unsubscribe; b=abc\r\n"
FALSE = "DKIM-Signature: v=1; d=liste.example; h=From:To; b=abc\r\n"


def head(value: str, signatures: str = SIGNED) -> bytes:
    return f"{signatures}List-Unsubscribe: {value}\r\nX-Beffroi-Id: msg_1\r\n\r\n".encode()


@pytest.mark.parametrize(
    "value, found",
    [
        ("<mailto:stop@liste.example>", Way("stop@liste.example", "unsubscribe")),
        (
            f"<{PAGE}>, <mailto:stop@liste.example?subject=Fin%20%2B1&body=a%0Ab>",
            Way("stop@liste.example", "Fin +1", "a\nb"),
        ),
        (f"<{PAGE}>", Way(url=PAGE)),
        (f"<{PAGE[:20]}\r\n {PAGE[20:]}>", Way(url=PAGE)),
        (f"<mailto:pas une adresse>, <{PAGE}>", Way(url=PAGE)),
        (f"<mailto:a@b.example,c@d.example>, <{PAGE}>", Way(url=PAGE)),
        ("<mailto:stop@école.example?bcc=x@y.example>", Way("stop@xn--cole-9oa.example", "unsubscribe")),
        (
            "<mailto:a@b.example?subject=a%0D%0ABcc:%20x@y.example>",
            Way("a@b.example", "a Bcc: x@y.example"),
        ),
        ("<http://liste.example/>", None),
        ("<javascript:alert(1)>, <file:///etc/passwd>", None),
        ("mailto:stop@liste.example", None),
        ("<mailto:>", None),
        ("", None),
    ],
)
def test_the_first_message_that_a_list_takes_is_the_way_else_its_page(value: str, found: Way | None) -> None:
    assert way(head(value), "liste.example") == found


@pytest.mark.parametrize(
    "signatures, domain, is_way",
    [
        (SIGNED, "Liste.example", True),
        (SIGNED, "lettre.liste.example", True),
        (SIGNED.replace("d=liste", "d=mail.liste"), "liste.example", True),
        (BY_OTHERS + SIGNED, "liste.example", True),
        (BY_OTHERS, "liste.example", False),
        (SIGNED, "autreliste.example", False),
        (FALSE, "liste.example", False),
        (FALSE + SIGNED, "liste.example", False),
        (
            SIGNED + SIGNED.replace("d=liste.example", "d=example").replace("List-Un", "List-"),
            "liste.example",
            False,
        ),
        ("", "liste.example", False),
        (SIGNED + "List-Unsubscribe: <mailto:a@evil.example>\r\n", "liste.example", False),
        ("DKIM-Signature: d=; h=list-unsubscribe\r\n", "liste.example", False),
    ],
)
def test_what_the_domain_of_the_sender_did_not_sign_is_no_way(
    signatures: str, domain: str, is_way: bool
) -> None:
    assert (way(head("<mailto:a@liste.example>", signatures), domain) is not None) == is_way


@pytest.mark.parametrize(
    "fields, flags, whom",
    [
        ("Disposition-Notification-To: a@b.example\r\n", (), "a@b.example"),
        (
            "disposition-notification-to: =?utf-8?q?L=C3=A9a?=\r\n <a@b.example>\r\n",
            (b"\\Seen",),
            "a@b.example",
        ),
        ("Disposition-Notification-To: a@b.example\r\n", (b"$MDNSent",), ""),
        ("Disposition-Notification-To: a@b.example, c@d.example\r\n", (), ""),
        ("Disposition-Notification-To: a@b.example\r\nDisposition-Notification-To: c@d.example\r\n", (), ""),
        ("Disposition-Notification-To: =?utf-8?q?a=40b.example=0D=0ABcc:_c=40d.example?=\r\n", (), ""),
        ("Disposition-Notification-To: \r\n", (), ""),
        ("Disposition-Notification-To: hélène@b.example\r\n", (), ""),
        ("X: a@b.example\r\n", (), ""),
    ],
)
def test_a_read_receipt_goes_to_the_one_address_that_asks_for_it(
    fields: str, flags: tuple[bytes, ...], whom: str
) -> None:
    row = {b"FLAGS": flags, b"BODY[HEADER.FIELDS (X)]": fields.encode()}
    assert receipt_to(row) == whom
