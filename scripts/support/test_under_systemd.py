"""
The service as people install it, under a real systemd: what it promises when things go wrong.

Each promise is a line of output; the first that is broken ends the run with exit code 1.
"""

import re
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from systemd_machine import ROOT, Machine, booted, copy_tree, json_lines, make_root, until, why_not

BACKUP_UNIT = "genre-registry-backup.service"
DATABASE = "/var/lib/genre-registry/registry.db"
NEWER = "9.9.9"
WATCHDOG_S = 3

HEALTH = """
import grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc
with grpc.insecure_channel("127.0.0.1:50051") as channel:
    answer = health_pb2_grpc.HealthStub(channel).Check(health_pb2.HealthCheckRequest(), timeout=5)
assert answer.status == health_pb2.HealthCheckResponse.SERVING, answer
"""

LOAD = """
import itertools, sys, threading
from worker_client import GenreRegistryClient, RegistryUnavailable

acknowledged, odd = [], []

def work(number):
    with GenreRegistryClient("127.0.0.1:50051", cache_size=0) as registry:
        for count in itertools.count():
            name = f"load {number} {count}"
            try:
                registry.get_or_create(name)
            except RegistryUnavailable:
                return
            except Exception as error:
                odd.append(repr(error))
                return
            acknowledged.append(name)
            if count == 20:
                print("going", flush=True)

threads = [threading.Thread(target=work, args=(number,)) for number in range(8)]
[thread.start() for thread in threads]
[thread.join() for thread in threads]
print(len(acknowledged), odd)
open("/tmp/acknowledged", "w").write("\\n".join(acknowledged))
"""

KNOWN = """
from worker_client import GenreRegistryClient
names = open("/tmp/acknowledged").read().split("\\n")
with GenreRegistryClient("127.0.0.1:50051", cache_size=0) as registry:
    print(len([registry.lookup_genre(name) for name in names]))
"""

OVER_TLS = """
import sys
import grpc
from genre_registry.v1 import genre_registry_pb2, genre_registry_pb2_grpc

authority, *tokens = [open(path, "rb").read() for path in sys.argv[1:]]
metadata = [("authorization", "Bearer " + token.decode().strip()) for token in tokens]
with grpc.secure_channel("localhost:50051", grpc.ssl_channel_credentials(authority)) as channel:
    stub = genre_registry_pb2_grpc.GenreRegistryStub(channel)
    request = genre_registry_pb2.GetOrCreateRequest(name="Dub")
    try:
        print(stub.GetOrCreate(request, timeout=10, metadata=metadata).genre.id)
    except grpc.RpcError as error:
        print(error.code().name)
"""


def ids(machine: Machine, *names: str) -> list[int]:
    """Return the genres' ids, creating what is new."""
    said = machine.run("genrectl", "--json", "get-or-create", *names).stdout
    return [int(str(found)) for found in re.findall(r'"id": "?(\d+)', said)]


def wheels_of(source: Path, folder: Path) -> None:
    """Put what installs *source* into *folder*, for Debian 12 on this kind of machine."""
    gather = ROOT / "scripts/support/gather-wheels"
    subprocess.run([gather, folder, source, "amd64", "3.11"], check=True, stderr=subprocess.DEVNULL)


def make_newer(source: Path) -> None:
    """Make a later version of the tree in *source*: one migration more."""
    project = source / "pyproject.toml"
    project.write_text(
        re.sub(r'^version = ".*"', f'version = "{NEWER}"', project.read_text(), flags=re.M)
    )
    schema = source / "registry_server/store/schema.py"
    [head] = re.findall(r'^HEAD = "(\d+)"', schema.read_text(), re.M)
    schema.write_text(schema.read_text().replace(f'HEAD = "{head}"', 'HEAD = "9999"'))
    (source / "registry_server/store/migrations/versions/9999_later.py").write_text(
        f'"""Later."""\n\nrevision = "9999"\ndown_revision = "{head}"\n\n\n'
        "def upgrade() -> None:\n    pass\n"
    )


def installing(machine: Machine) -> None:
    """Installed by one command, and running when that returns."""
    said = machine.run("scripts/install", "--wheels", "/wheels", "--yes").stdout
    assert "service: running, and ready for callers" in said, said
    assert machine.shown("ActiveState") == "active"
    assert "sound" in machine.run("genre-registry", "check").stdout
    assert ids(machine, "Trip-Hop", "Dub") == [1, 2]


