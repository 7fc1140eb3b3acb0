"""When the words of mails are indexed anew."""

from __future__ import annotations

from pathlib import Path

from beffroi.mail.engines.dovecot import forget_words


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
