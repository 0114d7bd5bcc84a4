"""A registry that outgrows the hot cache is as right as a small one."""

from conftest import Server, StartServer

from registry_server.catalogue import HOT_SPELLINGS_MAX
from worker_client import GenreRegistryClient, Resolution

GENRES = 2 * HOT_SPELLINGS_MAX + 3000
BATCH = 1000


def fill(registry: GenreRegistryClient) -> dict[str, int]:
    """Create more genres than the cache holds; return their ids."""
    ids = {}
    for start in range(0, GENRES, BATCH):
        names = [f"genre {n}" for n in range(start, min(start + BATCH, GENRES))]
        for outcome in registry.batch_get_or_create(names):
            assert isinstance(outcome, Resolution)
            assert outcome.created
            ids[outcome.genre.name] = outcome.genre.id
    return ids


def test_what_left_the_cache_is_still_known(server: Server, start_server: StartServer) -> None:
    """The first genres are found again, not made again: at once, and after a restart."""
    with GenreRegistryClient(server.target) as registry:
        ids = fill(registry)
        assert len(set(ids.values())) == GENRES
        assert registry.lookup_genre("GENRE 0").id == ids["genre 0"]
        assert not registry.get_or_create("Genre_1").created
    server.stop()

    with GenreRegistryClient(start_server().target) as registry:
        assert registry.lookup_genre("genre 2").id == ids["genre 2"]
        outcomes = registry.batch_get_or_create(["Genre 3", "new one", "genre 4"])
        assert [o.created for o in outcomes if isinstance(o, Resolution)] == [False, True, False]
        assert registry.list_page().revision == GENRES + 1


def test_a_restarted_server_knows_all_keys_at_once(
    server: Server, start_server: StartServer
) -> None:
    """A small registry is taken into the cache whole: what is not there is new."""
    with GenreRegistryClient(server.target) as registry:
        hip_hop = registry.get_or_create("Hip-Hop").genre
    server.kill()

    with GenreRegistryClient(start_server().target) as registry:
        assert registry.get_or_create("hip hop") == Resolution(hip_hop, created=False)
        assert registry.get_or_create("Trip-Hop").created
        assert not registry.get_or_create("trip hop").created
