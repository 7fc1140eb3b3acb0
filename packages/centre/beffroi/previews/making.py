"""One document becomes a PDF, and its first pages pictures; a picture becomes a small one: LibreOffice, pdftoppm and
vipsthumbnail, each a program that can reach nothing.

Purpose: what a hostile document does to LibreOffice ends with the program, after seconds at most.
Process: previews; each program is a child of it. It may read what it is made of (/usr, its fonts), read and write the
         folder of this one document, and run nothing but itself (Landlock); it can make no process, signal none, reach
         no socket (seccomp); MEMORY_BYTES, CPU_S, FILE_BYTES, FOLDER_BYTES, a deadline.
Hostile: the document, and what the program leaves in its folder: only plain files of bounded size are taken from there.
Fails:   closed: ``NotShown``.
Rule:    a fresh profile each time: no macro runs, no link is followed, no lock file is made.
"""

from __future__ import annotations

import os
import re
import resource
import shutil
import signal
import stat
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from beffroi.lib import seclusion
from beffroi.lib.ready import readable
from beffroi.previews import wire
from beffroi.previews.wire import NotShown, Preview

OFFICE = Path("/usr/lib/libreoffice/program/soffice.bin")
VERSION = OFFICE.with_name("versionrc")
PICTURES = Path("/usr/bin/pdftoppm")
THUMBNAILS = Path("/usr/bin/vipsthumbnail")
RUNNABLE = (
    OFFICE,
    PICTURES,
    THUMBNAILS,
    *(Path("/usr").glob("lib*/ld-linux*")),
    *(Path("/usr/lib").glob("*/ld-linux*")),
)
READABLE = tuple(
    Path(one)
    for one in (
        "/usr",
        "/lib",
        "/lib64",
        "/etc/fonts",
        "/etc/libreoffice",
        "/etc/ld.so.cache",
        "/etc/localtime",
        "/var/cache/fontconfig",
        "/var/lib/libreoffice",
        "/var/spool/libreoffice",
        "/dev/urandom",
    )
)
SOCKETS = (Path("/tmp"), Path("/var/tmp"))  # noqa: S108
"""In one of which LibreOffice must make a socket, by which a second one would find it. Nothing connects to it here."""
OFFICE_S, PICTURES_S, PRINTED_S, THUMBNAIL_S = 30.0, 15.0, 45.0, 10.0
MEMORY_BYTES = 2 * 1024**3
CPU_S = 30
FILE_BYTES = 64 * 1024 * 1024
FOLDER_BYTES = 256 * 1024 * 1024
THREADS = 64 + 5 * wire.PHOTOS_AT_ONCE
"""Of all programs together and of what starts them: the kernel counts a user's. A picture takes four and its lane one,
a document of LibreOffice's a dozen."""
PICTURE_WIDTH = 900
_A_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW
_TOO_MUCH = signal.SIGKILL, signal.SIGXFSZ
"""Nobody but the kernel kills it before it ends: it had CPU_S, or there was no memory left on the machine."""
_STARTED_ANEW = 81
"""How LibreOffice ends after it made its profile, as where ``_build`` is not its own: it is to be started once more."""
_KINDS = {
    **dict.fromkeys(("odt", "ott", "docx", "doc", "rtf", wire.PRINTED), "writer"),
    **dict.fromkeys(("ods", "ots", "xlsx", "xls"), "calc"),
    **dict.fromkeys(("odp", "otp", "pptx", "ppt"), "impress"),
}
_SETTINGS = (
    ("/org.openoffice.Setup/L10N", "ooSetupSystemLocale", "fr-FR"),
    ("/org.openoffice.Office.Common/Security/Scripting", "MacroSecurityLevel", "3"),
    ("/org.openoffice.Office.Common/Security/Scripting", "DisableMacrosExecution", "true"),
    ("/org.openoffice.Office.Common/Security/Scripting", "DisablePythonRuntime", "true"),
    ("/org.openoffice.Office.Common/Security/Scripting", "DisableActiveContent", "true"),
    ("/org.openoffice.Office.Common/Security/Scripting", "BlockUntrustedRefererLinks", "true"),
    ("/org.openoffice.Office.Writer/Content/Update", "Link", "0"),
    ("/org.openoffice.Office.Calc/Content/Update", "Link", "1"),
)

