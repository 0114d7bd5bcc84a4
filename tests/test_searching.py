"""Searching finds what people mean, the best first, whatever they type."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import grpc
import pytest
from conftest import Server, StartServer, running_server
from genre_registry.v1 import genre_registry_pb2 as pb
from genre_registry.v1 import genre_registry_pb2_grpc as pb_grpc
from google.rpc import error_details_pb2
from grpc import StatusCode
from grpc_status import rpc_status

from worker_client import RASPBERRY_PI

NO_PACKS = "musicbrainz,synonyms,additions,compounds,translations,discogs,id3v1,beets"
NAMES = (
    *("Ambient", "Ambient Techno", "Dark Ambient", "Bambient", "Electronic", "Música", "Jazz"),
    *("Rock", "Rock 'n' Roll", "Punk Rock", "Krautrock", "Trip Hop", "R&B", "Pop", "Fado"),
    *("ロック", "Русский рок", "演歌", "50% Off", "C\\D", 'Say "Hi"', "OR", "Drone"),
)


class Searcher:
    """The generated stubs, and a registry to search in."""

    def __init__(self, channel: grpc.Channel) -> None:
        self.registry: Any = pb_grpc.GenreRegistryStub(channel)
        self.curation: Any = pb_grpc.GenreCurationStub(channel)

    def create(self, *names: str) -> dict[str, int]:
        """Get or create any number of genres; return the id of each."""
        ids: dict[str, int] = {}
        for at in range(0, len(names), 1000):
            some = names[at : at + 1000]
            reply = self.registry.BatchGetOrCreate(pb.BatchGetOrCreateRequest(names=some))
            found = [result.resolved.genre.id for result in reply.results]
            ids.update(zip(some, found, strict=True))
        return ids

    def search(self, query: str, limit: int = 0) -> list[str]:
        """Return the names that *query* finds, within a reader's deadline."""
        request = pb.SearchGenresRequest(query=query, limit=limit)
        reply = self.registry.SearchGenres(request, timeout=RASPBERRY_PI.read_s)
        return [genre.name for genre in reply.genres]


@pytest.fixture
def searcher(start_server: StartServer) -> Iterator[Searcher]:
    """A registry of NAMES, without packs, so that there is nothing else to find."""
    with grpc.insecure_channel(start_server(flags=("--packs-off", NO_PACKS)).target) as channel:
        made = Searcher(channel)
        made.create(*NAMES)
        yield made


@pytest.fixture(scope="module")
def reader(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Searcher]:
    """The same, for tests that change nothing: one for them all."""
    database = tmp_path_factory.mktemp("reader") / "registry.db"
    with (
        running_server(database, flags=("--packs-off", NO_PACKS)) as server,
        grpc.insecure_channel(server.target) as channel,
    ):
        made = Searcher(channel)
        made.create(*NAMES)
        yield made


def test_prefix_comes_before_word_before_substring_before_near(searcher: Searcher) -> None:
    """The whole name first, then what goes on, then a word of it, then within a word, then near."""
    searcher.create("Ambiemt")
    assert searcher.search("ambient") == [
        *("Ambient", "Ambient Techno", "Dark Ambient", "Bambient", "Ambiemt")
    ]
    assert searcher.search("rock")[:4] == ["Rock", "Rock 'n' Roll", "Punk Rock", "Krautrock"]


@pytest.mark.parametrize(
    ("query", "name"),
    [
        ("ambeint", "Ambient"),
        ("elctronic", "Electronic"),
        ("eletronic", "Electronic"),
        ("electroncs", "Electronic"),
        ("musica", "Música"),
        ("MUSICA", "Música"),
        ("muscia", "Música"),
        ("jzaz", "Jazz"),
        ("jaz", "Jazz"),
        ("jazzz", "Jazz"),
        ("azz", "Jazz"),
        ("ppo", "Pop"),
        ("fdo", "Fado"),
        ("rokc", "Rock"),
        ("triphop", "Trip Hop"),
        ("trip-hop", "Trip Hop"),
        ("r and b", "R&B"),
        ("r & b", "R&B"),
        ("rock and roll", "Rock 'n' Roll"),
        ("ロック", "ロック"),
        ("ロッ", "ロック"),
        ("ﾛｯｸ", "ロック"),
        ("Рок", "Русский рок"),
        ("РУССКИЙ", "Русский рок"),
        ("руский рок", "Русский рок"),
        ("演歌", "演歌"),
        ("演", "演歌"),
        ("歌", "演歌"),
        ("j", "Jazz"),
        ("ja", "Jazz"),
        ("zz", "Jazz"),
    ],
)
def test_what_is_meant_is_found_first(reader: Searcher, query: str, name: str) -> None:
    """Mistyped, without its accents, in other scripts, and by a letter or two."""
    assert reader.search(query)[:1] == [name]


