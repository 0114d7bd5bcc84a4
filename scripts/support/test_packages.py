"""
The Debian packages as people install them: on amd64 booted by systemd, on arm64 under qemu.

Each promise is a line of output; the first that is broken ends the run with exit code 1.
"""

import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from systemd_machine import ROOT, Machine, booted, make_root, why_not

ON_ARM64 = """
set -e
uname -m
dpkg --install /package.deb
getent passwd genre-registry >/dev/null
test "$(stat -c %U:%a /var/lib/genre-registry)" = genre-registry:700
systemctl is-enabled genre-registry.service genre-registry-backup.timer
genre-registry serve > /var/log/serve.log &
until grep -q "listens on" /var/log/serve.log; do sleep 1; done
genrectl get-or-create "Trip-Hop" "trip hop"
genre-registry check
kill -TERM $!
wait $!
echo "stopped cleanly"
genre-registry backup /var/backups/genre-registry --keep 3
dpkg --install /package.deb
ls /var/backups/genre-registry/before-upgrades/
dpkg --remove genre-registry
test -f /var/lib/genre-registry/registry.db
dpkg --purge genre-registry
test ! -e /var/lib/genre-registry
test ! -e /etc/genre-registry
echo "all of it"
"""


def built(architecture: str) -> Path:
    """Build the package for *architecture*, and return it."""
    done = subprocess.run(
        [ROOT / "scripts/build-deb", architecture],
        check=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    return ROOT / done.stdout.split()[-1]


def on_amd64(folder: Path) -> None:
    """Installed, upgraded, removed and purged under systemd, without a network."""
    root = folder / "amd64"
    make_root(root)
    (root / "src").mkdir()
    shutil.copy(built("amd64"), root / "package.deb")
    with booted(root) as machine:
        _installed(machine)
        _upgraded(machine)
        _removed(machine)


def _installed(machine: Machine) -> None:
    said = machine.run("dpkg", "--install", "/package.deb").stdout
    assert "service: running, and ready for callers" in said, said
    assert machine.shown("ActiveState") == "active"
    assert machine.exposure("genre-registry.service") <= 1.0
    machine.run("genrectl", "get-or-create", "Trip-Hop")
    machine.run("genre-registry", "check")


def _upgraded(machine: Machine) -> None:
    old = machine.pid()
    said = machine.run("dpkg", "--install", "/package.deb").stdout
    assert "backup: /var/backups/genre-registry/before-upgrades/" in said, said
    assert machine.pid() not in (0, old)
    assert "1" in machine.run("genrectl", "lookup", "trip hop").stdout


def _removed(machine: Machine) -> None:
    machine.run("dpkg", "--remove", "genre-registry")
    assert machine.shown("LoadState") == "not-found"
    assert (machine.root / "var/lib/genre-registry/registry.db").exists()
    machine.run("dpkg", "--install", "/package.deb")
    machine.run("genrectl", "lookup", "trip hop")
    machine.run("dpkg", "--purge", "genre-registry")
    for left in ("opt/genre-registry", "var/lib/genre-registry", "etc/genre-registry"):
        assert not (machine.root / left).exists(), left
    assert machine.run("getent", "passwd", "genre-registry", fails=True).returncode == 2


def on_arm64(folder: Path) -> None:
    """Installed, served from, upgraded, removed and purged on arm64, without a network."""
    root = folder / "arm64"
    make_root(root, "arm64")
    shutil.copy(built("arm64"), root / "package.deb")
    (root / "try.sh").write_text(ON_ARM64)
    done = subprocess.run(
        [
            *("systemd-nspawn", "--quiet", "--register=no", "--keep-unit", "--as-pid2"),
            *("--private-network", "--pipe", "-D", root, "sh", "/try.sh"),
        ],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=1500,
    )
    assert done.returncode == 0, done.stdout
    assert done.stdout.startswith("aarch64\n"), done.stdout
    assert "\nall of it\n" in done.stdout, done.stdout


def main(chosen: Sequence[str]) -> int:
    """Try the packages of the architectures *chosen*, or of both."""
    with tempfile.TemporaryDirectory(prefix="genre-registry-deb-") as made:
        for architecture, trying in (("amd64", on_amd64), ("arm64", on_arm64)):
            if chosen and architecture not in chosen:
                continue
            reason = why_not(architecture)
            if reason is not None:
                print(f"SKIPPED: the package for {architecture} was not tried: {reason}")
                continue
            began = time.monotonic()
            try:
                trying(Path(made))
            except BaseException:
                print(f"  NO   {trying.__doc__}", flush=True)
                raise
            print(f"  yes  {trying.__doc__}  ({time.monotonic() - began:.0f} s)", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