_FIRST_PAGES = f'{{"PageRange":{{"type":"string","value":"1-{wire.PAGES}"}}}}'
_PDF_A = '{"SelectPdfVersion":{"type":"long","value":"2"}}'
"""PDF/A-2b: as archives take it."""


def make(folder: Path, suffix: str, data: bytes, edge_px: int = 0) -> Preview:
    """``folder``: empty, of this document alone. ``edge_px``: as of ``wire.Asked``. Errors: NotShown, OSError."""
    source = folder / f"document.{suffix}"
    source.write_bytes(data)
    if edge_px:
        return Preview(b"", (_thumbnail(folder, source, edge_px),))
    if suffix == wire.PRINTED:
        return Preview(_taken(_printed(folder, source, _PDF_A, PRINTED_S), wire.MAX_PDF_BYTES), ())
    pdf = source if suffix == "pdf" else _printed(folder, source)
    scale = ("-scale-to-x", str(PICTURE_WIDTH), "-scale-to-y", "-1")
    argv = (PICTURES, "-png", "-l", str(wire.PICTURES), *scale, pdf, folder / "page")
    _run(folder, argv, time.monotonic() + PICTURES_S)
    pages = sorted(folder.glob("page-*.png"))[: wire.PICTURES]
    pictures = tuple(_taken(one, wire.MAX_PICTURE_BYTES) for one in pages)
    if not pictures:
        raise NotShown("unreadable")
    return Preview(b"" if suffix == "pdf" else _taken(pdf, wire.MAX_PDF_BYTES), pictures)


def _thumbnail(folder: Path, source: Path, edge_px: int) -> bytes:
    """JPEG. A picture that is smaller stays as small, but a TIFF."""
    small = folder / "small.jpg"
    # Told to make nothing larger, libvips takes the smallest step of a TIFF that holds itself in several sizes.
    is_stepped = source.suffix in (".tif", ".tiff")
    size = ("--size", f"{edge_px}x{edge_px}{'' if is_stepped else '>'}", "--export-profile", "srgb")
    _run(
        folder,
        (THUMBNAILS, source, *size, "-o", f"{small}[Q=80,keep=none,background=255]"),
        time.monotonic() + THUMBNAIL_S,
    )
    return _taken(small, wire.MAX_PICTURE_BYTES)


def _printed(folder: Path, source: Path, how: str = _FIRST_PAGES, limit_s: float | None = None) -> Path:
    """``how``: options of LibreOffice's PDF export, JSON."""
    profile = folder / "profile" / "user"
    profile.mkdir(parents=True)
    (profile / "registrymodifications.xcu").write_text(_profile())
    (profile / "extensions").mkdir()
    (profile / "extensions" / "buildid").write_text(_build())
    argv = (
        OFFICE,
        "--headless",
        "--norestore",
        "--nolockcheck",
        "--nodefault",
        "--nologo",
        f"-env:UserInstallation=file://{folder}/profile",
        *(("--infilter=OpenDocument Text Flat XML",) if source.suffix[1:] == wire.PRINTED else ()),
        "--convert-to",
        f"pdf:{_KINDS[source.suffix[1:]]}_pdf_Export:{how}",
        "--outdir",
        folder / "out",
        source,
    )
    until = time.monotonic() + (limit_s or OFFICE_S)
    if _run(folder, argv, until) == _STARTED_ANEW:
        _run(folder, argv, until)
    return folder / "out" / "document.pdf"


def _build() -> str:
    """What a profile says of the LibreOffice that made it: of one that says nothing another is made, by a start of its
    own. "" where that is not known."""
    try:
        found = re.search(r"^buildid=(.+)$", VERSION.read_text("utf-8"), re.MULTILINE)
    except OSError:
        return ""
    return found[1] if found else ""


def _profile() -> str:
    items = "".join(
        f'<item oor:path="{path}"><prop oor:name="{name}" oor:op="fuse"><value>{value}</value></prop></item>'
        for path, name, value in _SETTINGS
    )
    return (
        '<?xml version="1.0" encoding="UTF-8"?>\n<oor:items xmlns:oor="http://openoffice.org/2001/registry">'
        f"{items}</oor:items>"
    )


