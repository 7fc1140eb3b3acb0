"""Which parts of a mail are its text, from what Dovecot says of it."""

from __future__ import annotations

from typing import Any

from beffroi.mail.structure import MAX_BODIES, MAX_DEPTH, bodies_of, parts_of


def leaf(kind: str, name: str = "", disposition: str = "") -> tuple[Any, ...]:
    first, _, second = kind.partition("/")
    said = (disposition.encode(), (b"filename", name.encode()) if name else None) if disposition else None
    parameters = (b"name", name.encode()) if name else None
    return (first.encode(), second.encode(), parameters, None, None, b"7bit", 9, 1, None, said, None)


def multi(kind: str, *children: Any) -> tuple[Any, ...]:
    return (list(children), kind.encode())


PLAIN, HTML, PHOTO = leaf("text/plain"), leaf("text/html"), leaf("image/jpeg", "photo.jpg", "inline")


def shown(structure: Any) -> tuple[list[str], list[str]]:
    found = bodies_of(structure)
    return [one.section for one in found.text], [one.section for one in found.html]


def test_one_part_is_the_text() -> None:
    assert shown(PLAIN) == (["1"], [])
    assert shown(HTML) == ([], ["1"])
    assert shown(PHOTO) == ([], [])


def test_text_says_whether_its_lines_were_cut() -> None:
    flowed = (b"text", b"plain", (b"FORMAT", b"Flowed", b"DelSp", b"yes"), None, None, b"7bit", 9, 1)
    assert [(one.flowed, one.delsp) for one in parts_of(multi("mixed", PLAIN, flowed))] == [
        (False, False),
        (True, True),
    ]


def test_of_alternatives_the_last_is_shown_and_the_others_are_listed() -> None:
    assert shown(multi("alternative", PLAIN, HTML)) == (["1"], ["2"])
    twice = multi("alternative", PLAIN, HTML, HTML)
    assert shown(twice) == (["1"], ["3"])
    assert [one.section for one in parts_of(twice) if one.section not in bodies_of(twice).sections] == ["2"]


def test_text_around_a_photo_is_shown_in_its_order() -> None:
    assert shown(multi("mixed", PLAIN, PHOTO, PLAIN)) == (["1", "3"], [])
    said = multi("alternative", PLAIN, multi("mixed", HTML, PHOTO, HTML))
    assert shown(said) == (["1"], ["2.1", "2.3"])
    footer = multi("mixed", multi("alternative", PLAIN, HTML), PLAIN)
    assert shown(footer) == (["1.1", "2"], ["1.2", "2"])


def test_what_has_a_name_or_is_attached_is_a_file() -> None:
    named, attached = leaf("text/plain", "notes.txt", "inline"), leaf("text/html", "", "attachment")
    assert shown(multi("mixed", PLAIN, named, attached)) == (["1"], [])
    assert shown(multi("mixed", named, PHOTO)) == (["1"], []), "nothing else says anything"


def test_what_a_page_of_html_shows_inside_of_itself_is_no_text_of_the_mail() -> None:
    assert shown(multi("related", HTML, PHOTO, PLAIN)) == ([], ["1"])


def test_many_parts_and_deep_ones_have_an_end() -> None:
    many = multi("mixed", *[PLAIN] * (MAX_BODIES + 5))
    assert len(shown(many)[0]) == MAX_BODIES
    deep: Any = PLAIN
    for _ in range(MAX_DEPTH + 5):
        deep = multi("mixed", deep)
    assert shown(deep) == ([], [])
    for broken in (None, (), b"x", ([],), ([None, b"x"], None), (b"text",)):
        assert shown(broken) == ([], [])
