"""The PDF viewer that is served is the one that its README names, byte for byte."""

from __future__ import annotations

import hashlib
import re
from importlib import resources

FOLDER = resources.files("beffroi.portal").joinpath("static/portal/pdfjs")


def test_each_file_is_as_it_was_published_and_none_is_beside_them() -> None:
    stated = dict(
        re.findall(r"^    ([0-9a-f]{64})  (\S+)$", FOLDER.joinpath("README").read_text("utf-8"), re.M)
    )
    found = {
        one.name: hashlib.sha256(one.read_bytes()).hexdigest()
        for one in FOLDER.iterdir()
        if one.name != "README"
    }
    assert {name: digest for digest, name in stated.items()} == found
    assert "pdf.min.mjs" in found and "pdf.worker.min.mjs" in found and "LICENSE" in found


def test_library_and_worker_are_of_the_version_that_the_readme_names() -> None:
    version = re.search(r"^version: (\S+)$", FOLDER.joinpath("README").read_text("utf-8"), re.M)
    assert version is not None
    for name in ("pdf.min.mjs", "pdf.worker.min.mjs"):
        assert f"pdfjsVersion = {version[1]}" in FOLDER.joinpath(name).read_text("utf-8")[:4000]


def test_nothing_of_it_makes_code_from_text() -> None:
    """The pages' policy forbids it, and what would need it would fail."""
    for name in (
        "pdf.min.mjs",
        "pdf.worker.min.mjs",
        "jbig2_nowasm_fallback.js",
        "openjpeg_nowasm_fallback.js",
    ):
        text = FOLDER.joinpath(name).read_text("utf-8")
        assert not re.search(r"new Function\(|[^\w.]eval\(", text), name
