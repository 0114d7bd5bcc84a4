"""How the raw values of a tag become spellings, part by part, each by a rule that is named."""

import time

import pytest
from case_tables import SplitCase, split_cases
from hypothesis import example, given, settings
from hypothesis import strategies as st

from registry_server.packs.reading import knowledge_of
from registry_server.settings import PLACEHOLDERS
from registry_server.vocabulary.splitting import split
from registry_server.vocabulary.tags import PARTS_MAX, TOO_MANY_PARTS, Split

KNOWLEDGE = knowledge_of((), off=(), placeholders=PLACEHOLDERS)

PIECES = [
    *("Rock", "Pop", "hip-hop", "R&B", "dnb", "Folk", "World", "& Country", "AltRock", "AC", "é"),
    *("Unknown", "N/A", "17", "(17)", "(255)", "((", "RX", "; ", ";", "|", "/", " / ", "//", "\\"),
    *(", ", ",", "、", "&", "+", " and ", "&amp;", "&#38;", "&lpar;", "&semi;", "(", ")", "[", "]"),
    *('"', '7"', "“", "”", " ", "\t", "\n", "\0", "\u200b", "\u0301", "-", "--", "?", " • ", "1,0"),
]
any_tag = st.lists(
    st.text(st.characters()) | st.lists(st.sampled_from(PIECES), max_size=9).map("".join)
)
"""Any values that a tag may hold, lone surrogates too, and many that fall apart."""

Outcome = list[tuple[str, str]]


def read(values: list[str], *, is_id3: bool = False) -> Split:
    return split(values, KNOWLEDGE, is_id3=is_id3)


def outcome(found: Split) -> Outcome:
    """Return each part as it was spelled, and the name of the rule that set it apart."""
    return [(part.spelling.text, part.rule.value) for part in found.parts]


def dropped(found: Split) -> Outcome:
    return [(each.text, each.reason) for each in found.dropped]


def keys(found: Split) -> list[str]:
    return [part.spelling.fold for part in found.parts]


def by(rule: str, *texts: str) -> Outcome:
    return [(text, rule) for text in texts]


@pytest.mark.parametrize("case", split_cases(), ids=lambda case: f"{case.container}-{case.values}")
def test_every_case_of_the_table_is_split_as_written(case: SplitCase) -> None:
    """What other applications got wrong, each row with its rule and where it was reported."""
    found = read(list(case.values), is_id3=case.is_id3)

    assert tuple(part.spelling.text for part in found.parts) == case.expected


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        (["Rock;Pop", "Dub\0Ska|Soul"], [*by("R0", "Rock;Pop"), *by("R1", "Dub", "Ska|Soul")]),
        (["Rock;Pop", "rock;pop"], by("R4", "Rock", "Pop")),
        (["Rock;Pop", "Unknown", "(255)"], by("R4", "Rock", "Pop")),
        (["Dub\0Ska"], by("R1", "Dub", "Ska")),
        (["Rock；Pop"], by("R4", "Rock", "Pop")),
        (["Rock\\\\Pop//Dub\r\nSka • Soul"], by("R4", "Rock", "Pop", "Dub", "Ska", "Soul")),
        (["Rock•Pop"], by("R10", "Rock•Pop")),
        (["Jazz;"], by("R10", "Jazz")),
        (["Jazz\0"], by("R10", "Jazz")),
        (["Singer/Songwriter, Rock"], [("Singer/Songwriter", "R5"), ("Rock", "R8")]),
        (["Juke/Footwork; Dub"], [("Juke/Footwork", "R5"), ("Dub", "R4")]),
        (["Folk, World, & Country, Rock"], by("R8", "Folk, World, & Country", "Rock")),
        (["Techno (Peak Time / Driving)"], by("R6", "Techno (Peak Time / Driving)")),
        (["Rock / Nonsuch"], by("R7", "Rock", "Nonsuch")),
        (["Rock/Pop"], by("R7", "Rock", "Pop")),
        (["Rock\\Pop"], by("R7", "Rock", "Pop")),
        (["AC/DC"], by("R7", "AC/DC")),
        (["Rock,Pop"], by("R8", "Rock", "Pop")),
        (["Pop, Rock & Roll"], by("R8", "Pop", "Rock & Roll")),
        (["AC/DC, Rock"], [("AC/DC", "R7"), ("Rock", "R8")]),
        (["Rock and Pop"], by("R10", "Rock and Pop")),
        (["Rock -- Pop"], by("R10", "Rock -- Pop")),
        (["Rock; Pop/Dub, Ska"], [("Rock", "R4"), *by("R7", "Pop", "Dub"), ("Ska", "R8")]),
    ],
    ids=repr,
)
def test_each_part_names_the_rule_that_set_it_apart(values: list[str], expected: Outcome) -> None:
    """People who wonder at a genre are told which rule to blame."""
    assert outcome(read(values)) == expected


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("Rock (a; b); Pop", by("R4", "Rock (a; b)", "Pop")),
        ("Rock [a (b] c; d)", by("R6", "Rock [a (b] c; d)")),
        ("「Rock, Pop」, Soul", by("R8", "「Rock, Pop」", "Soul")),
        ('"Rock; Pop"', by("R6", '"Rock; Pop"')),
        ("“Rock, Pop”", by("R6", "“Rock, Pop”")),
        ('7" Rock; 12" Pop', by("R4", '7" Rock', '12" Pop')),
        ('7", 12"', by("R8", '7"', '12"')),
        ("Rock (a; b", by("R4", "Rock (a", "b")),
        ("Rock) ; (Pop", by("R4", "Rock)", "(Pop")),
        ('Rock "a; b', by("R4", 'Rock "a', "b")),
    ],
    ids=repr,
)
def test_brackets_and_quotes_shield_what_they_enclose(value: str, expected: Outcome) -> None:
    """An inch is no quotation mark, and a bracket without a partner encloses nothing."""
    assert outcome(read([value])) == expected


