"""Which attached files are held, as a table; how bank details are remembered; when they want a call back."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from beffroi.mail.gate import attachments, bank
from beffroi.mail.gate.attachments import LOOSENED, STRICT, Attached, found, held
from beffroi.mail.gate.policies import Policies
from beffroi.mail.gate.rules import Verdict, with_findings
from beffroi.mail.safety.rules import Concern, concern
from beffroi.portal.safety_words import finding
from beffroi.scan import kinds
from beffroi.scan.kinds import File


def file(
    extension: str,
    detected: str = "",
    flags: str = "",
    inner: str = "",
    *,
    before: str = "",
    inside: str = "",
) -> Attached:
    one = File(extension, before, detected, frozenset(flags.split()), frozenset(inner.split()))
    return Attached(one, frozenset(inside.split()))


@pytest.mark.parametrize(
    ("one", "codes"),
    [
        (file("pdf", "pdf"), ""),
        (file("docx", "docx", inner="xml rels bin"), ""),
        (file("docx", "zip", inner="xml bin jar"), ""),  # embedded objects of a document are no archive
        (file("doc", "msi"), ""),  # an old document and an installation package begin alike
        (file("zip", "zip", inner="pdf xlsx"), ""),
        (file("gz", "gz", inner="tar"), ""),
        (file("html", "html"), ""),
        (file("exe", "exe"), "program"),
        (file("txt", "elf"), "disguised program"),
        (file("js", "txt"), "program"),
        (file("zip", "zip", inner="pdf exe"), "program"),
        (file("", "exe"), "program"),
        (file("exe", "exe", before="pdf"), "disguised program"),
        (file("html", "html", "active", before="pdf"), "disguised active_page"),
        (file("pdf", "exe"), "disguised program"),
        (file("pdf", "pdf", "hidden"), "disguised"),
        (file("lnk", "lnk"), "shortcut"),
        (file("zip", "zip", inner="lnk"), "shortcut"),
        (file("pdf", "lnk"), "disguised shortcut"),
        (file("iso", "iso"), "disk_image"),
        (file("vhdx"), "disk_image"),
        (file("bin", "iso"), "disk_image"),
        (file("docm", "docx", "macro"), "macro"),
        (file("doc", "doc", "macro"), "macro"),
        (file("docx", "docx", "macro"), "macro"),  # its name says that it has none
        (file("zip", "zip", inner="xlsm"), "macro"),
        (file("zip", "zip", "encrypted", "pdf"), "encrypted"),
        (file("docx", "ole", "encrypted"), "encrypted"),
        (file("zip", "zip", inner="zip"), "nested"),
        (file("gz", "gz", inner="zip"), "nested"),
        (file("zip", "zip", inner="iso"), "nested"),
        (file("svg", "xml", "active"), "active_page"),
        (file("pdf", "pdf", inside="active_pdf"), "active_pdf"),
        (file("zip", "zip", inner="pdf", inside="program"), "program"),
        (file("zip", "zip", inner="zip", inside="unreadable nested"), "nested"),
        (file("zip", "zip", inside="unreadable"), "unreadable"),
        (file("txt", inside="malware"), "malware"),
        (file("txt", inside="forged_bank what"), ""),  # the scanner says only what is its own to say
    ],
)
def test_each_kind_of_file(one: Attached, codes: str) -> None:
    assert found([one]) == frozenset(codes.split())


def test_a_collectivite_loosens_some_kinds_and_never_programs() -> None:
    files = [file("exe"), file("docm", flags="macro"), file("zip", flags="encrypted")]
    told: dict[str, Any] = {"virus": False, "unparseable": False, "forged_bank": False, "signed_in": False}
    assert held(files, allowed=(), **told) == ("program", "macro", "encrypted")
    assert held(files, allowed=("macro", "program", "disguised"), **told) == ("program", "encrypted")
    assert held(files[1:], allowed=LOOSENED, **told) == ()
    assert not STRICT & set(LOOSENED)


def test_a_colleague_s_mail_is_held_for_programs_alone() -> None:
    told: dict[str, Any] = {
        "allowed": (),
        "virus": False,
        "unparseable": False,
        "forged_bank": True,
        "signed_in": True,
    }
    assert held([file("docm", flags="macro")], **told) == ()
    # Nobody's mail program writes a shape that hides a program from the filter.
    assert held([file("docm", flags="macro")], **{**told, "unparseable": True}) == ("unparseable",)
    assert held([file("lnk"), file("docm", flags="macro")], **told) == ("shortcut",)


def test_shape_and_bank_details_are_findings() -> None:
    told: dict[str, Any] = {"allowed": LOOSENED, "forged_bank": True, "signed_in": False}
    assert held([], virus=False, unparseable=True, **told) == (
        "unparseable",
        "forged_bank",
    )


def test_a_virus_comes_first_whoever_sent_it() -> None:
    told: dict[str, Any] = {"allowed": LOOSENED, "virus": True, "unparseable": False, "forged_bank": False}
    assert held([file("exe")], signed_in=False, **told) == ("virus", "program")
    assert held([], signed_in=True, **told) == ("virus",)


def test_every_finding_has_words_and_a_place_in_the_order() -> None:
    codes = {*kinds.ORDER, attachments.UNPARSEABLE, attachments.FORGED_BANK, attachments.VIRUS}
    released = {"unreadable", "forged_bank"}
    assert set(attachments.ORDER) == codes == STRICT | set(LOOSENED) | released
    assert all(finding([code]) is not None for code in codes)


def test_what_is_found_sets_aside_what_would_pass_and_changes_no_refusal() -> None:
    assert with_findings(Verdict(), ()).action == "none"
    assert with_findings(Verdict(), ("macro",)) == Verdict(
        "quarantine", reason="content", findings=("macro",)
    )
    decided = Verdict("quarantine", "dec_1", "phishing")
    assert with_findings(decided, ("macro",)).decision_id == "dec_1"
    assert with_findings(Verdict("reject"), ("macro",)).action == "reject"


def test_without_a_policy_on_disk_nothing_is_let_pass(tmp_path: Path) -> None:
    assert Policies(tmp_path / "none.sqlite").allowed({"col_1"}) == frozenset()
    (tmp_path / "torn.sqlite").write_bytes(b"not a database")
    assert Policies(tmp_path / "torn.sqlite").allowed({"col_1"}) == frozenset()


# -- bank details --------------------------------------------------------------------------------------------

IBAN, OTHER = "a" * 64, "b" * 64


def remembered(**changes: object) -> list[bank.Seen]:
    told: dict[str, object] = {
        "message_id": "msg_1",
        "sender": "Compta@Fournisseur.example",
        "ibans": [IBAN],
        "announces": False,
        "proved": True,
        "communes": {"col_1"},
    }
    return bank.seen(b"key", **(told | changes))  # type: ignore[arg-type]


def test_a_pair_is_one_of_collectivite_sender_and_iban() -> None:
    first = remembered()[0]
    assert remembered(message_id="msg_2", sender="compta@fournisseur.example")[0].pair == first.pair
    for other in (
        remembered(sender="x@y.example"),
        remembered(communes={"col_2"}),
        remembered(ibans=[OTHER]),
        bank.seen(
            b"else",
            message_id="msg_1",
            sender="compta@fournisseur.example",
            ibans=[IBAN],
            announces=False,
            proved=True,
            communes={"col_1"},
        ),
    ):
        assert other[0].pair != first.pair
    assert IBAN not in str(first) and "fournisseur" not in str(first).lower()


def test_words_alone_are_the_message_s_own_and_nothing_is_nothing() -> None:
    one, two = remembered(ibans=[], announces=True), remembered(ibans=[], announces=True, message_id="msg_2")
    assert [s.kind for s in one] == ["words"] and one[0].pair != two[0].pair
    assert remembered(ibans=[]) == []
    assert len(remembered(ibans=["a" * 64, "a" * 64, "short"])) == 1
    assert len(remembered(ibans=[f"{n:064d}" for n in range(90)], communes={"a", "b"})) == 2 * bank.MAX_IBANS


DAY = timedelta(days=1)
T = datetime(2026, 11, 1, tzinfo=UTC)


@pytest.mark.parametrize(
    ("confirmed", "announces", "proved", "age", "others", "expected"),
    [
        (False, False, True, 0, False, Concern.FIRST),
        (False, False, True, 0, True, Concern.CHANGED),
        (False, False, True, 29, True, Concern.CHANGED),
        (False, False, True, 30, True, Concern.NONE),
        (False, False, False, 400, False, Concern.FIRST),  # whoever wrote first never proved who they are
        (False, True, True, 400, False, Concern.ANNOUNCED),
        (True, True, False, 0, True, Concern.NONE),
    ],
)
def test_when_bank_details_want_a_call_back(
    *, confirmed: bool, announces: bool, proved: bool, age: int, others: bool, expected: Concern
) -> None:
    assert (
        concern(
            confirmed=confirmed,
            announces=announces,
            proved=proved,
            first_seen_at=T,
            seen_at=T + age * DAY,
            others_before=others,
        )
        == expected
    )
