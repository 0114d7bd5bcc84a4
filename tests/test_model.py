"""
Random curation and scanning, held against a plain model: what every id and every spelling
answers, that revisions rise with changes only, and that a watcher can rebuild it all.
"""

import copy
from collections.abc import Callable, Iterator
from contextlib import closing
from itertools import count, takewhile
from typing import Any

import pytest
from conftest import Server, run, running_server
from curation_model import SEPARATORS, Model, Refusal, fold
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule
from hypothesis.stateful import run_state_machine_as_test as run_machine

from registry_server.store import checking
from worker_client import (
    ChangeType,
    Genre,
    GenreRegistryClient,
    GenreState,
    RegistryError,
    Resolution,
    TagSet,
)

WORDS = [("zor", "bel"), ("kim", "lo"), ("vax", "ruu"), ("pel", "dot"), ("oom", "tarr")]
CASES = [str.lower, str.title, str.upper]
RUNS = count(1)

spellings = st.builds(
    lambda words, separator, case: case(separator.join(words)),
    *(st.sampled_from(WORDS), st.sampled_from(SEPARATORS), st.sampled_from(CASES)),
)
NOT_YET = 1 << 40
"""Stands for the id of a genre that is not created yet."""
which = st.integers(0, 11)
"""Which of the ids so far, counted round and round."""


class Copy:
    """What a watcher makes of the changes: genres by id, and where merged ids lead."""

    def __init__(self, revision: int) -> None:
        self.genres: dict[int, Genre] = {}
        self.leads: dict[int, int] = {}
        self.revision = revision

    def follow(self, client: GenreRegistryClient) -> None:
        with closing(client.watch_genres(self.revision)) as changes:
            for change in takewhile(lambda each: each.type is not ChangeType.HEARTBEAT, changes):
                assert change.revision == self.revision + 1
                self.revision = change.revision
                genre = change.genre
                if genre is None:
                    continue
                if change.type is ChangeType.MERGED:
                    self.genres.pop(change.source_id, None)
                    for merged_id, survivor_id in self.leads.items():
                        if survivor_id == change.source_id:
                            self.leads[merged_id] = genre.id
                    self.leads[change.source_id] = genre.id
                if change.type is ChangeType.UNMERGED:
                    assert self.leads.pop(genre.id) == change.source_id
                assert genre.id not in self.leads
                self.genres[genre.id] = genre

    def compare(self, client: GenreRegistryClient, ids: set[int]) -> None:
        """Follow, and check that *ids* came to what the registry says."""
        self.follow(client)
        listed = client.list_genres(show_deleted=True)
        assert self.genres == {genre.id: genre for genre in listed if genre.id in ids}
        assert self.revision == client.list_page(page_size=1).revision
        for at in range(0, len(ids), 1000):
            asked = sorted(ids)[at : at + 1000]
            for genre_id, genre in zip(asked, client.batch_get_genres(asked), strict=True):
                assert isinstance(genre, Genre)
                assert self.leads.get(genre_id, genre_id) == genre.id


def has_genres(machine: "Curating") -> bool:
    return bool(machine.model.genres)