def hardening(machine: Machine) -> None:
    """Exposed by at most 1.0, as systemd-analyze counts; and bound in its memory."""
    for unit in ("genre-registry.service", BACKUP_UNIT):
        assert machine.exposure(unit) <= 1.0, unit
    assert machine.shown("MemoryMax") == str(640 * 1024 * 1024)
    assert machine.shown("User") == "genre-registry"


def readiness(machine: Machine) -> None:
    """READY only once health says SERVING: what systemd runs after it is answered at once."""
    (machine.root / "srv/health.py").write_text(HEALTH)
    machine.drop_in("health", "ExecStartPost=/opt/genre-registry/bin/python /srv/health.py")
    for _ in range(3):
        machine.run("systemctl", "restart", "genre-registry")
        assert machine.shown("ActiveState") == "active"
    machine.drop_in("health")


def killing(machine: Machine) -> None:
    """`kill -9`, ten times without a pause: it is back each time, and ids hold."""
    for _ in range(10):
        old = machine.pid()
        machine.run("kill", "-9", str(old))
        until("another server", lambda old=old: machine.pid() not in (0, old))
    until("active", lambda: machine.shown("ActiveState") == "active")
    assert ids(machine, "dub", "trip hop") == [2, 1]


def hanging(machine: Machine) -> None:
    """A server that no longer turns is ended by the watchdog, and says where it stood."""
    machine.drop_in("watchdog", f"WatchdogSec={WATCHDOG_S}")
    machine.run("systemctl", "restart", "genre-registry")
    old = machine.pid()
    time.sleep(WATCHDOG_S * 2)
    assert machine.pid() == old, "the watchdog ended a healthy server"
    machine.run("kill", "-STOP", str(old))
    until("another server", lambda: machine.pid() not in (0, old), WATCHDOG_S + 30)
    until("active", lambda: machine.shown("ActiveState") == "active")
    said = machine.journal()
    assert "Watchdog timeout" in said, said
    assert "most recent call first" in said, said
    machine.drop_in("watchdog")
    machine.run("systemctl", "restart", "genre-registry")
    assert ids(machine, "Dub") == [2]


def credentials(machine: Machine) -> None:
    """What only root may read comes to the server as a credential."""
    secret = machine.root / "etc/genre-registry/settings.toml"
    secret.write_text("history_kept = 4321\n")
    secret.chmod(0o600)
    machine.drop_in(
        "credential",
        "LoadCredential=settings.toml:/etc/genre-registry/settings.toml",
        "Environment=GENRE_REGISTRY_SETTINGS=%d/settings.toml",
    )
    machine.run("systemctl", "restart", "genre-registry")
    assert machine.shown("ActiveState") == "active"
    environ = machine.run("cat", f"/proc/{machine.pid()}/environ").stdout
    assert (
        "GENRE_REGISTRY_SETTINGS=/run/credentials/genre-registry.service/settings.toml" in environ
    )
    secret.write_text("history_kept = 0\n")
    failed = machine.run("systemctl", "restart", "genre-registry", fails=True)
    assert failed.returncode != 0
    assert "history_kept: 1 to 1,000,000,000 changes are allowed" in machine.journal()
    assert machine.shown("ExecMainStatus") == "78"
    time.sleep(3)
    assert machine.shown("ActiveState") == "failed", "what only a person can mend is not retried"
    machine.drop_in("credential")
    secret.unlink()
    machine.run("systemctl", "restart", "genre-registry")


def backing_up(machine: Machine) -> None:
    """The timer is set, its service leaves a backup, and an unchanged registry no second one."""
    assert machine.shown("ActiveState", "genre-registry-backup.timer") == "active"
    folder = machine.root / "var/backups/genre-registry"
    for _ in range(2):
        machine.run("systemctl", "start", BACKUP_UNIT)
        assert machine.shown("Result", BACKUP_UNIT) == "success"
        assert len(list(folder.glob("*.db"))) == 1