def test_an_unclosed_bracket_within_brackets_takes_no_shield_away() -> None:
    """The outer pair is a pair all the same."""
    assert outcome(read(["Rock (a [b; c)"])) == by("R6", "Rock (a [b; c)")


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("Top 1,000", by("R10", "Top 1,000")),
        ("Top 1,000, Rock", by("R8", "Top 1,000", "Rock")),
        ("80s,90s", by("R8", "80s", "90s")),
        ("アニメ、ロック，ポップ", by("R8", "アニメ", "ロック", "ポップ")),
    ],
)
def test_a_comma_within_a_number_separates_nothing(value: str, expected: Outcome) -> None:
    """Commas of every script separate, but a thousand has one of its own."""
    assert outcome(read([value])) == expected


@pytest.mark.parametrize(
    ("value", "rule"),
    [
        ("Jazz, R&B, and Soul", "R8"),
        ("Rock, Pop & Soul", "R8"),
        ("Rock, Pop et Soul", "R8"),
        ("Rock, Pop und Soul", "R8"),
        ("Rock/AltRock", "R7"),
        ("Nonsuch/Rock", "R7"),
    ],
)
def test_what_cannot_be_decided_stays_whole_for_review(value: str, rule: str) -> None:
    """An enumeration, or a slash of which but one side is known, may be one genre or several."""
    found = read([f"{value}; Dub"])

    assert outcome(found) == [(value, rule), ("Dub", "R4")]
    assert [(each.spelling.text, each.rule.value) for each in found.review] == [(value, rule)]


@pytest.mark.parametrize("value", ["AC/DC", "W/O Genre", "Rock/Pop", "Rock, Pop", "R&B", "Dub/"])
def test_what_was_decided_is_not_for_review(value: str) -> None:
    """A curator is not bothered with a slash that no known genre stands beside."""
    assert read([value]).review == ()


@pytest.mark.parametrize(
    ("value", "kept", "left_out"),
    [
        ("unknown", [], [("unknown", "PLACEHOLDER")]),
        ("[unknown]; Dub", ["Dub"], [("[unknown]", "PLACEHOLDER")]),
        ("&lt;Unknown&gt;", [], [("<Unknown>", "PLACEHOLDER")]),
        ("Dub/Other", ["Dub"], [("Other", "PLACEHOLDER")]),
        ("Misc. / Dub", ["Dub"], [("Misc.", "PLACEHOLDER")]),
        ("N/A, Dub", ["Dub"], [("N/A", "PLACEHOLDER")]),
        ("Dub/N/A", ["Dub"], [("N/A", "PLACEHOLDER")]),
        ("!!!", [], [("!!!", "NO_WORD")]),
        ("Dub; ...", ["Dub"], [("...", "NO_WORD")]),
        ("Dub / ?", ["Dub"], [("?", "NO_WORD")]),
        ("Dub/?", ["Dub"], [("?", "NO_WORD")]),
        ("Dub; " + "x" * 201, ["Dub"], [("x" * 200, "NAME_TOO_LONG")]),
        ("---, Dub", ["Dub"], [("---", "NAME_WITHOUT_KEY")]),
        ("Dub; Ro\x07ck", ["Dub"], [("Ro\x07ck", "NAME_HAS_CONTROL_CHARACTER")]),
        ("Dub; Ro\udce9ck", ["Dub"], [("Ro\udce9ck", "TEXT_NOT_UTF8")]),
    ],
)
def test_what_names_no_genre_is_dropped_with_its_reason(
    value: str, kept: list[str], left_out: Outcome
) -> None:
    """One bad part spoils nothing else; it is told, cut at 200 characters."""
    found = read([value])

    assert [part.spelling.text for part in found.parts] == kept
    assert dropped(found) == left_out


