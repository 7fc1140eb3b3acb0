"""A Debian machine above this machine's own Debian: to install in, and to boot.

Boot:    a real systemd is process 1 of namespaces of its own. It finds no hardware (/sys cannot be written), sets
         nothing of the kernel outside of its network namespace, and starts nothing but Debian's own early units and
         ours.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

from tests.waiting import PATIENCE_S, until

ROOT = Path(__file__).parents[1]
_SPACES = ("--mount", "--pid", "--ipc", "--uts", "--cgroup")
_BOOT = r"""
set -e
mount --make-rprivate /
cd "$1"
mount --bind . . && cd "$1"
mount -t proc proc proc
for part in fs kernel vm; do mount --bind proc/sys/$part proc/sys/$part && mount -o remount,bind,ro proc/sys/$part; done
mount -t sysfs sysfs sys
mount -t tmpfs groups sys/fs/cgroup && mount -t cgroup2 groups sys/fs/cgroup
mount -o remount,bind,ro sys
mount -t tmpfs run run
mount -t tmpfs tmp tmp
mount -t tmpfs -o mode=755 dev dev
for name in null zero full random urandom tty; do touch dev/$name && mount --bind /dev/$name dev/$name; done
mkdir -p dev/pts dev/shm old
mount -t devpts -o newinstance,ptmxmode=666 devpts dev/pts
mount -t tmpfs shm dev/shm
ln -s /proc/self/fd dev/fd
ln -s pts/ptmx dev/ptmx
pivot_root . old
umount -l /old
exec env -i container=other PATH=/usr/sbin:/usr/bin /usr/lib/systemd/systemd --unit=multi-user.target
"""


def build(directory: Path) -> Path:
    done = subprocess.run(
        [ROOT / "beffroi", "box", "package", "--output", directory],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return Path(done.stdout.strip())


def changed(package: Path, place: Path, **edits: tuple[str, str]) -> Path:
    """The package of a later version, with (old, new) text in a module of the agent, by its name."""
    tree = place / "tree"
    subprocess.run(["dpkg-deb", "-R", package, tree], check=True)
    control = tree / "DEBIAN" / "control"
    control.write_text(control.read_text().replace("Version: ", "Version: 9."))
    for module, (old, new) in edits.items():
        path = tree / "usr/lib/beffroi-box/beffroi_box" / f"{module}.py"
        assert old in path.read_text()
        path.write_text(path.read_text().replace(old, new))
    newer = place / "newer.deb"
    subprocess.run(["dpkg-deb", "--root-owner-group", "-b", tree, newer], check=True, capture_output=True)
    return newer


class Machine:
    """A Debian whose every change is thrown away: what is written lies in a layer above this machine's own root."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.root = directory / "root"
        self._power: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Machine:
        self.directory.mkdir()
        subprocess.run(["mount", "-t", "tmpfs", "bxt-deb", self.directory], check=True)
        for name in ("root", "upper", "work"):
            (self.directory / name).mkdir()
        layers = f"lowerdir=/,upperdir={self.directory}/upper,workdir={self.directory}/work"
        subprocess.run(["mount", "-t", "overlay", "bxt-deb", "-o", layers, self.root], check=True)
        return self

    def __exit__(self, *_: object) -> None:
        self.cut_power()
        subprocess.run(["umount", "-l", self.root], check=True)
        subprocess.run(["umount", "-l", self.directory], check=True)
        shutil.rmtree(self.directory)

    def run(self, command: str, *, status: int = 0) -> str:
        """Run a shell command inside, with a /run, /proc and network of its own."""
        script = (
            "mount -t proc proc /proc && mount -t tmpfs run /run && mount -t devtmpfs dev /dev 2>/dev/null; "
        )
        argv = ["unshare", "--mount", "--pid", "--net", "--fork", "--kill-child"]
        argv += [
            "chroot",
            str(self.root),
            "sh",
            "-c",
            f"{script} export DEBIAN_FRONTEND=noninteractive; {command}",
        ]
        # The directory for temporary files may be in the /run outside, which is not the one inside.
        environment = {name: value for name, value in os.environ.items() if name != "TMPDIR"}
        done = subprocess.run(
            argv, env=environment, capture_output=True, text=True, check=False, timeout=PATIENCE_S
        )
        assert done.returncode == status, f"{command}: {done.stdout}{done.stderr}"
        return done.stdout

    def install(self, package: Path) -> None:
        shutil.copy(package, self.root / "package.deb")
        self.run("dpkg -i /package.deb")
        (self.root / "package.deb").unlink()

    def left(self) -> list[str]:
        """What of the boîtier is anywhere on the disk or among the accounts."""
        places = "/etc /usr /var/lib /var/cache /var/log /lib/systemd"
        found = self.run(
            f"find {places} -xdev -path '*beffroi-box*' -not -path '/var/lib/dpkg/*' | sort"
        ).split()
        return (
            found
            + self.run("grep -Eo '^_beffroi-(page|inspect|relay)' /etc/passwd /etc/group || true").split()
        )

    def boot(self, space: str) -> None:
        """Switch it on, in a network namespace; return when systemd takes commands."""
        wanted = self.root.glob("etc/systemd/system/*.wants/*")
        for unit in (one for one in wanted if not one.name.startswith("beffroi")):
            unit.unlink()
        # There is one clock for all machines here.
        off = ("console-getty.service", "beffroi-box-clock.service")
        (self.root / "usr/sbin/policy-rc.d").unlink(missing_ok=True)  # of a container: packages start nothing
        for unit in (self.root / "etc/systemd/system" / name for name in off):
            unit.unlink(missing_ok=True)
            unit.symlink_to("/dev/null")
        within = ("nsenter", f"--net=/run/netns/{space}", "--", "unshare", *_SPACES, "--fork", "--kill-child")
        argv = (*within, "sh", "-c", _BOOT, "boot", str(self.root))
        self._power = subprocess.Popen(argv, stdin=subprocess.DEVNULL)
        until(self._first, "it does not begin")
        asked = "systemctl show --property=Version"
        until(lambda: self.tell(asked).returncode == 0, "systemd does not answer")

    def tell(self, command: str) -> subprocess.CompletedProcess[str]:
        """Run a shell command in the machine that is on."""
        enter = ("nsenter", "--target", self._first(), *_SPACES, "--net", "--root")
        return subprocess.run(
            (*enter, "sh", "-c", f"cd / && {command}"),
            capture_output=True,
            text=True,
            check=False,
            timeout=PATIENCE_S,
        )

    def _first(self) -> str:
        """Number of its process 1, as seen from here; "" before there is one."""
        assert self._power is not None and self._power.poll() is None, "it is off"
        command = ("pgrep", "-P", str(self._power.pid))
        return subprocess.run(command, capture_output=True, text=True, check=False).stdout.strip()

    def cut_power(self) -> None:
        if self._power is not None:
            self._power.kill()
            self._power.wait()
            self._power = None
