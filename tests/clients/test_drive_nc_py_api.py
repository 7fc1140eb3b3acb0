"""An independent client library (nc-py-api) does with the drive what it does with Nextcloud."""

from __future__ import annotations

import asyncio
import hashlib
import io
import os
import zipfile
from pathlib import Path

import nc_py_api
import pytest
from nc_py_api.files.files import FilesAPI

from tests.drive_server import PASSWORD, Served, drive

__all__ = ["drive"]
MIB = 1 << 20


def client(drive: Served, login: str = "alice") -> nc_py_api.Nextcloud:
    return nc_py_api.Nextcloud(nextcloud_url=drive.url, nc_auth_user=login, nc_auth_pass=PASSWORD)


@pytest.fixture
def files(drive: Served) -> FilesAPI:
    return client(drive).files


def paths(found: list[nc_py_api.FsNode]) -> set[str]:
    return {one.user_path for one in found}


def test_it_knows_who_it_is_and_what_there_is(drive: Served) -> None:
    cloud = client(drive)
    assert cloud.user == "alice" and cloud.srv_version["string"] == "32.0.1"
    assert cloud.capabilities["notify_push"]["type"] == ["files"]
    assert cloud.capabilities["theming"]["name"] == "Beffroi"


def test_files_come_and_go(files: FilesAPI) -> None:
    made = files.upload("é à.txt", "bonjour")
    assert made.file_id and made.etag
    assert files.download("é à.txt") == b"bonjour"
    files.makedirs("a/b/c", exist_ok=True)
    files.makedirs("a/b/c", exist_ok=True)
    assert paths(files.listdir("a")) == {"a/b/"} and paths(files.listdir()) == {"a/", "é à.txt", "Commune/"}
    found = files.by_path("é à.txt")
    assert found.info.size == 7 and found.file_id == made.file_id and not found.info.favorite
    assert files.by_id(found).user_path == files.by_id(found.info.fileid).user_path == "é à.txt"
    moved = files.move("é à.txt", "a/b/autre.txt")
    assert moved.user_path == "a/b/autre.txt" and moved.file_id == made.file_id
    copied = files.copy("a/b", "d")
    assert copied.is_dir and files.download("d/autre.txt") == b"bonjour"
    with pytest.raises(nc_py_api.NextcloudException) as refused:
        files.move("d/autre.txt", "a/b/autre.txt")
    assert refused.value.status_code == 412
    files.delete("a")
    files.delete("a", not_fail=True)
    assert paths(files.listdir()) == {"d/", "Commune/"}


@pytest.mark.parametrize("size", [0, 6 * MIB, 11 * MIB + 7])
def test_a_stream_is_sent_in_parts(files: FilesAPI, size: int) -> None:
    data = os.urandom(size)
    files.upload_stream("grand.bin", io.BytesIO(data), chunk_size=5 * MIB)
    out = io.BytesIO()
    files.download2stream("grand.bin", out)
    assert hashlib.sha256(out.getvalue()).digest() == hashlib.sha256(data).digest()


def test_small_parts_are_called_by_where_they_begin(files: FilesAPI) -> None:
    data = os.urandom(1000)
    files.upload_stream("petit.bin", io.BytesIO(data), chunk_size=99)
    assert files.download("petit.bin") == data


def test_a_tree_is_listed_and_fetched_as_a_whole(files: FilesAPI, tmp_path: Path) -> None:
    files.makedirs("plans/2026/été")
    files.upload("plans/2026/été/a.txt", "a")
    assert paths(files.listdir("plans", depth=2)) == {"plans/2026/", "plans/2026/été/"}
    everything = {"plans/2026/", "plans/2026/été/", "plans/2026/été/a.txt"}
    assert paths(files.listdir("plans", depth=-1)) == everything
    with zipfile.ZipFile(files.download_directory_as_zip("plans", tmp_path / "plans.zip")) as whole:
        assert set(whole.namelist()) == {"plans/", *everything}
        assert whole.read("plans/2026/été/a.txt") == b"a"


def test_tags_are_made_put_on_files_and_taken_away(files: FilesAPI) -> None:
    for name in ("à signer", "urgent"):
        files.create_tag(name)
    files.update_tag(files.tag_by_name("urgent"), "très urgent", user_assignable=False)
    signed, urgent = files.tag_by_name("à signer"), files.tag_by_name("très urgent")
    assert signed.user_assignable and not urgent.user_assignable
    files.upload("acte.txt", "x")
    node = files.by_path("acte.txt")
    files.assign_tag(node, signed)
    assert [one.display_name for one in files.get_tags(node)] == ["à signer"]
    assert paths(files.list_by_criteria(tags=[signed])) == {"acte.txt"}
    assert files.list_by_criteria(tags=[signed, urgent]) == []
    files.assign_tag(node, urgent)
    assert paths(files.list_by_criteria(tags=[signed, urgent])) == {"acte.txt"}
    assert files.list_by_criteria(["favorite"], tags=[signed]) == []
    files.unassign_tag(node, urgent)
    files.delete_tag(signed)
    assert files.get_tags(node) == []
    assert [one.display_name for one in files.list_tags()] == ["très urgent"]


def test_its_other_half_counts_parts_from_nought(drive: Served) -> None:
    data = os.urandom(6 * MIB)

    async def send() -> None:
        cloud = nc_py_api.AsyncNextcloud(nextcloud_url=drive.url, nc_auth_user="alice", nc_auth_pass=PASSWORD)
        await cloud.files.upload_stream("grand.bin", io.BytesIO(data), chunk_size=5 * MIB)

    asyncio.run(send())
    assert client(drive).files.download("grand.bin") == data


