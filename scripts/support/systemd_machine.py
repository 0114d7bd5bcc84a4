"""
A small Debian booted by a real systemd in a container, for what only systemd can show.

Needs root, mmdebstrap and systemd-nspawn. The container has a network of its own without a way out.
"""

import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

ROOT = Path(__file__).parent.parent.parent
PACKAGES = "systemd,systemd-sysv,dbus,python3,python3-venv,procps,iproute2,openssl"
PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
UNIT = "genre-registry.service"
BOOT_S = 120


def why_not(architecture: str = "amd64") -> str | None:
    """Return why no such machine can be had here, in a sentence; None when it can."""
    if os.geteuid() != 0:
        return "it boots a container, which takes root."
    missing = [name for name in ("mmdebstrap", "systemd-nspawn") if shutil.which(name) is None]
    if missing:
        return f"{' and '.join(missing)} missing: apt-get install mmdebstrap systemd-container"
    if not Path("/sys/fs/cgroup").is_mount():
        return "no control groups are mounted, without which systemd does not boot."
    if architecture == "arm64" and os.uname().machine != "aarch64":
        found = list(Path("/proc/sys/fs/binfmt_misc").glob("qemu-aarch64"))
        if not found:
            return "no qemu runs arm64 programs: apt-get install qemu-user-static binfmt-support"
    return None


def make_root(folder: Path, architecture: str = "amd64") -> None:
    """Unpack a minimal Debian 12 into *folder*: half a minute, or four under qemu."""
    subprocess.run(
        [
            *("mmdebstrap", "--quiet", "--variant=minbase", f"--architectures={architecture}"),
            *(f"--include={PACKAGES}", "bookworm", folder),
        ],
        check=True,
        timeout=900,
    )


def copy_tree(target: Path, *, source: Path = ROOT) -> None:
    """Copy what git knows of this project, changed or not, to *target*."""
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=source,
        check=True,
        capture_output=True,
        text=True,
    ).stdout.split("\0")
    for name in filter(None, listed):
        if (source / name).is_file():
            (target / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(source / name, target / name)


class Machine:
    """A booted machine; its folder is *root* here and `/` there."""

    def __init__(self, root: Path, leader: int) -> None:
        self.root = root
        self._leader = leader

    def run(
        self, *command: str, timeout_s: float = 300, fails: bool = False
    ) -> subprocess.CompletedProcess[str]:
        """Run *command* there, in /src; unless it *fails*, its failure is ours."""
        done = subprocess.run(
            [
                *("nsenter", f"--target={self._leader}", "-m", "-u", "-i", "-n", "-p"),
                *("--wdns=/src", "--", "env", "-i", f"PATH={PATH}", "HOME=/root", *command),
            ],
            capture_output=True,
            text=True,
            timeout=timeout_s,
        )
        if not fails and done.returncode != 0:
            raise AssertionError(f"{command} -> {done.returncode}\n{done.stdout}{done.stderr}")
        return done

    def start(self, *command: str) -> subprocess.Popen[str]:
        """Start *command* there, with its output for who asks."""
        return subprocess.Popen(
            [
                *("nsenter", f"--target={self._leader}", "-m", "-u", "-i", "-n", "-p"),
                *("--wdns=/src", "--", "env", "-i", f"PATH={PATH}", "HOME=/root", *command),
            ],
            stdout=subprocess.PIPE,
            text=True,
        )

    def python(self, code: str, *arguments: str) -> str:
        """Run *code* with the installed environment's Python; return what it prints."""
        return self.run("/opt/genre-registry/bin/python", "-c", code, *arguments).stdout

    def shown(self, name: str, unit: str = UNIT) -> str:
        """Return a property of *unit*."""
        return self.run("systemctl", "show", "--value", "-p", name, unit).stdout.strip()

    def pid(self) -> int:
        """Return the server's process id there; 0 when none runs."""
        return int(self.shown("MainPID"))

    def journal(self, unit: str = UNIT) -> str:
        """Return what *unit* and systemd about it have logged."""
        return self.run("journalctl", "--no-pager", "-o", "cat", "-u", unit).stdout

    def drop_in(self, name: str, *lines: str, unit: str = UNIT) -> None:
        """Add *lines* to the unit's [Service]; without lines, take them away again."""
        folder = self.root / f"etc/systemd/system/{unit}.d"
        folder.mkdir(parents=True, exist_ok=True)
        file = folder / f"{name}.conf"
        if lines:
            file.write_text("\n".join(["[Service]", *lines, ""]))
        else:
            file.unlink()
        self.run("systemctl", "daemon-reload")

    def exposure(self, unit: str) -> float:
        """Return what `systemd-analyze security` finds."""
        said = self.run("systemd-analyze", "security", "--no-pager", unit).stdout
        [found] = re.findall(r"Overall exposure level for \S+: ([\d.]+)", said)
        return float(found)


def until(what: str, holds: Callable[[], object], timeout_s: float = 60) -> None:
    """Return as soon as *holds*, which is asked ten times a second."""
    end = time.monotonic() + timeout_s
    while not holds():
        if time.monotonic() > end:
            raise AssertionError(f"{what}: not within {timeout_s} s")
        time.sleep(0.1)


@contextmanager
def booted(root: Path) -> Iterator[Machine]:
    """Boot *root* until the block ends; then it is powered off, never killed."""
    with tempfile.TemporaryFile() as console:
        container = subprocess.Popen(
            [
                *("systemd-nspawn", "--quiet", "--boot", "--register=no", "--keep-unit"),
                *("--private-users=no", "--private-network", "-D", str(root)),
            ],
            stdin=subprocess.DEVNULL,
            stdout=console,
            stderr=console,
            start_new_session=True,
        )
        children = Path(f"/proc/{container.pid}/task/{container.pid}/children")
        until("a leader in the container", lambda: children.read_text().split(), BOOT_S)
        machine = Machine(root, int(children.read_text().split()[0]))
        try:
            until("booted", lambda: _is_up(machine), BOOT_S)
            yield machine
        finally:
            machine.run("systemctl", "poweroff", fails=True)
            try:
                container.wait(BOOT_S)
            except subprocess.TimeoutExpired:
                print("the container does not power off; it is left running", file=sys.stderr)


def _is_up(machine: Machine) -> bool:
    state = machine.run("systemctl", "is-system-running", fails=True).stdout.strip()
    return state in ("running", "degraded")


def json_lines(text: str) -> list[dict[str, object]]:
    """Return the lines of *text* that are JSON objects."""
    return [json.loads(line) for line in text.splitlines() if line.startswith("{")]