@pytest.mark.parametrize("values", [[], [""], [" "], ["", "\0"], ["\0\0"], [";;|"], ["\u200b"]])
def test_blanks_name_nothing(values: list[str]) -> None:
    """What holds no text is neither a genre nor worth a mention."""
    found = read(values)

    assert (found.parts, found.dropped, found.review) == ((), (), ())


@pytest.mark.parametrize("value", ["Rock,", "Rock/", "/Rock", ", Rock"])
def test_a_separator_at_the_edge_is_no_part_of_the_name(value: str) -> None:
    """As with a closing semicolon, which leaves the one name as well."""
    assert [text for text, _ in outcome(read([value]))] == ["Rock"]


def test_a_tab_within_a_part_is_a_space() -> None:
    """Taggers wrote tabs where people meant spaces."""
    assert outcome(read(["Trip\tHop; Drum \t Bass"])) == by("R4", "Trip Hop", "Drum Bass")


@pytest.mark.parametrize(
    ("value", "in_id3", "elsewhere"),
    [
        ("(17)", ["Rock"], ["Rock"]),
        ("17", ["Rock"], ["17"]),
        ("(17)(18)", ["Rock", "Techno"], ["(17)(18)"]),
        ("(4) Eurodisco", ["Disco", "Eurodisco"], ["(4) Eurodisco"]),
        ("(CR)Pop", ["Cover", "Pop"], ["(CR)Pop"]),
        ("rx", ["rx"], ["rx"]),
        ("(255)", [], []),
        ("192", [], ["192"]),
        ("(192)Foo", ["Foo"], ["(192)Foo"]),
        ("256", ["256"], ["256"]),
        ("(1980)", ["(1980)"], ["(1980)"]),
        ("((Foo)", ["(Foo)"], ["((Foo)"]),
        ("(17)((Foo)", ["Rock", "(Foo)"], ["(17)((Foo)"]),
        ("(12)Foo", ["Foo"], ["(12)Foo"]),
        ("17; 18, 13/Dub", ["Rock", "Techno", "Pop", "Dub"], ["17", "18", "13/Dub"]),
    ],
)
def test_numbers_are_names_in_id3_only(value: str, in_id3: list[str], elsewhere: list[str]) -> None:
    """Elsewhere a number is a text, but for exactly "(n)", which rippers leave behind."""
    assert [text for text, _ in outcome(read([value], is_id3=True))] == in_id3
    assert [text for text, _ in outcome(read([value]))] == elsewhere


@pytest.mark.parametrize("value", ["(255)", "(192)", "(255)(193)"])
def test_a_number_without_a_name_is_told(value: str) -> None:
    """A tag that says nothing makes no genre, and is not passed over in silence."""
    reasons = {reason for _, reason in dropped(read([value], is_id3=True))}

    assert reasons == {"ID3_NUMBER_UNNAMED"}


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("R&amp;amp;amp;amp;amp;amp;B; Soul", ["R&B", "Soul"]),
        ("Rock&#59; Pop&semi;Dub&#x2F;Ska", ["Rock", "Pop", "Dub", "Ska"]),
        ("AT&T; Rock", ["AT&T", "Rock"]),
        ("&notes; Rock", ["&notes", "Rock"]),
        ("Rock &lt Pop", ["Rock &lt Pop"]),
    ],
)
def test_entities_are_decoded_before_anything_is_split(value: str, expected: list[str]) -> None:
    """However often a tagger escaped them; what is no whole entity is text."""
    assert [text for text, _ in outcome(read([value]))] == expected