@pytest.mark.parametrize(
    "query",
    [
        *("%", "%%", '"', "'", '""', "'';--", "\\", "\\%", "*", "**", "a*", "OR", "AND", "NOT"),
        *("NEAR", "NEAR(a b, 2)", "rock AND", "NOT rock", "(", ")", "((", "{a b}: c", "text: a"),
        *("text:rock", "-rock", "^rock", "+", "a + b", '"rock', 'ro"ck', "rock OR jazz", "[a]"),
        *("?", "!", ".", ",", ";", ":", "/", "|", "<b>", "$1", ":1", "?1", "\u2028a", "a\u2028b"),
        *("🎸", "🎸" * 200, "x" * 200, "ab " * 66, "﷽" * 200, "\ufdfa" * 200, "İ", "ß", "ǆ"),
        *("\u0301", "\u0301\u0308", "\u064b", "\u0640", "\u05b0", "a\u0301", "́a"),
    ],
)
def test_whatever_is_typed_is_plain_text(reader: Searcher, query: str) -> None:
    """No wild card, no operator and no error; and nothing stands for everything."""
    found = reader.search(query, limit=100)

    assert len(found) < len(NAMES) - 5


def test_signs_are_found_where_they_are(reader: Searcher) -> None:
    """A sign means itself."""
    assert reader.search("%") == ["50% Off"]
    assert reader.search("50%") == ["50% Off"]
    assert reader.search("\\") == ["C\\D"]
    assert reader.search('"') == ['Say "Hi"']
    assert reader.search('say "hi"') == ['Say "Hi"']
    assert reader.search("OR")[0] == "OR"


@pytest.mark.parametrize(
    ("query", "reason"),
    [
        ("", "NAME_EMPTY"),
        (" \t ", "NAME_EMPTY"),
        ("\u200b", "NAME_EMPTY"),
        ("x" * 201, "NAME_TOO_LONG"),
        ("a\nb", "NAME_HAS_CONTROL_CHARACTER"),
        ("a\0b", "NAME_HAS_CONTROL_CHARACTER"),
        ("---", "NAME_WITHOUT_KEY"),
    ],
)
def test_what_can_be_no_part_of_a_name_is_refused(
    reader: Searcher, query: str, reason: str
) -> None:
    """With the reason, and the field of this very request."""
    assert refusal_of(reader, query=query) == (StatusCode.INVALID_ARGUMENT, reason, "query")


def test_a_negative_limit_is_refused(reader: Searcher) -> None:
    """The field is named."""
    assert refusal_of(reader, query="rock", limit=-1) == (
        *(StatusCode.INVALID_ARGUMENT, "PAGE_SIZE_NEGATIVE", "limit"),
    )


def refusal_of(searcher: Searcher, **fields: Any) -> tuple[StatusCode, str, str]:
    """Return the status, the reason and the field that a search is refused with."""
    with pytest.raises(grpc.RpcError) as caught:
        searcher.registry.SearchGenres(pb.SearchGenresRequest(**fields))
    rich = rpc_status.from_call(caught.value)
    assert rich is not None
    info, bad = error_details_pb2.ErrorInfo(), error_details_pb2.BadRequest()
    assert rich.details[0].Unpack(info)
    assert rich.details[1].Unpack(bad)
    return caught.value.code(), info.reason, bad.field_violations[0].field


def test_a_limit_has_a_default_and_a_maximum(searcher: Searcher) -> None:
    """0 means 20, more than 100 means 100."""
    searcher.create(*(f"Zeuhl {n}" for n in range(150)))

    assert len(searcher.search("zeuhl")) == 20
    assert len(searcher.search("zeuhl", 7)) == 7
    assert len(searcher.search("zeuhl", 1000)) == 100


def test_the_very_name_is_first_however_many_begin_with_it(searcher: Searcher) -> None:
    """Though it has many aliases, and hundreds of other names are shorter with theirs."""
    pop = searcher.create("Pop")["Pop"]
    for n in range(40):
        request = pb.AddAliasRequest(genre_id=pop, alias=f"Music that people like, number {n}")
        searcher.curation.AddAlias(request)
    searcher.create(*(f"Pop {n}" for n in range(400)))

    assert searcher.search("pop", 3)[0] == "Pop"
    assert searcher.search("Music that people like, number 7", 1) == ["Pop"]


def test_a_mistyped_name_is_found_among_many_alike(searcher: Searcher) -> None:
    """Hundreds that share more of the query's letters in a row do not hide the one meant."""
    searcher.create(*(f"Ambe {n} Beint" for n in range(400)))

    assert "Ambient" in searcher.search("ambeint", 5)


