"""What a person's own script may hold, what looks like another's hand, and the words of ManageSieve."""

from __future__ import annotations

import io

import pytest
from beffroi.mail.scripts import protocol, rules
from beffroi.mail.scripts.protocol import Broken, Command, Malformed, TooLong


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("keep;", ""),
        ('REDIRECT "x@y.example";', "redirect"),
        ("/* a */ # redirect\nkeep;", "redirect"),
        ('if header "subject" "redirect" { keep; }', "redirect"),
        ("keep;\x00", "signs"),
        ("é" * (rules.MAX_SCRIPT_BYTES // 2), ""),
        ("é" * (rules.MAX_SCRIPT_BYTES // 2) + ".", "long"),
    ],
)
def test_a_script_that_could_send_or_is_too_long_is_named(text: str, why: str) -> None:
    assert rules.fault(text) == why


@pytest.mark.parametrize(
    ("name", "wrong"),
    [("Règles 1", False), ("a.b", False), ("", True), ("..", True), ("a/b", True), ("a\nb", True), ("x" * 129, True)],
)  # fmt: skip
def test_names_of_scripts(name: str, wrong: bool) -> None:
    assert rules.name_fault(name) is wrong


@pytest.mark.parametrize(
    ("text", "hides"),
    [
        ("keep;", False),
        ('if header :contains "to" "liste@x.example" { fileinto "Liste"; }', False),
        ('if header :contains "subject" "Voirie" { fileinto "Voirie"; stop; } keep;', False),
        (
            'if anyof (header :contains "from" "x@y.example", header :is "subject" "abc") { fileinto "A"; }',
            False,
        ),
        ('fileinto :copy "Tout";', False),
        ('# discard;\n/* fileinto "X"; */ keep;', False),
        ('if header :contains "subject" "discard;" { keep; }', False),
        ("discard;", True),
        ('if header :contains "from" "banque" { discard; }', True),
        ('fileinto "Rangement";', True),
        ('if true { fileinto "Rangement"; }', True),
        ('if not header :contains "from" "chef@x.example" { fileinto "Rangement"; }', True),
        ('if header :contains "subject" "a" { fileinto "Rangement"; }', True),
        ('if header :matches "subject" "*" { fileinto "Rangement"; }', True),
        ('if header :contains "from" "banque" { fileinto "Trash/x"; }', True),
        ('if header :contains "from" "banque" { keep; } else { fileinto "Rangement"; }', True),
        ('if header :contains "from" "banque" { fileinto "${x}"; }', True),
        ('if header :contains "from" "banque" { addflag "\\\\Deleted"; }', True),
        ('if true { if header :contains "from" "banque" { fileinto "Banque"; } }', False),
        ('if header :contains "from" "banque" { if true { fileinto "Banque"; } }', False),
        ('set "x" text:\ndiscard;\n.\n;\nkeep;', False),
        ('if true { keep; } fileinto "Rangement";', True),
        ('"', False),
        ("}}}} { text:", False),
    ],
)
def test_a_script_that_hides_mail_is_seen(text: str, hides: bool) -> None:
    assert rules.hides(text) is hides


def read(data: bytes, limit: int = 50) -> Command:
    return protocol.read(io.BytesIO(data), max_string_bytes=limit)


def test_commands_are_read_with_their_strings() -> None:
    assert read(b"logout\r\n") == Command("LOGOUT")
    assert read(b'SETACTIVE ""\r\n') == Command("SETACTIVE", ("",))
    assert read(b'GETSCRIPT "a\\"b\\\\c"\r\n') == Command("GETSCRIPT", ('a"b\\c',))
    assert read(b'HAVESPACE "a" 99\r\n') == Command("HAVESPACE", ("a",), 99)
    assert read(b'PUTSCRIPT "a" {7+}\r\nk"ep;\r\n\r\n') == Command("PUTSCRIPT", ("a", 'k"ep;\r\n'))
    assert read(b"PUTSCRIPT {1}\r\na {0+}\r\n\r\n") == Command("PUTSCRIPT", ("a", ""))
    assert read(b"XCLIENT ADDR=192.0.2.1 PORT=5\r\n") == Command("XCLIENT", ("ADDR=192.0.2.1", "PORT=5"))
    assert read("PUTSCRIPT {2+}\r\né\r\n".encode()) == Command("PUTSCRIPT", ("é",))


@pytest.mark.parametrize(
    ("data", "error"),
    [
        (b"", Broken),
        (b"NOOP", Broken),
        (b"x" * 5000 + b"\r\n", Broken),
        (b'PUTSCRIPT "a" {9+}\r\nabc', Broken),
        (b'PUTSCRIPT "a" {9999999999}\r\n', Broken),
        (b'NOOP "1" "2" "3" "4" "5" "6" "7" "8" "9" "10" "11" "12" "13"\r\n', Broken),
        (b"\r\n", Malformed),
        (b"(((\r\n", Malformed),
        (b"NOOP word\r\n", Malformed),
        (b'NOOP "open\r\n', Malformed),
        (b'NOOP "\xff"\r\n', Malformed),
        (b"NOOP A=b\r\n", Malformed),
        (b"PUTSCRIPT {51+}\r\n" + b"x" * 51 + b"\r\n", TooLong),
    ],
)
def test_what_is_no_command_is_an_error_with_a_meaning(data: bytes, error: type[Exception]) -> None:
    with pytest.raises(error):
        read(data)


def test_after_a_string_that_is_too_long_the_next_command_is_found() -> None:
    stream = io.BytesIO(b'PUTSCRIPT "a" {51+}\r\n' + b"x" * 51 + b"\r\nNOOP\r\n")
    with pytest.raises(TooLong):
        protocol.read(stream, max_string_bytes=50)
    assert protocol.read(stream, max_string_bytes=50) == Command("NOOP")


def test_answers_are_written_so_that_they_can_be_read_again() -> None:
    assert protocol.answer("OK") == "OK\r\n"
    assert protocol.answer("NO", 'a "b" \\', "ACTIVE") == 'NO (ACTIVE) "a \\"b\\" \\\\"\r\n'
    assert protocol.answer("NO", "é\r\nb") == "NO {5}\r\né\r\nb\r\n"
