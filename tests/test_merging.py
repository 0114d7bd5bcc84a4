"""Merging: redirects that hold, whatever the order; the rehearsal; and undoing it."""

from collections.abc import Iterator
from dataclasses import replace
from itertools import count

import pytest
from conftest import Server, StartServer, run, running_server
from hypothesis import given, settings
from hypothesis import strategies as st

from worker_client import (
    ChangeType,
    CurationRefused,
    Genre,
    GenreRegistryClient,
    MergedGenres,
    SpellingBlocked,
)

RUNS = count(1)


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """One server that the tests of this file share: each brings genres of its own."""
    with running_server(tmp_path_factory.mktemp("shared") / "registry.db") as server:
        yield server


@pytest.fixture(scope="module")
def registry(shared: Server) -> Iterator[GenreRegistryClient]:
    with GenreRegistryClient(shared.target) as client:
        yield client


def create(registry: GenreRegistryClient, *names: str) -> list[Genre]:
    return [registry.get_or_create(name).genre for name in names]


def timeless(outcome: MergedGenres) -> MergedGenres:
    """Return *outcome* but for when it happened."""
    at = outcome.genre.create_time
    return replace(
        outcome,
        genre=replace(outcome.genre, update_time=at),
        reparented=tuple(replace(genre, update_time=at) for genre in outcome.reparented),
    )


def as_of(before: Genre, genre: Genre) -> Genre:
    """Return *genre* with the revision and the time of *before*."""
    return replace(genre, revision=before.revision, update_time=before.update_time)


def sound(server: Server) -> bool:
    ended = run("genre-registry", "check", "--database", server.database)
    return ended.returncode == 0


def test_chains_are_flat_and_redirects_permanent(start_server: StartServer) -> None:
    """Whatever was merged into what, each id answers with the last one; so after a restart."""
    first = start_server()
    with GenreRegistryClient(first.target) as registry:
        a, b, c, d = create(registry, "Fla A", "Fla B", "Fla C", "Fla D")
        registry.merge_genres([a.id], b.id)
        registry.merge_genres([b.id], c.id)
        last = registry.merge_genres([c.id], d.id)
        assert sorted(last.redirected_ids) == [a.id, b.id, c.id]
        assert last.genre.aliases == ("Fla A", "Fla B", "Fla C")
    first.kill()

    again = start_server()
    with GenreRegistryClient(again.target) as registry:
        for genre in (a, b, c):
            found = registry.get_genre(genre.id)
            assert (found.id, found.redirected_from_id) == (d.id, genre.id)
            assert registry.lookup_genre(genre.name) == found
            assert not registry.get_or_create(genre.name).created
        assert [genre.id for genre in registry.list_genres(show_deleted=True)] == [d.id]
        assert create(registry, "Fla New")[0].id == d.id + 1
    again.stop()
    assert sound(again)


def test_the_rehearsal_is_the_merge(registry: GenreRegistryClient) -> None:
    """But for times it tells the very same, and leaves no trace."""
    target, one, two, child, both, deep = create(
        registry, "Reh T", "Reh One", "Reh Two", "Reh Child", "Reh Both", "Reh Deep"
    )
    registry.merge_genres([deep.id], one.id)
    registry.update_genre(target.id, external_ids={"discogs": "reh1"})
    registry.update_genre(one.id, external_ids={"discogs": "reh2", "lastfm": "reh"})
    registry.update_genre(two.id, external_ids={"lastfm": "reh3"}, parent_ids=[one.id])
    registry.update_genre(child.id, parent_ids=[deep.id])
    registry.update_genre(both.id, parent_ids=[one.id, two.id, target.id])
    registry.update_genre(target.id, parent_ids=[one.id])
    before = list(registry.list_genres(show_deleted=True)), list(registry.list_history())

    rehearsed = registry.merge_genres([one.id, two.id], target.id, validate_only=True)

    assert before == (list(registry.list_genres(show_deleted=True)), list(registry.list_history()))
    assert registry.lookup_genre("Reh One").id == one.id
    merged = registry.merge_genres([one.id, two.id], target.id)
    assert timeless(rehearsed) == timeless(merged)
    assert sorted(merged.redirected_ids) == [one.id, two.id, deep.id]
    assert merged.genre.parent_ids == ()
    assert merged.genre.external_ids == {"discogs": "reh1", "lastfm": "reh"}
    assert [(genre.id, genre.parent_ids) for genre in merged.reparented] == [
        *((child.id, (target.id,)), (both.id, (target.id,)))
    ]
    assert {
        (clash.whose, clash.kept, clash.hidden, clash.source_id) for clash in merged.clashes
    } == {
        ("discogs", "reh1", "reh2", one.id),
        ("lastfm", "reh", "reh3", two.id),
    }
    assert merged.genre == registry.get_genre(target.id)
    for genre in merged.reparented:
        assert genre == registry.get_genre(genre.id)


