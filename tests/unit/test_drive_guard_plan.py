"""Taking back what a device did, against a tree of plain dictionaries that devices change as they like."""

from __future__ import annotations

from beffroi.drive.guard.steps import (
    ROOT,
    Counts,
)

from tests.drive_guard_tree import ANOTHER, DEVICE, OTHER, Model, Node


def town_hall() -> Model:
    tree = Model()
    for node, parent, name, is_folder in (
        ("a", ROOT, "budget", True),
        ("b", ROOT, "voirie", True),
        ("c", "a", "2026", True),
        ("f1", "a", "annexe.xlsx", False),
        ("f2", "a", "note.docx", False),
        ("f3", "c", "plan.pdf", False),
        ("f4", "b", "route.dwg", False),
        ("f5", ROOT, "lisez-moi.txt", False),
    ):
        tree.nodes[node] = Node(parent, name, "" if is_folder else f"{node} v0", is_folder)
    return tree


def test_files_encrypted_in_place_get_their_versions_back() -> None:
    tree = town_hall()
    for number, node in enumerate(("f1", "f2", "f3", "f4")):
        assert tree.change(DEVICE, node, f"rubbish {number}")
    found = tree.restored()
    assert tree.paths() == town_hall().paths()
    assert found.preview == {"a": Counts(reverted=2), "c": Counts(reverted=1), "b": Counts(reverted=1)}


def test_copies_go_and_deleted_originals_come_back_with_their_folders() -> None:
    tree = town_hall()
    assert tree.create(DEVICE, "x1", "a", "annexe.xlsx.k9x2", "rubbish") and tree.delete(DEVICE, "a")
    assert tree.create(DEVICE, "x2", ROOT, "budget", "rubbish")
    tree.restored()
    assert tree.paths() == town_hall().paths()


def test_names_that_were_swapped_are_swapped_back() -> None:
    tree = town_hall()
    assert tree.move(DEVICE, "f1", "a", "t") and tree.move(DEVICE, "f2", "a", "annexe.xlsx")
    assert tree.move(DEVICE, "f1", "a", "note.docx")
    tree.restored()
    assert tree.paths() == town_hall().paths()


def test_folders_that_were_put_into_each_other_come_apart() -> None:
    tree = town_hall()
    assert tree.move(DEVICE, "c", ROOT, "2026") and tree.move(DEVICE, "a", "c", "budget")
    tree.restored()
    assert tree.paths() == town_hall().paths()


def test_what_another_device_wrote_since_stays_and_the_version_before_lies_beside_it() -> None:
    tree = town_hall()
    assert tree.change(DEVICE, "f2", "rubbish") and tree.change(OTHER, "f2", "written anew")
    tree.restored()
    assert tree.paths() == {
        **town_hall().paths(),
        "budget/note.docx": "written anew",
        "budget/note (avant).docx": "f2 v0",
    }


def test_a_file_that_another_device_wrote_before_keeps_that_version() -> None:
    tree = town_hall()
    assert (
        tree.change(OTHER, "f2", "f2 v1")
        and tree.change(DEVICE, "f2", "rubbish")
        and tree.change(DEVICE, "f2", "more")
    )
    tree.restored()
    assert tree.paths()["budget/note.docx"] == "f2 v1"


def test_a_folder_of_the_device_stays_where_somebody_put_a_file_into_it() -> None:
    tree = town_hall()
    assert tree.create(DEVICE, "x", ROOT, "nouveau", "", is_folder=True) and tree.create(
        DEVICE, "y", "x", "rubbish", "rubbish"
    )
    assert tree.create(OTHER, "z", "x", "mine.txt", "mine")
    tree.restored()
    assert tree.paths() == {**town_hall().paths(), "nouveau": "", "nouveau/mine.txt": "mine"}


