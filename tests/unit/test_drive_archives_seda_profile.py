"""Every SEDA transfer of ours has the form of ``tests/seda_profile.rng``, and its parts refer to one another.

The form is stricter than the official schemas: where these are at hand (BEFFROI_SEDA_SCHEMAS), whatever they refuse is
refused by it, too.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from beffroi.drive.archives import seda
from hypothesis import given
from lxml import etree

from tests.archive_entries import HOSTILE, TRANSFER, entry, folder, folders, unhurried
from tests.unit.test_drive_archives_seda import FILES, SCHEMAS, VERSIONS, schema, sip

CHANGES: tuple[dict[str, Any], ...] = (
    {},
    {"agreement": ""},
    {"appraisal": None},
    {"access": None},
    {"appraisal": None, "access": None, "final": "Destroy"},
    {"final": "Destroy"},
    {"title": " \x00<&>\u202e "},
    {"originating": seda.Agency("2A004", "INSEE", "")},
)


@cache
def profile(version: str) -> Any:
    text = Path("tests/seda_profile.rng").read_text()
    return etree.RelaxNG(
        etree.fromstring(
            text.replace("urn:seda", f"fr:gouv:culture:archivesdefrance:seda:v{version}").encode()
        )
    )


def dangling(tree: Any) -> list[str]:
    """What refers to nothing, or stands twice."""
    ids = [one.get("id") for one in tree.iter() if one.get("id")]
    groups = [one.get("id") for one in tree.iter("{*}DataObjectGroup")]
    referred = [one.text for one in tree.iter("{*}DataObjectGroupReferenceId")]
    return sorted({one for one in ids if ids.count(one) > 1} ^ (set(groups) ^ set(referred)))


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("change", CHANGES)
def test_every_transfer_has_our_form(version: seda.Version, change: dict[str, Any]) -> None:
    tree, _ = sip(folder(FILES), replace(TRANSFER, version=version, **change))
    profile(version).assertValid(tree)
    assert dangling(tree) == []


@pytest.mark.parametrize("version", VERSIONS)
def test_hostile_names_times_depths_and_nothing_at_all_have_our_form(version: seda.Version) -> None:
    entries = folder(dict.fromkeys([*HOSTILE, "/".join(["p"] * 400)], b"x"))
    entries += [entry("ancien.txt", b"x", mtime_s=-(10**11)), entry("loin.txt", b"x", mtime_s=10**18)]
    for some in (entries, []):
        tree, _ = sip(some, replace(TRANSFER, version=version))
        profile(version).assertValid(tree)
        assert dangling(tree) == []


@unhurried
@given(folders)
def test_any_folder_has_our_form(files: dict[str, bytes]) -> None:
    tree, _ = sip(folder(files))
    profile("2.2").assertValid(tree)
    assert dangling(tree) == []


def mutations(tree: Any) -> Iterator[tuple[str, Any]]:
    """One thing wrong in each: an element taken out, put twice, changed with the next, emptied, of another name."""
    for number, _ in enumerate(tree.iter()):
        for what in ("out", "twice", "changed", "emptied", "named", "bare", "more"):
            whole = copy.deepcopy(tree)
            one = next(found for at, found in enumerate(whole.iter()) if at == number)
            above, after = one.getparent(), one.getnext()
            if what == "bare" and one.attrib:
                one.attrib.clear()
            elif what == "more":
                one.set("autre", "1")
            elif what == "emptied" and not len(one):
                one.text = " "
            elif what == "named":
                one.tag = f"{{{etree.QName(one).namespace}}}Autre"
            elif above is not None and what == "out":
                above.remove(one)
            elif above is not None and what == "twice":
                above.insert(above.index(one), copy.deepcopy(one))
            elif above is not None and what == "changed" and after is not None and after.tag != one.tag:
                above.insert(above.index(one), after)
            else:
                continue
            yield f"{what} {etree.QName(one).localname}", whole


def test_the_form_refuses_what_is_wrong() -> None:
    tree, _ = sip(folder(FILES))
    taken = [
        what for what, wrong in mutations(tree) if profile("2.2").validate(wrong) and not dangling(wrong)
    ]
    optional = {"out ArchivalAgreement", "out AppraisalRuleCodeListVersion", "out AccessRuleCodeListVersion"}
    optional |= {"out Management", "out AppraisalRule", "out AccessRule", "out Size", "out FormatId"}
    optional |= {"out LastModified", "bare Identifier", "bare OriginatingAgencyIdentifier"}
    optional |= {"bare SubmissionAgencyIdentifier", "out ArchiveUnit"}
    assert set(taken) <= optional


if SCHEMAS:

    @pytest.mark.parametrize("version", VERSIONS)
    def test_whatever_the_official_schema_refuses_our_form_refuses(version: seda.Version) -> None:
        tree, _ = sip(folder(FILES), replace(TRANSFER, version=version))
        refused = [(what, wrong) for what, wrong in mutations(tree) if not schema(version).validate(wrong)]
        assert len(refused) > 100
        assert [
            what for what, wrong in refused if profile(version).validate(wrong) and not dangling(wrong)
        ] == []
