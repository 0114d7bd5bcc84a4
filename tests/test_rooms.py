"""The walls between the rooms: imports point one way, and what is heavy loads late."""

import ast
import json
import subprocess
import sys
from functools import cache
from importlib import import_module
from pathlib import Path

import pytest

import worker_client

ROOT = Path(__file__).parent.parent

VOCABULARY = ("registry_server.vocabulary",)
OBSERVING = ("registry_server.observing",)
PACKS = ("registry_server.packs",)
CATALOGUE = (
    *("registry_server.catalogue", "registry_server.hot_cache", "registry_server.rounds"),
    *("registry_server.outcomes", "registry_server.storage", "registry_server.change_feed"),
    *("registry_server.tally", *OBSERVING),
)
CORE = (
    *("registry_server.registry", "registry_server.tag_resolver", "registry_server.page_token"),
    *("registry_server.curation", "registry_server.transfer", "registry_server.requests"),
    *CATALOGUE,
)
BELOW_THE_APP = (
    *("registry_server.settings", "registry_server.logs", "registry_server.store"),
    *("registry_server.protected", "registry_server.protection", "registry_server.tokens"),
    *("registry_server.limits", "registry_server.descriptors"),
    *("registry_server.systemd", "registry_server.serving"),
    *("registry_server.transport", *CORE, *PACKS, *VOCABULARY),
)
WIRE = ("grpc", "grpc_status", "google", "genre_registry")

MAY_IMPORT: dict[str, tuple[str, ...]] = {
    "registry_server/vocabulary": VOCABULARY,
    "registry_server/packs": (*PACKS, *VOCABULARY),
    "registry_server/observing": (*OBSERVING, *VOCABULARY, "prometheus_client", "opentelemetry"),
    "registry_server/registry.py": (*CORE, *PACKS, *VOCABULARY),
    "registry_server/tag_resolver.py": (*CORE, *VOCABULARY),
    "registry_server/curation.py": (*CORE, *VOCABULARY),
    "registry_server/transfer.py": (*CORE, *VOCABULARY),
    "registry_server/change_feed.py": ("registry_server.storage", *VOCABULARY),
    "registry_server/catalogue.py": (*CATALOGUE, *VOCABULARY),
    "registry_server/requests.py": (*CATALOGUE, *VOCABULARY),
    "registry_server/hot_cache.py": VOCABULARY,
    "registry_server/outcomes.py": ("registry_server.hot_cache", *VOCABULARY),
    "registry_server/storage.py": VOCABULARY,
    "registry_server/rounds.py": VOCABULARY,
    "registry_server/tally.py": VOCABULARY,
    "registry_server/page_token.py": VOCABULARY,
    "registry_server/store": ("registry_server.store", *VOCABULARY, "sqlalchemy", "alembic"),
    "registry_server/transport": (
        *("registry_server.transport", "registry_server.tokens", "registry_server.limits"),
        *(*CORE, *OBSERVING, *VOCABULARY, *WIRE),
        *("grpc_health", "grpc_reflection"),
    ),
    "registry_server/settings.py": (
        *("registry_server.protection", "registry_server.limits", "registry_server.files"),
        *(*PACKS, *OBSERVING, *VOCABULARY),
    ),
    "registry_server/files.py": (),
    "registry_server/limits.py": (),
    "registry_server/descriptors.py": (),
    "registry_server/protection.py": VOCABULARY,
    "registry_server/tokens.py": VOCABULARY,
    "registry_server/authority.py": ("registry_server.tokens", *VOCABULARY),
    "registry_server/protected.py": (
        *("registry_server.protection", "registry_server.settings", "registry_server.tokens"),
        *("registry_server.transport", *VOCABULARY, "grpc"),
    ),
    "registry_server/serving.py": (
        *("registry_server.settings", "registry_server.store.lock", *VOCABULARY, "grpc"),
        "registry_server.transport.arrivals",
    ),
    "registry_server/logs.py": (),
    "registry_server/systemd.py": (),
    "registry_server/app.py": (*BELOW_THE_APP, *WIRE),
    "registry_server/commands": ("registry_server", *WIRE, "click"),
    "registry_server/cli.py": ("registry_server", "click"),
    "registry_server/__init__.py": (),
    "worker_client": ("worker_client", *WIRE, "click", "mutagen", "tqdm", "yaml"),
}
"""Each room, and what it may import besides the standard library."""