def test_aliases_count_and_answer_with_the_genre(searcher: Searcher) -> None:
    """Found once, though name and alias both fit; an alias that is gone finds nothing."""
    jazz = searcher.create("Jazz")["Jazz"]
    for alias in ("Hot music", "Jazz music"):
        searcher.curation.AddAlias(pb.AddAliasRequest(genre_id=jazz, alias=alias))

    assert searcher.search("hot mu") == ["Jazz"]
    assert searcher.search("jazz") == ["Jazz"]
    searcher.curation.RemoveAlias(pb.RemoveAliasRequest(genre_id=jazz, alias="Hot music"))
    assert searcher.search("hot mu") == []


def test_a_search_sees_what_was_answered_before(searcher: Searcher) -> None:
    """Renamed, merged, unmerged, deleted and brought back: at once, and once."""
    ids = searcher.create("Gabber", "Hardcore", "Zydeco")
    gabber, hardcore = ids["Gabber"], ids["Hardcore"]
    curation = searcher.curation

    curation.UpdateGenre(pb.UpdateGenreRequest(genre=pb.Genre(id=gabber, name="Gabba")))
    assert searcher.search("gabba")[0] == "Gabba"
    assert searcher.search("gabber") == ["Gabba"], "the old name is an alias"

    curation.MergeGenres(pb.MergeGenresRequest(source_ids=[gabber], target_id=hardcore))
    assert searcher.search("gabba") == ["Hardcore"]
    assert searcher.search("hardcore") == ["Hardcore"]

    curation.UnmergeGenre(pb.UnmergeGenreRequest(source_id=gabber))
    assert searcher.search("gabba") == ["Gabba"]

    curation.DeleteGenre(pb.DeleteGenreRequest(id=gabber))
    assert searcher.search("gabba") == []
    assert searcher.search("gabab") == [], "mistyped neither"

    curation.UndeleteGenre(pb.UndeleteGenreRequest(id=gabber))
    assert searcher.search("gabba") == ["Gabba"]


def test_a_search_answers_with_whole_genres(searcher: Searcher) -> None:
    """As GetGenre does, aliases and all."""
    ids = searcher.create("Dub", "Reggae")
    genre = pb.Genre(id=ids["Dub"], parent_ids=[ids["Reggae"]], description="deep")
    searcher.curation.UpdateGenre(pb.UpdateGenreRequest(genre=genre))
    searcher.curation.AddAlias(pb.AddAliasRequest(genre_id=ids["Dub"], alias="Dub music"))

    [found] = searcher.registry.SearchGenres(pb.SearchGenresRequest(query="dub")).genres

    assert found == searcher.registry.GetGenre(pb.GetGenreRequest(id=ids["Dub"])).genre
    assert list(found.parent_ids) == [ids["Reggae"]]


def test_a_search_changes_nothing_that_others_see(server: Server) -> None:
    """No revision; and a second search writes nothing at all."""
    with grpc.insecure_channel(server.target) as channel:
        searcher = Searcher(channel)
        searcher.create("Rock")
        before = searcher.registry.ListGenres(pb.ListGenresRequest()).revision
        searcher.search("rock")
        written = server.written_bytes()
        for query in ("rock", "rokc", "r"):
            searcher.search(query)

        assert server.written_bytes() == written
        assert searcher.registry.ListGenres(pb.ListGenresRequest()).revision == before


def test_searches_and_a_scan_do_not_wait_for_each_other(searcher: Searcher) -> None:
    """While others create without a pause, every search is answered and sees what was there."""
    done: list[bool] = []

    def scan(worker: int) -> None:
        at = 0
        while not done:
            searcher.create(f"Scanned {worker} {at}")
            at += 1

    with ThreadPoolExecutor(8) as pool:
        scans = [pool.submit(scan, worker) for worker in range(8)]
        try:
            for at in range(20):
                searcher.create(f"Sought {at}")
                assert f"Sought {at}" in searcher.search(f"Sought {at}", 3)
        finally:
            done.append(True)
        for each in scans:
            each.result()


def test_thousands_of_genres_stay_within_the_deadlines(searcher: Searcher) -> None:
    """The first search, which indexes them all, every kind of query, and a merge of many."""
    names = [f"Style {at * 7919 % 100_003} {chr(97 + at % 26)}ell" for at in range(5_000)]
    ids = searcher.create(*names)
    first = ids[names[0]]

    assert searcher.search("jazz") == ["Jazz"]
    for query in ("s", "st", "style 79", "elctronic", "jzaz", "stlye 7919 bell", "%", "q" * 200):
        searcher.search(query, 100)
    assert searcher.search(names[2345], 1) == [names[2345]]

    request = pb.MergeGenresRequest(source_ids=list(ids.values())[1:501], target_id=first)
    merged = searcher.curation.MergeGenres(request, timeout=RASPBERRY_PI.batch_s)
    assert len(merged.redirected_ids) == 500
    found = searcher.search(names[300], 100)
    assert found[0] == names[0]
    assert len(found) == len(set(found))