def following_the_page(machine: Machine) -> None:
    """The operator's page, as it stands: looking, backing up to another disk, restoring."""
    page = (ROOT / "registry_server/OPERATING.md").read_text(encoding="utf-8")
    blocks = re.findall(r"```sh\n(.*?)```", page, re.DOTALL)
    sudo = machine.root / "usr/local/bin/sudo"
    sudo.write_text('#!/bin/sh\nexec "$@"\n')
    sudo.chmod(0o755)

    def follow(command: str, **replaced: str) -> None:
        [block] = [block for block in blocks if command in block]
        for old, new in replaced.values():
            assert old in block
            block = block.replace(old, new)
        machine.run("sh", "-e", "-c", block)

    follow("systemctl status")
    follow("list-timers")
    follow("/mnt/stick")
    machine.run("genrectl", "get-or-create", "To be on the stick")
    machine.run("systemctl", "start", BACKUP_UNIT)
    [backup] = (machine.root / "mnt/stick/genre-registry").glob("*.db")
    kept = "/var/backups/genre-registry/registry-20261124T033000Z-r812.db"
    follow("aside", backup=(kept, f"/mnt/stick/genre-registry/{backup.name}"))
    assert machine.run("genrectl", "lookup", "to be on the stick").stdout
    (machine.root / "etc/genre-registry/environment").write_text(
        (machine.root / "etc/genre-registry/environment")
        .read_text()
        .replace("BACKUP_T", "#BACKUP_T")
    )


def stopping(machine: Machine) -> None:
    """Stopped under load it ends cleanly and in time; what was acknowledged is there."""
    callers = machine.start("/opt/genre-registry/bin/python", "-c", LOAD)
    assert callers.stdout is not None
    assert callers.stdout.readline() == "going\n"
    began = time.monotonic()
    machine.run("systemctl", "stop", "genre-registry")
    took_s = time.monotonic() - began
    said, _ = callers.communicate(timeout=120)
    assert took_s < 10, took_s
    assert machine.shown("Result") == "success"
    assert machine.shown("ExecMainStatus") == "0"
    counted = re.fullmatch(r"(?:going\n)*(\d+) \[\]\n", said)
    assert counted is not None, said
    machine.run("systemctl", "start", "genre-registry")
    assert machine.python(KNOWN).strip() == counted[1]


def upgrading(machine: Machine) -> None:
    """A newer version finds everything; a backup by the old one was taken first."""
    said = machine.run("/newer/scripts/install", "--wheels", "/newer-wheels", "--yes").stdout
    assert f"version: {NEWER} (before: " in said, said
    assert "brought to this version" in said
    assert re.search(r"^backup: /var/backups/genre-registry/before-upgrades/.*\.db$", said, re.M)
    assert ids(machine, "Dub", "Only in the newer") == [2, ids(machine, "Only in the newer")[0]]


def downgrading(machine: Machine) -> None:
    """Refused, with the backup and the command that goes back to it; and that command works."""
    refused = machine.run("scripts/install", "--wheels", "/wheels", "--yes", fails=True)
    assert refused.returncode == 76, refused.stdout + refused.stderr
    assert "the downgrade is refused" in refused.stderr
    assert machine.shown("ActiveState") == "active"
    assert ids(machine, "Dub") == [2]
    [line] = re.findall(r"^  sudo env (RESTORE=\S+) (\S+.*)$", refused.stderr, re.M)
    assert line[1].startswith("scripts/install")
    again = machine.run("env", line[0], *line[1].split(), "--wheels", "/wheels")
    assert "restored: " in again.stdout, again.stdout
    assert ids(machine, "Dub") == [2]
    gone = machine.run("genrectl", "lookup", "Only in the newer", fails=True)
    assert gone.returncode != 0
    assert machine.run("sh", "-c", f"ls {DATABASE}.set-aside-*").stdout


def running_it_again(machine: Machine) -> None:
    """A second run changes nothing but what is newer, and keeps settings that people made."""
    environment = machine.root / "etc/genre-registry/environment"
    environment.write_text(environment.read_text() + "GENRE_REGISTRY_SHUTDOWN_GRACE_S=4\n")
    said = machine.run("scripts/install", "--wheels", "/wheels", "--yes").stdout
    assert "kept as it is" in said
    assert "SHUTDOWN_GRACE_S=4" in environment.read_text()
    assert (
        "4.0  (GENRE_REGISTRY_SHUTDOWN_GRACE_S)" in machine.run("genre-registry", "settings").stdout
    )
    assert ids(machine, "Dub") == [2]


def removing(machine: Machine) -> None:
    """Uninstalled, the data stays and is found again, also adopted; purged, all of it is gone."""
    machine.run("scripts/install", "--uninstall")
    assert machine.shown("LoadState") == "not-found"
    assert not (machine.root / "opt/genre-registry").exists()
    assert (machine.root / DATABASE[1:]).exists()
    machine.run("cp", DATABASE, "/tmp/another.db")
    machine.run("scripts/install", "--wheels", "/wheels", "--yes")
    assert ids(machine, "Dub") == [2]
    machine.run("scripts/install", "--uninstall", "--purge", "--yes")
    for left in ("opt/genre-registry", "var/lib/genre-registry", "etc/genre-registry"):
        assert not (machine.root / left).exists(), left
    assert machine.run("getent", "passwd", "genre-registry", fails=True).returncode == 2
    machine.run("scripts/install", "--wheels", "/wheels", "--yes", "--adopt", "/tmp/another.db")
    assert ids(machine, "Dub") == [2]
    refused = machine.run(
        *("scripts/install", "--wheels", "/wheels", "--yes", "--adopt", "/tmp/another.db"),
        fails=True,
    )
    assert "Nothing is ever overwritten" in refused.stderr


