"""What a person typed becomes a sound message, and nothing typed becomes a header of its own."""

from __future__ import annotations

import email
from dataclasses import replace
from datetime import UTC, datetime
from email.policy import default
from types import SimpleNamespace
from typing import Any

import pytest
from beffroi.mail import compose, original, submission
from beffroi.mail.compose import Draft, DraftInvalid, File, Original
from beffroi.portal import webmail_words

NOW = datetime(2026, 11, 26, 10, 0, tzinfo=UTC)
DRAFT = Draft("Claire Martin", "mairie@beaune.test", to="a@example.org", subject="Bonjour", text="Texte")


def parsed(draft: Draft, **how: bool) -> email.message.EmailMessage:
    return email.message_from_bytes(compose.build(draft, NOW, **how), policy=default)


def test_a_message_is_plain_text_of_ones_own_domain() -> None:
    text = "Été à l’école.\n\n> " + "mot " * 60 + "\n.\nFrom moi\n"
    raw = compose.build(replace(DRAFT, text=text), NOW)
    made = email.message_from_bytes(raw, policy=default)
    assert made["From"] == "Claire Martin <mairie@beaune.test>"
    assert made["Message-ID"].endswith("@beaune.test>")
    assert made["Date"] == "Thu, 26 Nov 2026 10:00:00 +0000"
    assert "format" not in made["Content-Type"].params
    assert made.get_content().replace("\r\n", "\n") == text
    assert max(len(line) for line in raw.split(b"\r\n")) <= 78
    assert raw.isascii()
    assert b"\n" not in raw.replace(b"\r\n", b"")


@pytest.mark.parametrize("sign", ["\r\n", "\n", "\r", "\x00", "\u2028", "\x85", "\x1b"])
@pytest.mark.parametrize("field", ["subject", "from_name", "to", "cc", "bcc", "source"])
def test_a_line_end_in_a_header_is_refused_or_divides_addresses(field: str, sign: str) -> None:
    value = (
        f"x{sign}Bcc: stranger@evil.example"
        if field in ("subject", "from_name", "source")
        else (f'"x{sign}Bcc: y" <a@example.org>{sign}stranger@evil.example')
    )
    with pytest.raises(DraftInvalid):
        compose.build(replace(DRAFT, **dict[str, Any]({field: value})), NOW)


@pytest.mark.parametrize("field", ["message_id", "in_reply_to", "references"])
def test_an_identifier_with_a_line_end_is_left_out(field: str) -> None:
    hostile = "<a@b>\r\nBcc: stranger@evil.example"
    made = parsed(replace(DRAFT, in_reply_to="<p@example.org>") if field == "references" else DRAFT)
    made = parsed(replace(DRAFT, **dict[str, Any]({"in_reply_to": "<p@example.org>", field: hostile})))
    assert made["Bcc"] is None
    assert "stranger" not in made.as_string()


@pytest.mark.parametrize(
    ("typed", "expected"),
    [
        ("a@example.org", ["a@example.org"]),
        (
            "a@example.org; b@example.org,\nc@example.org,",
            ["a@example.org", "b@example.org", "c@example.org"],
        ),
        ('"Martin, Claire" <c@example.org>, Jean <j@example.org>', ["c@example.org", "j@example.org"]),
        ("A@Example.org, A@example.ORG", ["A@example.org"]),
        ("mairie@côte-d-or.fr", ["mairie@xn--cte-d-or-43a.fr"]),
        ("info@Straße.example, a@x--y.example", ["info@xn--strae-oqa.example", "a@x--y.example"]),
        ("", []),
    ],
)
def test_addresses_are_read_as_people_type_them(typed: str, expected: list[str]) -> None:
    assert [one.addr_spec for one in compose.parse_addresses(typed, "to")] == expected


@pytest.mark.parametrize(
    "typed",
    [
        "claire", "a@b", "a b@example.org", "a@@example.org", "@example.org", "a@example.org b@example.org",
        "<a@example.org", 'x" <a@example.org>', "a@-x.org", "a@é--.org",
        "a@\u0301x.org", "a@[127.0.0.1]", "é@example.org", "a@example..org",
        "a..b@example.org", "x" * 65 + "@example.org", "<script>@example.org", "|sh@example.org\x00",
    ],
)  # fmt: skip
def test_what_is_no_address_is_refused(typed: str) -> None:
    with pytest.raises(DraftInvalid):
        compose.parse_addresses(typed, "to")


def test_an_accent_before_the_at_sign_is_named_with_what_was_most_likely_meant() -> None:
    with pytest.raises(DraftInvalid) as refused:
        compose.parse_addresses("Hélène <hélène.lenoir@côte.fr>", "to")
    said = webmail_words.trouble(refused.value)
    assert "s’écrit helene.lenoir@côte.fr" in said
    assert "celle d’une autre personne" in said  # of who answers a mail from there


