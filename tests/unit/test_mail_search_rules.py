"""What is looked for in mails, and when their words are indexed anew."""

from __future__ import annotations

from datetime import date
from pathlib import Path

import pytest
from beffroi.mail import seeking
from beffroi.mail.engines.dovecot import forget_words
from hypothesis import given, settings
from hypothesis import strategies as st


def test_an_index_of_other_rules_is_taken_away_and_nothing_else(tmp_path: Path) -> None:
    etc, box = tmp_path / "etc", tmp_path / "mailboxes" / "mbx_1" / "mdbox" / "mailboxes"
    index, named_alike = box / "INBOX" / "dbox-Mails" / "fts-flatcurve", box / "fts-flatcurve" / "dbox-Mails"
    etc.mkdir()
    named_alike.mkdir(parents=True)
    (etc / "stopwords_fr.txt").write_text("l\n")

    def started(conf: str) -> bool:
        """Whether the index that was there is still there."""
        index.mkdir(parents=True, exist_ok=True)
        (etc / "dovecot.conf").write_text(conf)
        forget_words(etc, tmp_path / "mailboxes")
        return index.exists()

    first = "imap_port = 1\nlanguage_tokenizer_generic_algorithm = simple\nlanguage fr {\n  filters = lowercase\n}\n"
    assert not started(first), "made before anybody noted by which rules"
    assert started(first) and started(first.replace("port = 1", "port = 2"))
    assert not started(first.replace("simple", "tr29"))
    assert not started(first.replace("lowercase", "lowercase stopwords"))
    (etc / "stopwords_fr.txt").write_text("l\nd\n")
    assert not started(first.replace("lowercase", "lowercase stopwords"))
    assert named_alike.exists() and (index.parent).exists()


@pytest.mark.parametrize(
    ("typed", "asked"),
    [
        ("école cantine", ["TEXT", "école", "TEXT", "cantine"]),
        ("de:dupre objet:budget", ["FROM", "dupre", "SUBJECT", "budget"]),
        ("de:Dupré", ["OR", "FROM", "Dupré", "FROM", "Dupre"]),
        ("À:maire@x.fr", ["OR", "TO", "maire@x.fr", "CC", "maire@x.fr"]),
        ("from:a to:b subject:c", ["FROM", "a", "OR", "TO", "b", "CC", "b", "SUBJECT", "c"]),
        ("depuis:01/03/2025 avant:2026", ["SINCE", date(2025, 3, 1), "BEFORE", date(2026, 1, 1)]),
        ("since:2025-03 before:3.2026", ["SINCE", date(2025, 3, 1), "BEFORE", date(2026, 3, 1)]),
        ("avant:31/02/2025 avant:hier", ["TEXT", "avant:31/02/2025", "TEXT", "avant:hier"]),
        ("12:30 de: RE:budget", ["TEXT", "12:30", "TEXT", "de:", "TEXT", "RE:budget"]),
        ('de:"x" ) OR ALL', ["TEXT", "de:", "TEXT", "x", "TEXT", "OR", "TEXT", "ALL"]),
        ("  ", []),
    ],
)
def test_a_search_is_narrowed_by_sender_recipient_subject_and_day(typed: str, asked: list[object]) -> None:
    assert seeking.criteria(typed) == asked


@given(st.text(max_size=60))
@settings(deadline=None)
def test_what_is_typed_becomes_words_and_nothing_else_of_imap(typed: str) -> None:
    for one in seeking.criteria(typed):
        assert isinstance(one, date) or not set(str(one)) & set('"\\(){}%*[]\r\n\0')
