"""What left encrypted and what in clear, from lines as Postfix 3.10 writes them."""

from __future__ import annotations

from beffroi.mail.sending.left import CLEAR, ENCRYPTED, PROVED, count

HEAD = b"Nov 26 14:00:00 centre postfix-beffroi/"
TLS = b" TLS connection established to mx.%s[192.0.2.1]:25: TLSv1.3 with cipher TLS_AES_256_GCM_SHA384 (256/256 bits)"


def met(process: bytes, word: bytes, host: bytes) -> bytes:
    return HEAD + process + b": " + word + TLS % host


def left(process: bytes, mail: bytes, to: bytes, host: bytes, said: bytes = b"status=sent (250 Ok)") -> bytes:
    return (
        HEAD + process + b": " + mail + b": to=<" + to + b">, relay=mx." + host + b"[192.0.2.1]:25, delay=1.2,"
        b" delays=0.1/0/0.5/0.6, dsn=2.0.0, " + said
    )  # fmt: skip


def test_each_recipient_counts_as_its_session_was_protected() -> None:
    lines = [
        met(b"smtp[11]", b"Verified", b"a.test"),
        left(b"smtp[11]", b"4abcdefgh1", b"x@a.test", b"a.test"),
        left(b"smtp[11]", b"4abcdefgh1", b"y@a.test", b"a.test"),
        met(b"slow-orange/smtp[12]", b"Untrusted", b"orange.fr"),
        left(b"slow-orange/smtp[12]", b"4abcdefgh2", b"x@orange.fr", b"orange.fr"),
        left(b"smtp[13]", b"4abcdefgh3", b"x@clair.test", b"clair.test"),
    ]
    assert count(lines) == {("a.test", PROVED): 2, ("orange.fr", ENCRYPTED): 1, ("clair.test", CLEAR): 1}


def test_a_session_protects_no_other_mail_and_no_other_server() -> None:
    lines = [
        met(b"smtp[11]", b"Verified", b"a.test"),
        left(b"smtp[11]", b"4abcdefgh1", b"x@a.test", b"b.test"),
        met(b"smtp[12]", b"Verified", b"a.test"),
        left(b"smtp[12]", b"4abcdefgh2", b"x@a.test", b"a.test"),
        left(b"smtp[12]", b"4abcdefgh3", b"x@a.test", b"a.test"),
    ]
    assert count(lines) == {("a.test", CLEAR): 2, ("a.test", PROVED): 1}


def test_what_did_not_leave_and_what_is_no_such_line_counts_nothing() -> None:
    lines = [
        left(
            b"smtp[11]",
            b"4abcdefgh1",
            b"x@a.test",
            b"a.test",
            b"status=deferred (host said: 450, dsn=2.0.0, status=sent now)",
        ),
        left(b"lmtp[11]", b"4abcdefgh1", b"x@a.test", b"a.test"),
        b"\xff\xfe" * 100,
        b"",
    ]
    assert not count(lines)
