"""Metrics: what a scrape of a real server tells, and that dashboard and alerts ask for no other."""

import json
import os
import re
import shutil
import socket
import subprocess
import time
import urllib.request
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from pathlib import Path
from urllib.parse import urlsplit

import grpc
import pytest
import yaml
from conftest import Server, StartServer, run, run_installed
from genre_registry.v1 import genre_registry_pb2 as pb
from genre_registry.v1.genre_registry_pb2_grpc import GenreRegistryStub
from prometheus_client.parser import text_string_to_metric_families

from registry_server.observing.scraping import SCRAPES_AT_ONCE_MAX
from registry_server.settings import SettingsError, read_settings
from worker_client import GenreRegistryClient, InvalidName, TagSet

MONITORING = Path(__file__).parent.parent / "scripts" / "monitoring"
METRIC = re.compile(r"\b(?:genre_registry|process)_[a-z0-9_]+")
Labels = frozenset[tuple[str, str]]


def scraped(server: Server) -> dict[tuple[str, Labels], float]:
    """Return every sample that the server tells, by name and labels."""
    with urllib.request.urlopen(str(server.lines[0]["metrics"]), timeout=10) as answer:
        text = answer.read().decode()
    families = list(text_string_to_metric_families(text))
    assert all(family.documentation for family in families)
    return {
        (sample.name, frozenset(sample.labels.items())): sample.value
        for family in families
        for sample in family.samples
    }


def value_of(samples: dict[tuple[str, Labels], float], name: str, **labels: str) -> float:
    return samples[("genre_registry_" + name, frozenset(labels.items()))]


@pytest.fixture
def watched(start_server: StartServer) -> Server:
    """A server that tells metrics at a free port."""
    return start_server(flags=["--metrics", "127.0.0.1:0"])


@pytest.fixture
def registry(watched: Server) -> Iterator[GenreRegistryClient]:
    with GenreRegistryClient(watched.target, cache_size=0) as client:
        yield client


def test_a_scrape_tells_what_was_called(watched: Server, registry: GenreRegistryClient) -> None:
    """Each figure is that of the calls that were made, from the first to the last."""
    for name in ("Dub", "Ska", "dub", "Dub", "Dub"):
        registry.get_or_create(name)
    for _ in range(2):
        with suppress(InvalidName):
            registry.get_or_create("")
    for _ in range(3):
        registry.resolve_tags([TagSet(("Dub; Ska",))])
    with grpc.insecure_channel(watched.target) as channel:
        for wrong in ("Nothing", "Nowhere"):
            with pytest.raises(grpc.RpcError, match="UNIMPLEMENTED"):
                channel.unary_unary(f"/genre_registry.v1.GenreRegistry/{wrong}")(b"", timeout=10)
        watch = GenreRegistryStub(channel).WatchGenres(pb.WatchGenresRequest(), timeout=30)
        next(watch)
        samples = scraped(watched)
        watch.cancel()

    assert value_of(samples, "calls_total", method="GetOrCreate", code="OK") == 5
    assert value_of(samples, "calls_total", method="GetOrCreate", code="INVALID_ARGUMENT") == 2
    assert value_of(samples, "calls_total", method="ResolveTags", code="OK") == 3
    assert value_of(samples, "calls_total", method="other", code="UNIMPLEMENTED") == 2
    assert value_of(samples, "call_duration_seconds_count", method="GetOrCreate") == 7
    assert value_of(samples, "call_duration_seconds_bucket", method="GetOrCreate", le="+Inf") == 7
    assert 0 < value_of(samples, "call_duration_seconds_sum", method="GetOrCreate") < 60
    assert value_of(samples, "refusals_total", reason="NAME_EMPTY") == 2
    assert value_of(samples, "refusals_total", reason="OVERLOADED") == 0
    assert value_of(samples, "genres_created_total") == 2
    assert value_of(samples, "claims_raced_total") == 0
    # "dub" by its key, "Dub" twice as written, and both parts of the tag set, once.
    assert value_of(samples, "names_existing_total") == 5
    assert value_of(samples, "cache_lookups_total", cache="spelling", outcome="hit") == 2
    assert value_of(samples, "cache_lookups_total", cache="spelling", outcome="miss") == 3
    assert value_of(samples, "cache_lookups_total", cache="tag_set", outcome="hit") == 2
    assert value_of(samples, "cache_lookups_total", cache="tag_set", outcome="miss") == 1
    assert value_of(samples, "queue_waiting_calls", queue="write") == 0
    assert value_of(samples, "commit_calls_count") == 2
    assert value_of(samples, "commit_calls_sum") == 2
    assert value_of(samples, "commit_duration_seconds_count") >= 2
    assert value_of(samples, "fsync_duration_seconds_sum") > 0
    assert value_of(samples, "watchers") == 1
    assert value_of(samples, "database_size_bytes") == watched.database.stat().st_size
    assert value_of(samples, "wal_size_bytes") > 0
    builds = [dict(labels) for name, labels in samples if name == "genre_registry_build_info"]
    assert builds[0].keys() == {"version", "python", "sqlite", "grpc"}