def files_of(room: str) -> list[Path]:
    path = ROOT / room
    return sorted(path.rglob("*.py")) if path.is_dir() else [path]


def imports_of(room: str) -> set[str]:
    """Return the full name of everything that *room*, a folder or a file, imports anywhere."""
    names = set()
    for path in files_of(room):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Import):
                names |= {alias.name for alias in node.names}
            elif isinstance(node, ast.ImportFrom):
                assert node.level == 0, f"{path}: relative imports hide which wall they cross"
                names |= {f"{node.module}.{alias.name}" for alias in node.names}
    return names


def is_in(name: str, places: tuple[str, ...]) -> bool:
    return any(name == place or name.startswith(place + ".") for place in places)


@pytest.mark.parametrize("room", MAY_IMPORT)
def test_a_room_imports_only_what_lies_below_it(room: str) -> None:
    """Wire and database stay in rooms of their own; server and client share only the contract."""
    standard = tuple(sys.stdlib_module_names)

    imported = imports_of(room)

    assert imported or room.endswith("__init__.py")
    assert {name for name in imported if not is_in(name, (*standard, *MAY_IMPORT[room]))} == set()


def test_every_module_is_in_a_room() -> None:
    """A new module is put behind a wall when it is made."""
    walled = {path for room in MAY_IMPORT for path in files_of(room)}

    assert {*files_of("registry_server"), *files_of("worker_client")} - walled == set()


@cache
def loaded_by(statement: str) -> frozenset[str]:
    """Return the modules that a fresh Python has loaded after *statement*; each is run once."""
    report = "import json, sys; print(json.dumps(list(sys.modules)))"
    printed = subprocess.run(
        [sys.executable, "-c", f"{statement}\n{report}"],
        check=True,
        capture_output=True,
        text=True,
        timeout=60,
    ).stdout
    return frozenset(json.loads(printed))


READER = (
    "import worker_client.__main__, worker_client.scan.readers as readers; "
    "readers._end = __import__('multiprocessing').Event(); readers._read(['nowhere'])"
)
"""What a process that reads tags does."""


@pytest.mark.parametrize(
    ("statement", "needed", "unwanted"),
    [
        (READER, "mutagen", "grpc"),
        (READER, "mutagen", "click"),
        (READER, "mutagen", "tqdm"),
        ("import worker_client.scan.running", "click", "grpc"),
        ("import worker_client.scan.running", "click", "mutagen"),
        ("import worker_client.scan.running", "click", "tqdm"),
        ("import worker_client.cli", "click", "grpc"),
        ("import worker_client.cli", "click", "mutagen"),
        ("import worker_client.cli", "click", "yaml"),
        ("import worker_client.cli", "click", "sqlite3"),
        ("from worker_client import TagSet", "worker_client", "grpc"),
        ("import registry_server.app", "sqlalchemy", "alembic"),
        ("import registry_server.app", "sqlalchemy", "sqlalchemy.dialects.postgresql"),
        ("import registry_server.app", "sqlalchemy", "prometheus_client"),
        ("import registry_server.app", "sqlalchemy", "opentelemetry"),
        ("import registry_server.cli", "sqlalchemy", "alembic"),
        ("import registry_server.cli", "sqlalchemy", "grpc"),
    ],
)
def test_what_is_heavy_is_loaded_late(statement: str, needed: str, unwanted: str) -> None:
    """Processes that read tags do without gRPC's 21 MiB, a plain start without Alembic's 11."""
    loaded = loaded_by(statement)

    assert needed in loaded
    assert unwanted not in loaded


@pytest.mark.parametrize("name", worker_client.__all__)
def test_every_public_name_is_there(name: str) -> None:
    """What `__all__` promises can be imported."""
    assert getattr(worker_client, name) is not None


def test_no_public_class_is_missing_from_all() -> None:
    """A class that callers meet is one that they can name."""
    homes = [import_module(f"worker_client.{home}") for home in worker_client._HOMES]
    classes = {
        name
        for home in homes
        for name, value in vars(home).items()
        if isinstance(value, type) and value.__module__ == home.__name__
    }

    assert {name for name in classes if not name.startswith("_")} - {
        *worker_client.__all__
    } == set()
    assert sorted(worker_client.__all__) == sorted(set(worker_client.__all__))