def test_a_rehearsal_is_refused_as_the_merge_is(registry: GenreRegistryClient) -> None:
    """By a cycle, and by a stale revision; nothing is changed by either."""
    top, mid, low = create(registry, "Cyc Top", "Cyc Mid", "Cyc Low")
    registry.update_genre(mid.id, parent_ids=[top.id])
    registry.update_genre(low.id, parent_ids=[mid.id])
    before = registry.list_page(page_size=1).revision

    for validate_only in (True, False):
        with pytest.raises(CurationRefused) as caught:
            registry.merge_genres([top.id], low.id, validate_only=validate_only)
        assert caught.value.reason == "PARENT_CYCLE"
        assert registry.list_page(page_size=1).revision == before
    assert registry.get_genre(top.id).id == top.id
    assert registry.merge_genres([top.id, mid.id], low.id).genre.parent_ids == ()


@settings(max_examples=5, deadline=None)
@given(data=st.data())
def test_the_order_of_merges_does_not_matter(
    registry: GenreRegistryClient, data: st.DataObject
) -> None:
    """The same merges in any order, and in parts, end in the same genres but for revisions."""
    size = 6
    pairs = [(n, data.draw(st.integers(0, n - 1), label=f"into of {n}")) for n in range(1, size)]
    ended = []
    for order in (pairs, data.draw(st.permutations(pairs))):
        prefix = f"ord{next(RUNS)} "
        genres = create(registry, *(f"{prefix}{n}" for n in range(size)), f"{prefix}child")
        first = genres[0].id
        for n, genre in enumerate(genres[:size]):
            registry.update_genre(genre.id, external_ids={"discogs": f"{prefix.strip()}-{n}"})
        registry.update_genre(genres[size].id, parent_ids=[genre.id for genre in genres[2:size]])
        for source, target in order:
            registry.merge_genres([genres[source].id], genres[target].id)
        survivor, child = registry.get_genre(first), registry.get_genre(genres[size].id)
        ended.append(
            (
                survivor.id - first,
                survivor.name.removeprefix(prefix),
                [alias.removeprefix(prefix) for alias in survivor.aliases],
                survivor.external_ids["discogs"].removeprefix(prefix.strip()),
                [parent_id - first for parent_id in child.parent_ids],
                [registry.get_genre(genre.id).id - first for genre in genres],
            )
        )
    assert ended[0] == ended[1]


# Undoing


def test_unmerging_gives_everything_back(registry: GenreRegistryClient) -> None:
    """Name, aliases, ids elsewhere, parents, children, and what had been merged into it."""
    before, source, target, child, parent = create(
        registry, "Und Before", "Und Source", "Und Target", "Und Child", "Und Parent"
    )
    registry.add_alias(source.id, "Und Alias")
    registry.merge_genres([before.id], source.id)
    registry.update_genre(source.id, external_ids={"lastfm": "und"}, parent_ids=[parent.id])
    registry.update_genre(child.id, parent_ids=[source.id])
    was = registry.get_genre(source.id)
    own = registry.get_genre(target.id)
    registry.merge_genres([source.id], target.id)
    begun = registry.list_page(page_size=1).revision

    undone = registry.unmerge_genre(source.id)

    assert as_of(was, undone.genre) == was
    assert as_of(own, undone.survivor) == own
    assert registry.get_genre(before.id).id == source.id
    assert registry.get_genre(child.id).parent_ids == (source.id,)
    for name in ("Und Source", "Und Alias", "Und Before"):
        assert registry.lookup_genre(name).id == source.id
    told = [c for c in registry.list_history() if c.revision > begun]
    assert {(c.type, c.genre_id, c.source_id) for c in told} >= {
        (ChangeType.UNMERGED, source.id, target.id),
        (ChangeType.MERGED, source.id, before.id),
    }
    assert registry.unmerge_genre(before.id).genre.name == "Und Before"