def test_names_of_unknown_methods_make_no_new_series(watched: Server) -> None:
    """Whoever invents methods can't fill Prometheus with them."""
    before = scraped(watched).keys()
    with grpc.insecure_channel(watched.target) as channel:
        for at in range(50):
            with pytest.raises(grpc.RpcError):
                channel.unary_unary(f"/invented.Service/Method{at}")(b"", timeout=10)

    new = scraped(watched).keys() - before

    assert {name for name, _ in new} == {"genre_registry_calls_total"}
    assert len(new) == 1


def test_dashboard_and_alerts_ask_for_metrics_that_there_are(
    watched: Server, registry: GenreRegistryClient
) -> None:
    """A metric that is renamed is renamed everywhere, or a panel would stay empty unseen."""
    registry.get_or_create("Dub")
    there = {name for name, _ in scraped(watched)}

    dashboard = json.loads((MONITORING / "genre-registry-dashboard.json").read_text())
    asked = {
        name
        for panel in dashboard["panels"]
        for target in panel["targets"]
        for name in METRIC.findall(target["expr"])
    }
    alerts = yaml.safe_load((MONITORING / "alerts.yml").read_text())
    for group in alerts["groups"]:
        for rule in group["rules"]:
            asked.update(METRIC.findall(rule["expr"]))

    assert asked - there == set()
    ours = {name for name in there if name.startswith("genre_registry_")}
    assert len(asked & ours) > 15


def test_alert_rules_are_well_formed() -> None:
    """Each says what is wrong and what to do; promtool, where there is one, reads them too."""
    file = MONITORING / "alerts.yml"
    rules = [
        rule for group in yaml.safe_load(file.read_text())["groups"] for rule in group["rules"]
    ]

    assert len({rule["alert"] for rule in rules}) == len(rules)
    for rule in rules:
        assert rule.keys() <= {"alert", "expr", "for", "labels", "annotations"}
        assert rule["labels"]["severity"] in ("critical", "warning", "info")
        assert {"summary", "description"} == rule["annotations"].keys()
        assert re.fullmatch(r"\d+[smh]", rule.get("for", "1m"))
        for opening, closing in ("()", "{}", "[]"):
            assert rule["expr"].count(opening) == rule["expr"].count(closing)
        assert re.search(r"(==|>|<)", rule["expr"])
    if promtool := shutil.which("promtool"):
        subprocess.run([promtool, "check", "rules", file], check=True, timeout=60)