def opening(machine: Machine) -> None:
    """Opened to other machines it takes TLS and a token, which the installation made; and it
    still backs itself up, with a key that only root may read too."""
    machine.run("scripts/install", "--wheels", "/wheels", "--yes", "--listen", "0.0.0.0:50051")
    state, configuration = "/var/lib/genre-registry", "/etc/genre-registry"
    authority = f"{state}/tls/authority.pem"
    worker = f"{configuration}/worker-1.token"
    for token in (f"{configuration}/operator.token", worker):
        whose = machine.run("stat", "--format", "%U:%a", token).stdout.strip()
        assert whose == "genre-registry:600", whose
    assert machine.python(OVER_TLS, authority).strip() == "UNAUTHENTICATED"
    assert machine.python(OVER_TLS, authority, worker).strip() == "2"
    machine.run("genrectl", "list", fails=True)
    machine.run("systemctl", "start", BACKUP_UNIT)
    assert machine.shown("Result", BACKUP_UNIT) == "success"
    machine.run("genre-registry", "backup", "/var/backups/genre-registry/by-the-server.db")
    again = machine.run("scripts/install", "--wheels", "/wheels", "--yes").stdout
    assert "token:" not in again
    assert "certificates:" not in again

    machine.run("mv", f"{state}/tls/server.key", f"{configuration}/server.key")
    machine.run("chown", "root:root", f"{configuration}/server.key")
    machine.run("chmod", "0600", f"{configuration}/server.key")
    machine.drop_in("key", f"LoadCredential=server.key:{configuration}/server.key")
    environment = machine.root / "etc/genre-registry/environment"
    credential = "/run/credentials/genre-registry.service/server.key"
    environment.write_text(
        re.sub("(?m)^(GENRE_REGISTRY_TLS_KEY)=.*", rf"\1={credential}", environment.read_text())
    )
    machine.run("systemctl", "restart", "genre-registry")
    assert machine.python(OVER_TLS, authority, worker).strip() == "2"

    machine.run("genre-registry", "token", "revoke", "worker-1")
    refused = "UNAUTHENTICATED"
    until(
        "the token is refused",
        lambda: machine.python(OVER_TLS, authority, worker).strip() == refused,
        timeout_s=5,
    )


CHECKS: Sequence[Callable[[Machine], None]] = (
    *(installing, hardening, readiness, killing, hanging, credentials, backing_up),
    following_the_page,
    stopping,
    *(upgrading, downgrading, running_it_again, removing, opening),
)


def main(chosen: Sequence[str]) -> int:
    """Run all checks, or the first one and those *chosen* by name."""
    reason = why_not()
    if reason is not None:
        print(f"SKIPPED: the service was not tested under systemd: {reason}")
        return 0
    # Whoever ends this early waits for the container to be powered off.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("ended before its time"))
    with tempfile.TemporaryDirectory(prefix="genre-registry-systemd-") as made:
        folder = Path(made)
        root, newer = folder / "root", folder / "newer"
        print("making a small Debian ...", flush=True)
        make_root(root)
        copy_tree(root / "src")
        copy_tree(newer)
        make_newer(newer)
        for source, wheels in ((ROOT, "wheels"), (newer, "newer-wheels")):
            (root / wheels).mkdir()
            wheels_of(source, root / wheels)
        copy_tree(root / "newer", source=ROOT)
        make_newer(root / "newer")
        with booted(root) as machine:
            for check in CHECKS:
                if chosen and check is not installing and check.__name__ not in chosen:
                    continue
                began = time.monotonic()
                try:
                    check(machine)
                except BaseException:
                    print(f"  NO   {check.__doc__}", flush=True)
                    print(machine.run("journalctl", "--no-pager", "-n", "60", fails=True).stdout)
                    raise
                print(f"  yes  {check.__doc__}  ({time.monotonic() - began:.1f} s)", flush=True)
            defects = [
                line for line in json_lines(machine.journal()) if line["message"] == "defect"
            ]
            assert not defects, defects
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