@pytest.mark.parametrize(("separator", "rule"), [(";", "R4"), ("\0", "R1"), (", ", "R8")])
def test_a_tag_has_at_most_a_hundred_parts(separator: str, rule: str) -> None:
    """The first part beyond the limit is reported, so that nothing is left out in silence."""
    names = [f"Genre {number}" for number in range(150)]

    found = read([separator.join(names)])

    assert outcome(found) == by(rule, *names[:PARTS_MAX])
    [(beyond, reason)] = dropped(found)
    assert (beyond[:9], reason) == ("Genre 100", TOO_MANY_PARTS)
    assert read([separator.join(names[:PARTS_MAX])]).dropped == ()


@settings(deadline=None)
@given(any_tag, st.booleans())
def test_no_tag_makes_the_splitter_trip(values: list[str], is_id3: bool) -> None:
    """Whatever a file holds, its parts are names and differ; the rest has reasons."""
    found = read(values, is_id3=is_id3)

    assert len(set(keys(found))) == len(found.parts) <= PARTS_MAX
    assert all(each.reason for each in found.dropped)
    assert {each.spelling.fold for each in found.review} <= set(keys(found))


@pytest.mark.parametrize(
    ("value", "texts"),
    [
        ("((17)Foo", ["(17)Foo"]),
        ("Rock, ((foo)", ["Rock", "(foo)"]),
        ("(17)RX", ["Rock", "RX"]),
        ("/(17)RX", ["Rock", "RX"]),
        ("(17)140", ["Rock", "140"]),
    ],
)
def test_what_follows_a_reference_or_an_escape_is_text(value: str, texts: list[str]) -> None:
    """References are taken once, wherever in an ID3 value they stand."""
    assert [text for text, _ in outcome(read([value], is_id3=True))] == texts


@pytest.mark.parametrize("value", ["• Rock • Pop", "Rock • Pop •", "Rock｜Pop"])
def test_bullets_and_wide_bars_separate(value: str) -> None:
    """At an edge too."""
    assert [text for text, _ in outcome(read([value]))] == ["Rock", "Pop"]


@settings(deadline=None, max_examples=300)
@given(any_tag, st.booleans())
@example(["Rock;Pop", "()"], False)
@example(["Rock/Pop\0?"], True)
def test_the_parts_of_a_tag_are_done_being_split(values: list[str], is_id3: bool) -> None:
    """A file that is written back with the spellings found has the same genres as before."""
    found = read(values, is_id3=is_id3)

    again = read([part.spelling.text for part in found.parts])

    assert keys(again) == keys(found)
    assert again.dropped == ()


UNITS = [
    *(";", "；", "|", "//", "\\\\", "\n", " • ", ",", "、", "/", " / ", "\\", "／", "\0", " "),
    *("(", ")", "()", "([{", '"', ' "', "“", "“”", "&", "&amp;", "amp;", "&#38;", "&#", "((", "17"),
    *("(17)", "a ", "a&", "'n'", "n ", "\u200b", "é", "\u0301"),
]


@pytest.mark.parametrize("is_id3", [False, True], ids=["text", "id3"])
@pytest.mark.parametrize("unit", UNITS, ids=repr)
def test_splitting_takes_a_millisecond_a_kilobyte_at_most(unit: str, is_id3: bool) -> None:
    """No tag, however it was made up, holds up the server, and a huge one is cut."""
    times_s = []
    for _ in range(7):
        begun = time.thread_time()
        read([unit * (10_000 // len(unit))], is_id3=is_id3)
        times_s.append(time.thread_time() - begun)

    assert min(times_s) < 0.010
    huge = read([unit * (100_000 // len(unit))], is_id3=is_id3)
    assert TOO_MANY_PARTS in {reason for _, reason in dropped(huge)} or not unit.strip("\0\u200b ")


@pytest.mark.parametrize(
    "unit", [";" * 99 + "\0", "a;" * 50 + "\0", "," * 99 + "\0", "a/" * 50 + "\0"]
)
def test_the_limits_hold_for_a_tag_as_a_whole(unit: str) -> None:
    """Not for each of its values anew."""
    times_s = []
    for _ in range(7):
        begun = time.thread_time()
        read([unit * (10_000 // len(unit))])
        times_s.append(time.thread_time() - begun)

    assert min(times_s) < 0.010


@pytest.mark.parametrize(
    "values", [["a;" * 500_000], ["\0 " * 500_000], ["a"] * 500_000, [";" * 1_000_000]]
)
def test_a_tag_of_a_megabyte_is_not_looked_through(values: list[str]) -> None:
    """Repeats and blanks count too: one tag must not hold up the server."""
    found = read(values)

    assert len(found.parts) <= 1
    assert [reason for _, reason in dropped(found)] == [TOO_MANY_PARTS]
