"""Listing gives every genre once, by id, whatever is created meanwhile."""

from pathlib import Path

import pytest
from conftest import Server, StartServer

from worker_client import (
    AsyncGenreRegistryClient,
    GenreRegistryClient,
    RegistryError,
    TagSet,
)


def test_pages_hold_every_genre_once_in_order(registry: GenreRegistryClient) -> None:
    """Also those created between two pages, since their ids are higher."""
    registry.batch_get_or_create([f"genre {n}" for n in range(25)])

    first = registry.list_page(page_size=10)
    registry.get_or_create("created meanwhile")
    second = registry.list_page(first.next_page_token, page_size=10)
    third = registry.list_page(second.next_page_token, page_size=10)

    assert [g.id for page in (first, second, third) for g in page.genres] == list(range(1, 27))
    assert third.next_page_token == ""


def test_every_page_tells_the_first_pages_revision(registry: GenreRegistryClient) -> None:
    """Whoever watches from that revision on misses nothing of what was listed."""
    registry.batch_get_or_create([f"genre {n}" for n in range(15)])
    first = registry.list_page(page_size=10)
    registry.get_or_create("created meanwhile")

    second = registry.list_page(first.next_page_token)

    assert first.revision == second.revision == 15
    assert first.incarnation == second.incarnation != ""


def test_page_sizes_have_a_default_and_a_limit(registry: GenreRegistryClient) -> None:
    """0 means 100, more than 1000 means 1000, less than 0 is refused."""
    registry.batch_get_or_create([f"a {n}" for n in range(1000)])
    registry.get_or_create("one more")

    assert len(registry.list_page(page_size=0).genres) == 100
    assert len(registry.list_page(page_size=5000).genres) == 1000
    with pytest.raises(RegistryError) as caught:
        registry.list_page(page_size=-1)
    assert caught.value.reason == "PAGE_SIZE_NEGATIVE"


def test_a_token_of_another_registry_is_refused(
    registry: GenreRegistryClient, start_server: StartServer, tmp_path: Path
) -> None:
    """Ids and revisions mean nothing in another incarnation."""
    registry.batch_get_or_create(["A", "B"])
    token = registry.list_page(page_size=1).next_page_token

    elsewhere = start_server(database=tmp_path / "another.db")

    with GenreRegistryClient(elsewhere.target) as other, pytest.raises(RegistryError) as caught:
        other.list_page(token)
    assert caught.value.reason == "PAGE_TOKEN_INVALID"


async def test_the_asyncio_client_has_the_same_seven_calls(server: Server) -> None:
    """Same names, same answers."""
    with GenreRegistryClient(server.target) as plain:
        async with AsyncGenreRegistryClient(server.target) as registry:
            rock = (await registry.get_or_create("Rock")).genre
            assert await registry.batch_get_or_create(["rock"]) == plain.batch_get_or_create(
                ["rock"]
            )
            [tags] = await registry.resolve_tags([TagSet(("Rock; Ska",))])
            assert [each.spelling for each in tags.genres] == ["Rock", "Ska"]
            assert await registry.get_genre(rock.id) == plain.get_genre(rock.id) == rock
            assert await registry.batch_get_genres([rock.id]) == [rock]
            assert await registry.lookup_genre("ROCK") == rock
            assert [genre async for genre in registry.list_genres()] == list(plain.list_genres())
            assert await registry.list_page() == plain.list_page()
