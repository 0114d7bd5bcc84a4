"""How the raw values of a tag become spellings, part by part, each by a rule that is named."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from registry_server.vocabulary.tags import PARTS_MAX, TOO_MANY_PARTS, Rule, Split, split

any_tag = st.lists(st.text(st.characters()) | st.text("aB;|/\\\0\n\r\t •-&,\u200b\u00e9é\ufeff"))
"""Any values that a tag may hold, lone surrogates too, and many that fall apart."""


def outcome(found: Split) -> list[tuple[str, str]]:
    """Return each part as it was spelled, and the name of the rule that set it apart."""
    return [(part.spelling.text, part.rule.value) for part in found.parts]


def keys(found: Split) -> list[str]:
    return [part.spelling.fold for part in found.parts]


@pytest.mark.parametrize(
    ("values", "rule", "texts"),
    [
        (["Metal", "Punk"], Rule.DELIVERED, ["Metal", "Punk"]),
        (["Rock", "Classic Rock"], Rule.DELIVERED, ["Rock", "Classic Rock"]),
        (["Multiple", "Value", "This;Value"], Rule.DELIVERED, ["Multiple", "Value", "This;Value"]),
        (["Rock", "rock", "ROCK "], Rule.DELIVERED, ["Rock"]),
        (["Rock\0Pop"], Rule.NUL, ["Rock", "Pop"]),
        (["\0Rock\0\0Pop"], Rule.NUL, ["Rock", "Pop"]),
        (["added/2016\0context/soundtrack"], Rule.NUL, ["added/2016", "context/soundtrack"]),
        (["Rock; Pop"], Rule.SEPARATOR, ["Rock", "Pop"]),
        (["jazz; folk; soul; jazz-funk"], Rule.SEPARATOR, ["jazz", "folk", "soul", "jazz-funk"]),
        (["Rock;Pop"], Rule.SEPARATOR, ["Rock", "Pop"]),
        (["Rock；Pop"], Rule.SEPARATOR, ["Rock", "Pop"]),
        ([";Rock;;Pop;"], Rule.SEPARATOR, ["Rock", "Pop"]),
        (["Rock|Pop"], Rule.SEPARATOR, ["Rock", "Pop"]),
        (["Rock\\\\Pop"], Rule.SEPARATOR, ["Rock", "Pop"]),
        (["Rock//Pop"], Rule.SEPARATOR, ["Rock", "Pop"]),
        (["Rock\nPop"], Rule.SEPARATOR, ["Rock", "Pop"]),
        (["Rock\r\nPop"], Rule.SEPARATOR, ["Rock", "Pop"]),
        (["Rock • Pop"], Rule.SEPARATOR, ["Rock", "Pop"]),
        (["Rock; rock; ROCK"], Rule.SEPARATOR, ["Rock"]),
        (["", "Jazz", " "], Rule.WHOLE, ["Jazz"]),
        (["Jazz\0"], Rule.WHOLE, ["Jazz"]),
        (["Jazz;"], Rule.WHOLE, ["Jazz"]),
        (["Rock and Roll"], Rule.WHOLE, ["Rock and Roll"]),
        (["Post-Punk"], Rule.WHOLE, ["Post-Punk"]),
        (["Jazz-Funk"], Rule.WHOLE, ["Jazz-Funk"]),
        (["Dance & EDM"], Rule.WHOLE, ["Dance & EDM"]),
        (["Christian & Gospel"], Rule.WHOLE, ["Christian & Gospel"]),
        (["Hard Rock & Metal"], Rule.WHOLE, ["Hard Rock & Metal"]),
        (["Electronic---Synthwave"], Rule.WHOLE, ["Electronic---Synthwave"]),
        (["Rock•Pop"], Rule.WHOLE, ["Rock•Pop"]),
    ],
    ids=repr,
)
def test_a_tag_falls_into_parts_by_one_rule(
    values: list[str], rule: Rule, texts: list[str]
) -> None:
    """Each part is in the tag's order, trimmed, once, under the rule that set it apart."""
    found = split(values)

    assert outcome(found) == [(text, rule.value) for text in texts]
    assert found.dropped == ()