def _run(folder: Path, argv: Sequence[Path | str], until: float) -> int:
    """The exit status of a program that ended by itself. ``until``: by the steady clock. Errors: NotShown, OSError."""
    pid = os.fork()
    if pid == 0:
        try:
            _become(folder, [str(one) for one in argv])
        finally:
            os._exit(127)
    process = os.pidfd_open(pid)
    try:
        while not readable(process, 0.1):
            if time.monotonic() > until or _size_bytes(folder) > FOLDER_BYTES:
                raise NotShown("slow")
    finally:
        signal.pidfd_send_signal(process, signal.SIGKILL)
        os.close(process)
        _, status = os.waitpid(pid, 0)
    if os.WIFSIGNALED(status):
        raise NotShown("slow" if os.WTERMSIG(status) in _TOO_MUCH else "unreadable")
    return os.WEXITSTATUS(status)


def _become(folder: Path, argv: list[str]) -> None:
    os.setsid()
    nothing = os.open("/dev/null", os.O_RDWR)
    for number in (0, 1, 2):
        os.dup2(nothing, number)
    os.closerange(3, 256)
    for limit, value in (
        (resource.RLIMIT_AS, MEMORY_BYTES),
        (resource.RLIMIT_CPU, CPU_S),
        (resource.RLIMIT_FSIZE, FILE_BYTES),
        (resource.RLIMIT_CORE, 0),
        (resource.RLIMIT_NPROC, THREADS),
    ):
        resource.setrlimit(limit, (value, value))
    os.chdir(folder)
    seclusion.only_these_files(READABLE, writable=(folder,), runnable=RUNNABLE, sockets=SOCKETS)
    seclusion.one_program()
    environment = {
        "HOME": str(folder),
        "TMPDIR": str(folder),
        "LANG": "C.UTF-8",
        "PATH": "/nowhere",
        "VIPS_BLOCK_UNTRUSTED": "1",  # readers that libvips' authors do not trust with strangers' files
        "VIPS_CONCURRENCY": "1",
    }
    os.execve(argv[0], argv, environment)  # noqa: S606 - a program of ours


def _taken(path: Path, most_bytes: int) -> bytes:
    """What a program left in its folder or in one below it, never through a link. Errors: NotShown."""
    try:
        above = os.open(path.parent, _A_FOLDER)
        try:
            descriptor = os.open(path.name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK, dir_fd=above)
        finally:
            os.close(above)
    except OSError:
        raise NotShown("unreadable") from None
    with os.fdopen(descriptor, "rb") as file:
        found = os.fstat(descriptor)
        if not stat.S_ISREG(found.st_mode):
            raise NotShown("unreadable")
        if found.st_size > most_bytes:
            raise NotShown("slow")
        return file.read(most_bytes)


def _size_bytes(folder: Path) -> int:
    size = 0
    for above, _, names in os.walk(folder):
        for name in names:
            try:
                size += os.lstat(os.path.join(above, name)).st_size  # noqa: PTH118 - many, ten times a second
            except FileNotFoundError:
                continue
    return size


def clear(folder: Path) -> None:
    """Nothing of a document stays, whatever its program left: closed folders, or deeper ones than a path is long."""
    shutil.rmtree(folder, ignore_errors=True)
    with suppress(OSError):
        _dig_out(folder)


def _dig_out(folder: Path) -> None:
    """From the deepest one up, each reached from the one above it. Errors: OSError."""
    folder.chmod(0o700)
    here = os.open(folder, _A_FOLDER)
    way = [("", _inside(here))]
    try:
        while way:
            name, inner = way[-1]
            if inner:
                below = inner.pop()
                os.chmod(below, 0o700, dir_fd=here)
                here = _moved(here, below)
                way.append((below, _inside(here)))
                continue
            way.pop()
            if way:
                here = _moved(here, "..")
                os.rmdir(name, dir_fd=here)
    finally:
        os.close(here)
    folder.rmdir()


def _inside(folder: int) -> list[str]:
    """The folders in it; all else goes. Errors: OSError."""
    found = []
    with os.scandir(folder) as entries:
        for one in entries:
            if one.is_dir(follow_symlinks=False):
                found.append(one.name)
            else:
                os.unlink(one.name, dir_fd=folder)
    return found


def _moved(here: int, name: str) -> int:
    """Another folder in its place. Errors: OSError (then it is open still)."""
    there = os.open(name, _A_FOLDER, dir_fd=here)
    os.close(here)
    return there