def test_a_draft_keeps_what_is_not_finished() -> None:
    made = parsed(replace(DRAFT, to="Claire, a@example.org", bcc="x@example.org"), lenient=True)
    assert made["To"] is None
    assert made["X-Beffroi-To"] == "Claire, a@example.org"
    assert made["Bcc"] == "x@example.org"


def test_recipients_are_counted_once_and_limited() -> None:
    assert compose.recipients(replace(DRAFT, cc="a@example.org, b@example.org", bcc="b@example.org")) == [
        "a@example.org",
        "b@example.org",
    ]
    with pytest.raises(DraftInvalid):
        compose.recipients(replace(DRAFT, to=""))
    with pytest.raises(DraftInvalid):
        compose.recipients(replace(DRAFT, to=", ".join(f"a{n}@example.org" for n in range(101))))


@pytest.mark.parametrize(
    ("hostile", "shown"),
    [
        ("../../etc/passwd", "passwd"),
        ("C:\\Users\\x\\note.pdf", "note.pdf"),
        ("a\r\nBcc: x@evil.example\r\n.pdf", "aBcc xevil.example.pdf".replace("xevil", "x@evil")),
        ("facture\u202efdp.exe", "facturefdp.exe"),
        ('a"; filename="b.exe', "a; filename=b.exe"),
        ("", "piece-jointe"),
        ("...", "piece-jointe"),
        ("x" * 400 + ".pdf", "x" * 147 + ".pdf"),
        ("\ud800.pdf", ".pdf"),
        ("délibération n° 4.odt", "délibération n° 4.odt"),
    ],
)
def test_a_hostile_name_of_a_file_becomes_a_name(hostile: str, shown: str) -> None:
    made = parsed(replace(DRAFT, files=(File(hostile, b"\x00\r\n\xff"),)))
    (part,) = made.iter_attachments()
    assert part.get_filename() == shown
    assert part.get_payload(decode=True) == b"\x00\r\n\xff"
    assert made["Bcc"] is None


def test_files_keep_every_byte_whatever_their_name_says() -> None:
    files = tuple(
        File(name, b"a\nb\r\nFrom x\n.\n\xe9") for name in ("a.txt", "a.eml", "a.html", "a.pdf", "a")
    )
    for part in parsed(replace(DRAFT, files=files)).iter_attachments():
        assert part.get_payload(decode=True) == b"a\nb\r\nFrom x\n.\n\xe9"
    with pytest.raises(DraftInvalid):
        compose.build(replace(DRAFT, files=(File("a", bytes(compose.MAX_FILES_BYTES + 1)),)), NOW)


MAIL = Original(
    uid=7,
    uid_validity=3,
    folder="INBOX",
    from_name="Préfecture",
    from_address="prefet@pref.example",
    reply_to=("greffe@pref.example",),
    to=("mairie@beaune.test", "nuits@nuits.test"),
    cc=("sgc@dgfip.example",),
    subject="RE: Budget",
    sent_at=NOW,
    text="Bonjour\n> ancien",
    message_id="<m2@pref.example>",
    references="<m1@pref.example>",
)


def test_an_answer_goes_to_whom_it_should_and_continues_the_conversation() -> None:
    one = compose.answer(MAIL, "reply", "mairie@beaune.test", "Il a écrit :")
    assert (one["to"], one["cc"], one["subject"]) == ("greffe@pref.example", "", "Re: Budget")
    assert one["text"] == "\n\nIl a écrit :\n> Bonjour\n>> ancien\n"
    every = compose.answer(MAIL, "all", "Mairie@Beaune.test", "")
    assert (every["to"], every["cc"]) == ("greffe@pref.example", "nuits@nuits.test, sgc@dgfip.example")
    made = parsed(replace(DRAFT, in_reply_to=one["in_reply_to"], references=one["references"]))
    assert made["In-Reply-To"] == "<m2@pref.example>"
    assert made["References"] == "<m1@pref.example> <m2@pref.example>"
    forward = compose.answer(MAIL, "forward", "mairie@beaune.test", "De : x")
    assert "to" not in forward and forward["subject"] == "Tr: Budget"


def test_an_answer_to_more_than_a_message_goes_to_leaves_nobody_out_unsaid() -> None:
    many = [f"mairie{n}@example.org" for n in range(150)]
    cc = [SimpleNamespace(mailbox=b"mairie%d" % n, host=b"example.org") for n in range(150)]
    envelope = SimpleNamespace(to=None, cc=cc, bcc=None)
    assert original.envelope_recipients(envelope) == many
    every = compose.answer(replace(MAIL, cc=tuple(many)), "all", "mairie@beaune.test", "")
    assert all(one in every["cc"] for one in many)
    with pytest.raises(DraftInvalid, match="too_many") as found:
        compose.recipients(replace(DRAFT, to=every["to"], cc=every["cc"]))
    assert "151" in webmail_words.trouble(found.value)