@pytest.mark.parametrize(
    "values", [[], [""], ["  \u0020"], ["", "\0"], ["\0\0"], [";;|"], ["\u200b"]]
)
def test_blanks_name_nothing(values: list[str]) -> None:
    """What holds no text is neither a genre nor worth a mention."""
    assert split(values) == Split((), ())


def test_several_values_are_told_apart_by_what_delivered_them() -> None:
    """The container separates values by R0, a NUL within one by R1; neither is split further."""
    found = split(["Rock;Pop", "Dub\0Ska|Soul"])

    assert outcome(found) == [("Rock;Pop", "R0"), ("Dub", "R1"), ("Ska|Soul", "R1")]


@pytest.mark.parametrize(
    ("part", "text", "reason"),
    [
        ("x" * 201, "x" * 200, "NAME_TOO_LONG"),
        ("---", "---", "NAME_WITHOUT_KEY"),
        ("Ro\x07ck", "Ro\x07ck", "NAME_HAS_CONTROL_CHARACTER"),
        ("Ro\udce9ck", "Ro\udce9ck", "TEXT_NOT_UTF8"),
    ],
)
@pytest.mark.parametrize("values", [["{}; Dub"], ["Dub", "{}"], ["Dub\0{}"]], ids=repr)
def test_a_part_that_is_no_name_is_dropped_with_its_reason(
    values: list[str], part: str, text: str, reason: str
) -> None:
    """One bad part spoils nothing else; it is told, cut at 200 characters."""
    found = split([value.replace("{}", part) for value in values])

    assert keys(found) == ["dub"]
    assert [(dropped.text, dropped.reason) for dropped in found.dropped] == [(text, reason)]


def test_a_tab_within_a_part_is_a_space() -> None:
    """Taggers wrote tabs where people meant spaces."""
    assert outcome(split(["Trip\tHop; Drum \t Bass"])) == [("Trip Hop", "R4"), ("Drum Bass", "R4")]


@pytest.mark.parametrize(("separator", "rule"), [(";", "R4"), ("\0", "R1")], ids=repr)
def test_a_tag_has_at_most_a_hundred_parts(separator: str, rule: str) -> None:
    """The first part beyond the limit is reported, so that nothing is left out in silence."""
    names = [f"Genre {number}" for number in range(150)]

    found = split([separator.join(names)])

    assert outcome(found) == [(name, rule) for name in names[:PARTS_MAX]]
    [beyond] = found.dropped
    assert (beyond.text[:9], beyond.reason) == ("Genre 100", TOO_MANY_PARTS)
    assert len(beyond.text) <= 200
    assert split([separator.join(names[:PARTS_MAX])]).dropped == ()


@settings(deadline=None)
@given(any_tag)
def test_no_tag_makes_the_splitter_trip(values: list[str]) -> None:
    """Whatever a file holds, its parts are names and differ; the rest has reasons."""
    found = split(values)

    assert len(set(keys(found))) == len(found.parts) <= PARTS_MAX
    assert all(dropped.reason for dropped in found.dropped)


@settings(deadline=None)
@given(any_tag)
def test_the_parts_of_a_tag_are_done_being_split(values: list[str]) -> None:
    """A file that is written back with the spellings found has the same genres as before."""
    found = split(values)

    # Twice, for a lone value would not count as delivered in parts.
    again = split([part.spelling.text for part in found.parts] * 2)

    assert keys(again) == keys(found)
    assert again.dropped == ()


@pytest.mark.parametrize(
    "values", [["a;" * 500_000], ["\0 " * 500_000], ["a"] * 500_000, [";" * 1_000_000]]
)
def test_a_tag_of_a_megabyte_is_not_looked_through(values: list[str]) -> None:
    """Repeats and blanks count too: one tag must not hold up the server."""
    found = split(values)

    assert len(found.parts) <= 1
    assert [each.reason for each in found.dropped] == [TOO_MANY_PARTS]