def test_a_chain_is_undone_from_any_end(registry: GenreRegistryClient) -> None:
    """The first source on its own, and then the middle one without it."""
    a, b, c = create(registry, "Cha A", "Cha B", "Cha C")
    registry.merge_genres([a.id], b.id)
    registry.merge_genres([b.id], c.id)

    registry.unmerge_genre(a.id)
    assert [registry.get_genre(each.id).id for each in (a, b, c)] == [a.id, c.id, c.id]
    registry.unmerge_genre(b.id)
    assert [registry.get_genre(each.id).id for each in (a, b, c)] == [a.id, b.id, c.id]
    assert [registry.get_genre(each.id).aliases for each in (a, b, c)] == [(), (), ()]


def test_only_what_still_sits_on_the_survivor_comes_back(registry: GenreRegistryClient) -> None:
    """An alias that was removed meanwhile stays removed."""
    source, target = create(registry, "Sit Source", "Sit Target")
    registry.add_alias(source.id, "Sit One")
    registry.add_alias(source.id, "Sit Two")
    registry.merge_genres([source.id], target.id)
    registry.remove_alias(target.id, "Sit One")

    assert registry.unmerge_genre(source.id).genre.aliases == ("Sit Two",)


def test_a_name_that_is_anothers_meanwhile_hinders(registry: GenreRegistryClient) -> None:
    """SPELLING_TAKEN or SPELLING_BLOCKED, and nothing is half undone."""
    source, target = create(registry, "Hin Source", "Hin Target")
    registry.merge_genres([source.id], target.id)
    registry.update_genre(target.id, name="Hin Source")
    with pytest.raises(CurationRefused) as caught:
        registry.unmerge_genre(source.id)
    assert caught.value.reason == "SPELLING_TAKEN"
    assert caught.value.metadata["genre_id"] == str(target.id)
    blocked, survivor = create(registry, "Hin Blocked", "Hin Survivor")
    registry.merge_genres([blocked.id], survivor.id)
    registry.block_spelling("Hin Blocked")
    with pytest.raises(SpellingBlocked):
        registry.unmerge_genre(blocked.id)
    assert registry.get_genre(blocked.id).id == survivor.id


def test_a_rename_there_and_back_does_not_hinder(registry: GenreRegistryClient) -> None:
    """The spelling that the source brought sits on the survivor as before."""
    source, target = create(registry, "Bac Source", "Bac Target")
    registry.merge_genres([source.id], target.id)
    registry.update_genre(target.id, name="Bac Source")
    registry.update_genre(target.id, name="Bac Target")

    assert registry.unmerge_genre(source.id).genre.name == "Bac Source"


def test_a_name_that_was_pinned_elsewhere_hinders(
    shared: Server, registry: GenreRegistryClient
) -> None:
    """It is another genre's; and the file stays sound."""
    source, target, other = create(registry, "Pim-Lo", "Pim Target", "Pim Other")
    registry.merge_genres([source.id], target.id)
    registry.distinguish_spelling("Pim-Lo", other.id)

    with pytest.raises(CurationRefused) as caught:
        registry.unmerge_genre(source.id)
    assert caught.value.reason == "SPELLING_TAKEN"
    assert sound(shared)


def test_an_id_that_clashed_is_kept_for_the_undoing(registry: GenreRegistryClient) -> None:
    """Also when the survivor's own is replaced meanwhile."""
    source, target = create(registry, "Kep Source", "Kep Target")
    registry.update_genre(source.id, external_ids={"discogs": "kep2"})
    registry.update_genre(target.id, external_ids={"discogs": "kep1"})
    registry.merge_genres([source.id], target.id)
    registry.update_genre(target.id, external_ids={"discogs": "kep3"})

    undone = registry.unmerge_genre(source.id)

    assert undone.survivor.external_ids == {"discogs": "kep3"}
    assert undone.genre.external_ids == {"discogs": "kep2"}


def test_an_undoing_makes_no_cycle(shared: Server, registry: GenreRegistryClient) -> None:
    """What became its descendant meanwhile is its parent no more."""
    source, target, parent = create(registry, "Noc Source", "Noc Target", "Noc Parent")
    registry.update_genre(source.id, parent_ids=[parent.id])
    registry.update_genre(target.id, parent_ids=[source.id])
    registry.merge_genres([source.id], target.id)
    registry.update_genre(parent.id, parent_ids=[target.id])

    undone = registry.unmerge_genre(source.id)

    assert registry.get_genre(target.id).parent_ids == (source.id,)
    assert registry.get_genre(parent.id).parent_ids == (target.id,)
    assert undone.genre.parent_ids == ()