def test_the_dashboard_can_be_imported() -> None:
    """Panels have ids of their own and do not overlap; the source of data is the user's."""
    dashboard = json.loads((MONITORING / "genre-registry-dashboard.json").read_text())
    taken = set[tuple[int, int]]()

    for panel in dashboard["panels"]:
        place = panel["gridPos"]
        cells = {
            (x, y)
            for x in range(place["x"], place["x"] + place["w"])
            for y in range(place["y"], place["y"] + place["h"])
        }
        assert not cells & taken
        assert max(x for x, _ in cells) < 24
        taken |= cells
        assert panel["datasource"]["uid"] == "${datasource}"
    ids = [panel["id"] for panel in dashboard["panels"]]
    assert len(set(ids)) == len(ids)


@pytest.mark.parametrize(
    ("address", "why"),
    [
        ("0.0.0.0:9464", "beyond loopback"),
        ("192.168.1.2:9464", "SSH tunnel"),
        ("raspberrypi:9464", "not an address"),
        ("9464", "not HOST:PORT"),
    ],
)
def test_metrics_beyond_loopback_are_refused(address: str, why: str) -> None:
    """They have neither TLS nor tokens; the refusal says so, and what to do."""
    with pytest.raises(SettingsError) as refused:
        read_settings(None, {}, {"metrics": address})

    assert str(refused.value).startswith("--metrics: metrics: ")
    assert why in str(refused.value)


def test_a_taken_port_is_said_in_words(watched: Server, tmp_path: Path) -> None:
    """A second server that is to tell metrics at the same port ends, and says why."""
    address = str(watched.lines[0]["metrics"]).removeprefix("http://").removesuffix("/metrics")
    ended = run_installed(
        *("genre-registry", "serve", "--listen", "127.0.0.1:0"),
        *("--database", tmp_path / "other.db", "--metrics", address),
    )

    assert ended.returncode == 71
    assert f"Can't serve metrics on {address}" in ended.stderr
    assert "Traceback" not in ended.stderr


def test_callers_who_never_ask_hold_up_no_scrape(watched: Server) -> None:
    """Hundreds of half-sent requests take a few threads, are ended, and keep nobody waiting."""
    address = urlsplit(str(watched.lines[0]["metrics"]))
    there = (str(address.hostname), int(address.port or 0))
    before = threads_of(watched)

    with ExitStack() as stack:
        halves = []
        for _ in range(100):
            half = stack.enter_context(socket.create_connection(there, timeout=10))
            half.sendall(b"GET /metr")
            halves.append(half)
        samples = scraped(watched)
        at_most = threads_of(watched)
        for half in halves:
            with suppress(ConnectionError):
                while half.recv(4096):
                    pass

    assert value_of(samples, "watchers") == 0
    # Some may have answered, and be about to end.
    assert at_most <= before + 2 * SCRAPES_AT_ONCE_MAX
    assert value_of(scraped(watched), "watchers") == 0


def test_the_time_of_the_last_backup_is_told(watched: Server, tmp_path: Path) -> None:
    """Never; made, by the server or past it; and left out, because nothing had changed."""
    metric, folder = "backup_timestamp_seconds", tmp_path / "backups"
    note = watched.database.with_name("registry.db.backed-up")

    def back_up() -> float:
        """Make one, as if the last one were old; return what is told then."""
        began_s = time.time() - 1
        if note.exists():
            os.utime(note, (1, 1))
        done = run(
            *("genre-registry", "backup", folder, "--keep", "3", "--if-changed"),
            *("--database", watched.database),
        )
        assert done.returncode == 0, done.stderr
        told = value_of(scraped(watched), metric)
        assert told > began_s, done.stdout
        return told

    assert value_of(scraped(watched), metric) == 0
    assert back_up() == note.stat().st_mtime
    back_up()
    assert len(list(folder.iterdir())) == 1


def threads_of(server: Server) -> int:
    return len(list(Path(f"/proc/{server.process.pid}/task").iterdir()))


def test_without_being_asked_nothing_is_told(server: Server) -> None:
    """No port is open but the one to call."""
    assert "metrics" not in server.lines[0]
