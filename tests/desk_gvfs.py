"""GNOME's files on a server (gvfs), as Nautilus, gedit and all GTK programs see them; runs on a desk."""

from __future__ import annotations

import threading
from typing import Any

import gi  # type: ignore[import-not-found]

gi.require_version("Gio", "2.0")

from gi.repository import Gio, GLib  # type: ignore[import-not-found]  # noqa: E402

from tests.desk_module import serve  # noqa: E402

_ATTRIBUTES = "standard::*,etag::value,time::modified"


class Files:
    """Places are URIs: dav://..., file://..."""

    def mount(self, place: str, login: str, password: str) -> None:
        """Its person is asked for name and password, as by Nautilus' window."""
        operation, done, failed = Gio.MountOperation(), threading.Event(), list[Exception]()

        def ask(_operation: Any, _message: str, _login: str, _domain: str, _flags: Any) -> None:
            if operation.get_username() == login:  # once; whoever is asked again gives it up
                operation.reply(Gio.MountOperationResult.ABORTED)
                return
            operation.set_username(login)
            operation.set_password(password)
            operation.reply(Gio.MountOperationResult.HANDLED)

        def end(there: Any, result: Any) -> None:
            try:
                there.mount_enclosing_volume_finish(result)
            except GLib.Error as error:
                failed.append(error)
            done.set()

        operation.connect("ask-password", ask)
        _at(place).mount_enclosing_volume(Gio.MountMountFlags.NONE, operation, None, end)
        done.wait(240)
        if failed:
            raise failed[0]

    def unmount(self, place: str) -> None:
        done = threading.Event()
        mounted = _at(place).find_enclosing_mount(None)
        mounted.unmount_with_operation(
            Gio.MountUnmountFlags.FORCE, Gio.MountOperation(), None, lambda *_: done.set()
        )
        done.wait(240)

    def names(self, place: str) -> dict[str, int]:
        """Size by name; -1 for a folder."""
        found = _at(place).enumerate_children(_ATTRIBUTES, Gio.FileQueryInfoFlags.NONE, None)
        return {
            one.get_display_name(): -1 if one.get_file_type() == Gio.FileType.DIRECTORY else one.get_size()
            for one in found
        }

    def etag(self, place: str) -> str | None:
        return _at(place).query_info(_ATTRIBUTES, Gio.FileQueryInfoFlags.NONE, None).get_etag()

    def kind(self, place: str) -> str:
        return _at(place).query_info(_ATTRIBUTES, Gio.FileQueryInfoFlags.NONE, None).get_content_type()

    def room(self, place: str) -> tuple[int, int]:
        """(all, free), in bytes."""
        found = _at(place).query_filesystem_info("filesystem::*", None)
        return (
            found.get_attribute_uint64("filesystem::size"),
            found.get_attribute_uint64("filesystem::free"),
        )

    def copy(self, start: str, end: str, overwrite: bool = False) -> None:
        flags = Gio.FileCopyFlags.OVERWRITE if overwrite else Gio.FileCopyFlags.NONE
        _at(start).copy(_at(end), flags, None, None)

    def move(self, start: str, end: str) -> None:
        _at(start).move(_at(end), Gio.FileCopyFlags.NO_FALLBACK_FOR_MOVE, None, None)

    def rename(self, place: str, name: str) -> None:
        _at(place).set_display_name(name, None)

    def make_folder(self, place: str) -> None:
        _at(place).make_directory(None)

    def delete(self, place: str) -> None:
        _at(place).delete(None)

    def trash(self, place: str) -> None:
        _at(place).trash(None)

    def read(self, place: str) -> list[str]:
        """(text, etag)."""
        _, content, tag = _at(place).load_contents(None)
        return [content.decode(), tag]

    def save(self, place: str, text: str, etag: str | None = None) -> str:
        """As an editor saves: not where it changed meanwhile. Its new etag."""
        saved = _at(place).replace_contents(text.encode(), etag, False, Gio.FileCreateFlags.NONE, None)
        return saved[1]

    def create(self, place: str, text: str) -> None:
        """Not where there is one."""
        stream = _at(place).create(Gio.FileCreateFlags.NONE, None)
        stream.write_all(text.encode(), None)
        stream.close(None)


def _at(place: str) -> Any:
    return Gio.File.new_for_uri(place)


def main() -> None:
    threading.Thread(target=GLib.MainLoop().run, daemon=True).start()
    files = Files()
    serve({name: getattr(files, name) for name in dir(Files) if not name.startswith("_")})


if __name__ == "__main__":
    main()