def test_a_name_that_somebody_took_since_is_left_to_them() -> None:
    tree = town_hall()
    assert tree.delete(DEVICE, "f1") and tree.create(OTHER, "z", "a", "annexe.xlsx", "mine")
    tree.restored()
    assert tree.paths() == {
        **town_hall().paths(),
        "budget/annexe.xlsx": "mine",
        "budget/annexe (avant).xlsx": "f1 v0",
    }


def test_a_file_whose_folder_somebody_deleted_comes_back_above_it() -> None:
    tree = town_hall()
    assert tree.delete(DEVICE, "f3") and tree.delete(OTHER, "c")
    tree.restored()
    assert tree.paths()["budget/plan.pdf"] == "f3 v0"


def test_a_file_that_somebody_deleted_after_the_device_spoiled_it_stays_deleted() -> None:
    tree = town_hall()
    assert tree.change(DEVICE, "f4", "rubbish") and tree.delete(OTHER, "f4")
    tree.restored()
    assert "f4 v0" not in tree.paths().values(), "whoever deleted it may have seen what was no use any more"


def test_what_went_with_a_folder_into_which_the_device_had_moved_it_comes_back() -> None:
    tree = town_hall()
    assert tree.create(DEVICE, "x", ROOT, "LOCKED", "", is_folder=True)
    for node, name in (("f4", "1.locked"), ("c", "2")):
        assert tree.move(DEVICE, node, "x", name)
    assert tree.change(DEVICE, "f3", "rubbish") and tree.create(DEVICE, "x2", "c", "LISEZ-MOI", "pay")
    assert tree.change(DEVICE, "f4", "rubbish") and tree.delete(OTHER, "x")
    tree.restored()
    assert tree.paths() == town_hall().paths()


def test_what_lay_in_a_deleted_folder_before_stays_where_it_is() -> None:
    tree = town_hall()
    assert tree.change(DEVICE, "f3", "rubbish") and tree.move(DEVICE, "f1", "c", "annexe.locked")
    assert tree.move(DEVICE, "f3", ROOT, "plan.locked") and tree.move(DEVICE, "f3", "a", "plan.locked")
    assert tree.delete(OTHER, "a")
    tree.restored()
    assert tree.paths() == {"voirie": "", "voirie/route.dwg": "f4 v0", "lisez-moi.txt": "f5 v0"}


def test_a_file_taken_out_of_the_trash_elsewhere_goes_back_to_its_place() -> None:
    tree = town_hall()
    assert tree.delete(DEVICE, "f4")
    assert tree.create(DEVICE, "f4", ROOT, "elsewhere.dwg", "rubbish")
    tree.restored()
    assert tree.paths() == town_hall().paths()


def test_several_devices_are_taken_back_in_one_plan() -> None:
    tree = town_hall()
    assert (
        tree.change(DEVICE, "f2", "rubbish")
        and tree.change(ANOTHER, "f2", "more rubbish")
        and tree.delete(ANOTHER, "f1")
    )
    tree.restored((DEVICE, ANOTHER))
    assert tree.paths() == town_hall().paths()


def test_a_long_name_beside_another_stays_within_255_bytes() -> None:
    tree = town_hall()
    name = "é" * 125 + ".pdf"
    tree.nodes["long"] = Node("a", name, "long v0")
    assert tree.change(DEVICE, "long", "rubbish") and tree.change(OTHER, "long", "mine")
    tree.restored()
    assert max(len(node.name.encode()) for node in tree.nodes.values()) <= 255
    assert sorted(n.version for n in tree.nodes.values() if n.name.startswith("éé")) == ["long v0", "mine"]


def test_a_name_that_is_nearly_all_extension_stays_within_255_bytes_too() -> None:
    tree = town_hall()
    tree.nodes["long"] = Node("a", "a." + "é" * 125, "long v0")
    assert tree.change(DEVICE, "long", "rubbish") and tree.change(OTHER, "long", "mine")
    tree.restored()
    assert max(len(node.name.encode()) for node in tree.nodes.values()) <= 255
    assert sorted(n.version for n in tree.nodes.values() if n.name.startswith("a.é")) == ["long v0", "mine"]
