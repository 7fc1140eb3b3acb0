"""The public corpus is what its hash names, and gives the same mails for the same seed."""

from pathlib import Path

import pytest

from tests import corpus


@pytest.mark.slow
def test_the_corpus_is_there_and_gives_the_same_mails_for_a_seed() -> None:
    assert corpus.fetch() == ""
    mails = corpus.mails(20, seed=1, most_bytes=5000)
    assert len(mails) == 20 and mails == corpus.mails(20, seed=1, most_bytes=5000)
    assert all(len(one) <= 5000 and b"\nSubject:" in one for one in mails)


def test_a_file_that_is_another_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    served = tmp_path / corpus._URL
    served.parent.mkdir(parents=True)
    served.write_bytes(b"another")
    monkeypatch.setattr(corpus, "PLACE", tmp_path / "corpus" / "x.tgz")
    monkeypatch.setenv("npm_config_registry", tmp_path.as_uri())
    assert "is not the file" in corpus.fetch()
    monkeypatch.setenv("npm_config_registry", (tmp_path / "nothing").as_uri())
    monkeypatch.setattr(corpus, "PLACE", tmp_path / "none" / "x.tgz")
    assert "npm_config_registry" in corpus.fetch()
    assert corpus.mails(3, seed=1, most_bytes=10) == []