def test_of_a_list_that_is_longer_than_a_draft_keeps_nothing_is_kept_unsaid() -> None:
    typed = ", ".join(f"Une association de la commune {n} <association{n}@example.org>" for n in range(400))
    assert parsed(replace(DRAFT, to=typed), lenient=True)["X-Beffroi-To"] == typed
    with pytest.raises(DraftInvalid, match="too_many"):
        compose.build(replace(DRAFT, to=f"{typed}, {typed}"), NOW, lenient=True)


def test_long_identifiers_stay_what_they_are() -> None:
    chain = " ".join(f"<{'x' * 180}{n}@example.org>" for n in range(40))
    raw = compose.build(replace(DRAFT, in_reply_to=f"<{'x' * 180}39@example.org>", references=chain), NOW)
    assert b"=?utf-8" not in raw
    made = email.message_from_bytes(raw, policy=default)
    assert made["References"].split() == chain.split()[-30:]


def test_an_answer_to_ones_own_mail_goes_on_to_its_readers() -> None:
    own = replace(MAIL, from_address="mairie@beaune.test", reply_to=(), to=("x@example.org",))
    assert compose.answer(own, "reply", "mairie@beaune.test", "")["to"] == "x@example.org"


def test_hidden_recipients_and_private_fields_do_not_leave() -> None:
    hidden = ", ".join(f"hidden{n}@example.org" for n in range(20))
    raw = compose.build(replace(DRAFT, bcc=hidden, tab="abcdefgh", source="1:2:reply:INBOX"), NOW)
    assert submission.source_of(raw) == "1:2:reply:INBOX"
    left = submission.without_private_fields(raw)
    assert b"hidden" not in left and b"X-Beffroi" not in left and b"Bcc" not in left
    made = email.message_from_bytes(left, policy=default)
    assert made["To"] == "a@example.org" and made.get_content().strip() == "Texte"
    body = raw.replace(b"Texte", b"Bcc: this is text")
    assert b"Bcc: this is text" in submission.without_private_fields(body)


@pytest.mark.parametrize(
    ("to", "cc", "found"),
    [
        (("mairie@beaune.test",), (), ""),
        (("Elus@Beaune.test",), (), "elus@beaune.test"),
        (("x@example.org",), ("mairie@beaune.test", "elus+ecole@beaune.test"), "elus+ecole@beaune.test"),
        (("mairie+site@beaune.test",), (), "mairie+site@beaune.test"),
        (("autre@beaune.test",), (), ""),
    ],
)
def test_an_answer_begins_as_whom_one_was_written_to(
    to: tuple[str, ...], cc: tuple[str, ...], found: str
) -> None:
    own = ["mairie@beaune.test", "elus@beaune.test"]
    assert compose.addressed(replace(MAIL, to=to, cc=cc), own) == found


def test_an_answer_to_all_is_not_written_to_ones_own_aliases() -> None:
    original = replace(MAIL, to=("elus@beaune.test", "x@example.org"), cc=())
    answer = compose.answer(original, "all", "mairie@beaune.test", "", ["elus@beaune.test"])
    assert "elus@beaune.test" not in answer["to"] + answer["cc"] and "x@example.org" in answer["cc"]


def test_an_invitation_stands_beside_the_text_with_its_method() -> None:
    """RFC 6047: what calendars made; a file of that kind that somebody attached stays a file."""
    made = File("x.ics", b"BEGIN:VCALENDAR\r\nMETHOD:REPLY\r\nEND:VCALENDAR\r\n", is_calendar=True)
    other = File("conseil.ics", b"BEGIN:VCALENDAR\r\nMETHOD:REQUEST\r\nEND:VCALENDAR\r\n")
    draft = replace(DRAFT, to="a@b.example", files=(other, made))
    message = email.message_from_bytes(compose.build(draft, NOW), policy=default)
    parts = [part for part in message.walk() if not part.is_multipart()]
    kinds = [part.get_content_type() for part in parts]
    assert kinds == ["text/plain", "text/calendar", "application/octet-stream"]
    assert parts[1]["Content-Type"].params["method"] == "REPLY"
    assert parts[1].get_content().replace("\r\n", "\n") == made.data.decode().replace("\r\n", "\n")
    assert parts[2].get_filename() == "conseil.ics"
    # Without a method it is an ordinary file: no program takes it for an invitation.
    plain = replace(draft, files=(File("x.ics", b"BEGIN:VCALENDAR\r\n", is_calendar=True),))
    assert b"text/calendar" not in compose.build(plain, NOW)