class Curating(RuleBasedStateMachine):
    """Curators and scanners, one after the other, with names of their own run alone."""

    server: Server
    client: GenreRegistryClient
    faults: tuple[str, ...] = ()
    """What runs so far broke: the next run is told of its own faults alone."""

    def __init__(self) -> None:
        super().__init__()
        self.prefix = f"q{next(RUNS)}x"
        self.model = Model()
        self.facts = self.model.facts()
        self.begun = self.revision = self.client.list_page(page_size=1).revision

    def named(self, text: str) -> str:
        return self.prefix + text

    def id(self, number: int) -> int:
        ids = sorted(self.model.genres)
        return ids[number % len(ids)]

    def both(self, call: Callable[[], Any], change: Callable[[Model, int], None]) -> Any:
        """
        Have the registry do it, and the model: both refuse, or both change, or neither does.

        A change by the model takes the id of the genre that was created, if one was.
        """
        refusal, answer, reason = "", None, ""
        try:
            change(copy.deepcopy(self.model), NOT_YET)
        except Refusal as refused:
            refusal = str(refused)
        try:
            answer = call()
        except RegistryError as refused:
            reason = refused.reason
        assert reason == refusal
        if not refusal:
            change(self.model, answer.genre.id if isinstance(answer, Resolution) else 0)
        return answer

    # Scanning

    @rule(text=spellings)
    def get_or_create(self, text: str) -> None:
        name = self.named(text)

        def change(model: Model, genre_id: int) -> None:
            row, holder = model.holder(name)
            if row is None:
                model.create(genre_id, name, fold(name))
            elif holder is None or model.genres[holder].deleted:
                raise Refusal("SPELLING_BLOCKED")
            else:
                assert genre_id in (NOT_YET, holder)

        ids = set(self.model.genres)
        answer = self.both(lambda: self.client.get_or_create(name), change)
        assert answer is None or answer.created == (answer.genre.id not in ids)

    @rule(texts=st.lists(spellings, max_size=4))
    def resolve(self, texts: list[str]) -> None:
        names = [self.named(text) for text in texts]
        answers = self.client.resolve_tags([TagSet((name,)) for name in names])
        for name, answer in zip(names, answers, strict=True):
            for each in answer.genres:
                if each.created:
                    self.model.create(each.genre.id, name, fold(name))
            self.answers(name, [each.genre.id for each in answer.genres])

    def answers(self, name: str, ids: list[int]) -> None:
        """Check which genres a spelling reaches; 0 stands for one that would be created."""
        row, holder = self.model.holder(name)
        is_out = row is not None and (holder is None or self.model.genres[holder].deleted)
        assert ids == ([] if is_out else [holder or 0]), name

    # Curating

    @precondition(has_genres)
    @rule(genre=which, text=spellings)
    def rename(self, genre: int, text: str) -> None:
        genre_id, name = self.id(genre), self.named(text)
        self.both(
            lambda: self.client.update_genre(genre_id, name=name),
            lambda model, _: model.rename(genre_id, name),
        )

    @precondition(has_genres)
    @rule(genre=which, text=spellings)
    def add_alias(self, genre: int, text: str) -> None:
        genre_id, alias = self.id(genre), self.named(text)
        self.both(
            lambda: self.client.add_alias(genre_id, alias),
            lambda model, _: model.add_alias(genre_id, alias),
        )

    @precondition(has_genres)
    @rule(genre=which, text=spellings)
    def remove_alias(self, genre: int, text: str) -> None:
        genre_id, alias = self.id(genre), self.named(text)
        self.both(
            lambda: self.client.remove_alias(genre_id, alias),
            lambda model, _: model.remove_alias(genre_id, alias),
        )

    @rule(text=spellings)
    def block(self, text: str) -> None:
        name = self.named(text)
        self.both(lambda: self.client.block_spelling(name), lambda model, _: model.block(name))

    @rule(text=spellings)
    def unblock(self, text: str) -> None:
        name = self.named(text)
        self.both(lambda: self.client.unblock_spelling(name), lambda model, _: model.unblock(name))

    @rule(genre=which, text=spellings, own=st.booleans())
    def distinguish(self, genre: int, text: str, own: bool) -> None:
        name = self.named(text)
        genre_id = 0 if own or not self.model.genres else self.id(genre)
        self.both(
            lambda: self.client.distinguish_spelling(name, genre_id),
            lambda model, new_id: model.distinguish(name, genre_id, new_id),
        )

    @precondition(has_genres)
    @rule(genre=which, parents=st.lists(which, max_size=3))
    def set_parents(self, genre: int, parents: list[int]) -> None:
        genre_id, parent_ids = self.id(genre), [self.id(each) for each in parents]
        self.both(
            lambda: self.client.update_genre(genre_id, parent_ids=parent_ids),
            lambda model, _: model.set_parents(genre_id, parent_ids),
        )

    @precondition(has_genres)
    @rule(genre=which, whose=st.sampled_from(["discogs", "lastfm"]), value=st.integers(0, 3))
    def set_id(self, genre: int, whose: str, value: int) -> None:
        """Give a genre an id elsewhere, or for 0 take it away; none that a merge brought."""
        genre_id, model = self.id(genre), self.model
        if any(whose in model.genres[each].ids for each in model.group(genre_id) - {genre_id}):
            return
        ids = {each: shown for each, shown in model.ids(genre_id).items() if each != whose}
        if value:
            ids[whose] = f"{self.prefix.strip()}{value}"
        self.both(
            lambda: self.client.update_genre(genre_id, external_ids=ids),
            lambda model, _: model.set_ids(genre_id, ids),
        )

    @precondition(has_genres)
    @rule(genre=which, description=st.sampled_from(["", "a", "b"]), stale=st.booleans())
    def describe(self, genre: int, description: str, stale: bool) -> None:
        genre_id = self.id(genre)
        revision = self.client.get_genre(genre_id).revision - stale

        def change(model: Model, _: int) -> None:
            if stale and model.own(genre_id):
                raise Refusal("REVISION_MISMATCH")
            model.describe(genre_id, description)

        self.both(
            lambda: self.client.update_genre(
                genre_id, description=description, expected_revision=revision
            ),
            change,
        )

    @precondition(has_genres)
    @rule(sources=st.lists(which, min_size=1, max_size=3), into=which)
    def merge(self, sources: list[int], into: int) -> None:
        source_ids, target_id = [self.id(each) for each in sources], self.id(into)
        self.both(
            lambda: self.client.merge_genres(source_ids, target_id),
            lambda model, _: model.merge(source_ids, target_id),
        )

    @precondition(has_genres)
    @rule(genre=which)
    def unmerge(self, genre: int) -> None:
        source_id = self.id(genre)
        if self.model.genres[self.model.survivor(source_id)].deleted:
            return
        self.both(
            lambda: self.client.unmerge_genre(source_id),
            lambda model, _: model.unmerge(source_id),
        )

    @precondition(has_genres)
    @rule(genre=which)
    def delete(self, genre: int) -> None:
        genre_id = self.id(genre)
        self.both(lambda: self.client.delete_genre(genre_id), lambda m, _: m.delete(genre_id))

    @precondition(has_genres)
    @rule(genre=which)
    def undelete(self, genre: int) -> None:
        genre_id = self.id(genre)
        self.both(lambda: self.client.undelete_genre(genre_id), lambda m, _: m.undelete(genre_id))

    # Comparing

    @invariant()
    def revisions_rise_with_changes_only(self) -> None:
        revision, facts = self.client.list_page(page_size=1).revision, self.model.facts()
        assert (revision > self.revision) == (facts != self.facts)
        self.revision, self.facts = revision, facts

    @invariant()
    def every_id_answers_as_the_model_says(self) -> None:
        model, ids = self.model, list(self.model.genres)
        for genre_id, genre in zip(ids, self.client.batch_get_genres(ids), strict=True):
            assert isinstance(genre, Genre)
            survivor_id = model.survivor(genre_id)
            entry = model.genres[survivor_id]
            assert genre.id == survivor_id
            assert genre.redirected_from_id == (genre_id if genre_id != survivor_id else 0)
            assert (genre.name, genre.description) == (entry.name, entry.description)
            assert (genre.state is GenreState.DELETED) == entry.deleted
            assert set(genre.parent_ids) == model.parents(survivor_id)
            assert genre.external_ids == model.ids(survivor_id)
            shown = [model.key(alias) for alias in genre.aliases]
            assert len(set(shown)) == len(shown)
            assert sorted(shown) == [
                key for key in model.keys(survivor_id, is_name=False) if model.can_be_shown(key)
            ]

    @invariant()
    def every_spelling_answers_as_the_model_says(self) -> None:
        names = [self.named(sep.join(words)) for words in WORDS for sep in SEPARATORS]
        rehearsed = self.client.resolve_tags(
            [TagSet((name,)) for name in names], validate_only=True
        )
        for name, answer in zip(names, rehearsed, strict=True):
            self.answers(name, [each.genre.id for each in answer.genres])

    def teardown(self) -> None:
        """Rebuild the run's genres from its changes, and have the file checked."""
        Copy(self.begun).compare(self.client, set(self.model.genres))
        faults = checking.check(self.server.database).faults
        found, Curating.faults = [each for each in faults if each not in self.faults], faults
        assert found == []


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """One server for all runs: each has names and ids elsewhere of its own."""
    with running_server(tmp_path_factory.mktemp("shared") / "registry.db") as server:
        yield server


def test_the_registry_is_what_the_model_says(shared: Server) -> None:
    """Whatever curators and scanners do, in any order; and a restart changes nothing of it."""
    with GenreRegistryClient(shared.target) as client:
        Curating.server, Curating.client = shared, client
        run_machine(
            Curating,
            settings=settings(
                max_examples=10,
                stateful_step_count=30,
                deadline=None,
                print_blob=True,
                report_multiple_bugs=False,
                suppress_health_check=list(HealthCheck),
            ),
        )
        everything = client.list_history()
        ids = {change.genre_id for change in everything if change.type is ChangeType.CREATED}
        Copy(0).compare(client, ids)
        before = list(client.list_genres(show_deleted=True))
    assert shared.stop() == 0
    assert run("genre-registry", "check", "--database", shared.database).returncode == 0
    with running_server(shared.database) as again, GenreRegistryClient(again.target) as client:
        assert list(client.list_genres(show_deleted=True)) == before