def test_what_was_deleted_comes_back_and_stays_till_the_portal_empties_it(
    files: FilesAPI,
) -> None:
    files.makedirs("dossier")
    for name in ("un.txt", "deux d'été.txt", "trois.txt"):
        files.upload(f"dossier/{name}", name)
        files.delete(f"dossier/{name}")
    trash = files.trashbin_list()
    assert {one.info.trashbin_filename for one in trash} == {"un.txt", "deux d'été.txt", "trois.txt"}
    by_name = {one.info.trashbin_filename: one for one in trash}
    assert by_name["un.txt"].info.trashbin_original_location == "dossier/un.txt"
    assert by_name["un.txt"].info.trashbin_deletion_time > 1_700_000_000
    files.trashbin_restore(by_name["un.txt"])
    assert files.download("dossier/un.txt") == b"un.txt"
    for refused in (lambda: files.trashbin_delete(by_name["deux d'été.txt"]), files.trashbin_cleanup):
        with pytest.raises(nc_py_api.NextcloudException) as caught:
            refused()
        assert caught.value.status_code == 403
    assert {one.info.trashbin_filename for one in files.trashbin_list()} == {"deux d'été.txt", "trois.txt"}


def test_an_earlier_version_comes_back(files: FilesAPI) -> None:
    for text in ("un", "deux", "trois"):
        files.upload("lettre.txt", text)
    found = files.by_path("lettre.txt")
    versions = files.get_versions(found)
    assert [one.info.content_length for one in versions] == [4, 2]
    assert all(one.info.is_version for one in versions)
    files.restore_version(versions[-1])
    assert files.download("lettre.txt") == b"un"
    assert len(files.get_versions(found)) == 3, "the one before it is kept"


def test_files_are_found(files: FilesAPI) -> None:
    files.makedirs("plans/École")
    files.upload("plans/École/Cadastre.PDF", "x" * 2000)
    files.upload("plans/photo.jpg", "y" * 10)
    files.upload("note cadastre.txt", "z")
    assert paths(files.find(["like", "name", "%cadastre%"])) == {
        "plans/École/Cadastre.PDF",
        "note cadastre.txt",
    }
    assert paths(files.find(["like", "name", "%cadastre%"], path="plans")) == {"plans/École/Cadastre.PDF"}
    assert paths(files.find(["like", "name", "ecole"])) == {"plans/École/"}, "accents need not be typed"
    assert paths(files.find(["like", "mime", "image/%"])) == {"plans/photo.jpg"}
    assert paths(files.find(["and", "gt", "size", 1000, "like", "mime", "application/%"])) == {
        "plans/École/Cadastre.PDF"
    }
    assert paths(files.find(["or", "eq", "name", "photo.jpg", "eq", "name", "note cadastre.txt"])) == {
        "plans/photo.jpg",
        "note cadastre.txt",
    }
    assert files.find(["eq", "fileid", "999999999"]) == []
    assert files.find(["gt", "last_modified", "2100-01-01T00:00:00Z"]) == []


def test_stars_are_each_persons_own(drive: Served) -> None:
    alice, amir, elise = (client(drive, login).files for login in ("alice", "amir", "elise"))
    alice.upload("Commune/pv.txt", "pv")
    alice.upload("à moi.txt", "x")
    etag = alice.by_path("Commune/pv.txt").etag
    for one in (alice, elise):  # she may only read there, and stars what she reads
        one.setfav("Commune/pv.txt", True)
    alice.setfav("à moi.txt", True)
    assert paths(alice.list_by_criteria(["favorite"])) == {"Commune/pv.txt", "à moi.txt"}
    assert paths(elise.list_by_criteria(["favorite"])) == {"Commune/pv.txt"}
    assert amir.list_by_criteria(["favorite"]) == []
    assert alice.by_path("Commune/pv.txt").info.favorite and not amir.by_path("Commune/pv.txt").info.favorite
    assert alice.by_path("Commune/pv.txt").etag == etag, "no device has anything to fetch"
    assert paths(alice.find(["eq", "favorite", 1])) == {"Commune/pv.txt", "à moi.txt"}
    alice.setfav("Commune/pv.txt", False)
    assert paths(alice.list_by_criteria(["favorite"])) == {"à moi.txt"}


def test_a_share_is_made_seen_and_ended(drive: Served, files: FilesAPI) -> None:
    files.mkdir("Marchés")
    files.upload("Marchés/plan.txt", "un plan")
    assert client(drive, "amir").files.listdir() != []  # his roots are made
    made = files.sharing.create("Marchés", nc_py_api.files.ShareType.TYPE_USER, share_with="amir")
    assert (made.share_with, made.share_owner, made.path) == ("amir", "alice", "Marchés")
    theirs = client(drive, "amir").files
    (got,) = theirs.sharing.get_list(shared_with_me=True)
    assert theirs.download(f"{got.path}/plan.txt") == b"un plan"
    node = theirs.by_path(got.path)
    assert node.is_shared and not node.is_shareable and not node.is_creatable
    permissions = nc_py_api.files.FilePermissions
    some = permissions.PERMISSION_READ | permissions.PERMISSION_UPDATE | permissions.PERMISSION_CREATE
    files.sharing.update(made, permissions=some)
    assert not theirs.by_path(got.path).is_creatable, "who writes here may also delete: nobody said that"
    files.sharing.update(made, permissions=some | permissions.PERMISSION_DELETE)
    assert theirs.by_path(got.path).is_creatable
    theirs.upload(f"{got.path}/avis.txt", "oui")
    assert files.download("Marchés/avis.txt") == b"oui"
    files.sharing.delete(made)
    assert theirs.sharing.get_list(shared_with_me=True) == []
    with pytest.raises(nc_py_api.NextcloudException):
        theirs.download(f"{got.path}/plan.txt")
