"""When two spellings are one genre, when they are not, and what can be no name."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from registry_server.vocabulary.identity import PIN, Spelling, fold_key, strict_key
from registry_server.vocabulary.refusals import (
    NAME_LENGTH_MAX,
    InvalidName,
    NameEmpty,
    NameHasControlCharacter,
    NameTooLong,
    NameWithoutKey,
    TextNotUtf8,
)

Pairs = list[tuple[str, str]]

# In code points, wherever a glyph would not show which is meant.
SAME: dict[str, Pairs] = {
    "case": [
        *(("ROCK", "Rock"), ("House", "HOUSE"), ("Science Fiction", "Science fiction")),
        *(("AudioBook", "Audiobook"), ("BritPop", "Britpop"), ("NWOBHM", "nwobhm")),
        *(("Idm", "IDM"), ("R&b", "R&B"), ("a cappella", "A Cappella")),
    ],
    "case beyond ASCII": [
        *(("ÉLECTRONIQUE", "électronique"), ("FORRÓ", "forró")),
        *(("NEUE DEUTSCHE HÄRTE", "Neue Deutsche Härte"), ("Straßenmusik", "STRASSENMUSIK")),
        *(("РУССКИЙ РОК", "Русский рок"), ("ШАНСОН", "шансон")),
        *(("ΑΥΤΟΣΧΕΔΙΑΣΜΌΣ", "αυτοσχεδιασμός"), ("Ρεμπέτικος", "ΡΕΜΠΈΤΙΚΟΣ")),
        ("λαϊκός", "λαϊκόσ"),
    ],
    "Turkish i": [
        ("ŞARKI", "şark\u0131"),
    ],
    "composed and decomposed": [
        *(("Électronique", "E\u0301lectronique"), ("raï", "rai\u0308")),
        ("kayōkyoku", "kayo\u0304kyoku"),
        ("Nhạc Trữ Tình", "Nha\u0323c Tru\u031b\u0303 Ti\u0300nh"),
        ("발라드", "\u1107\u1161\u11af\u1105\u1161\u1103\u1173"),
        ("ヴィジュアル系", "ウ\u3099ィシ\u3099ュアル系"),
        ("\u0958व\u094dव\u093eल\u0940", "क\u093cव\u094dव\u093eल\u0940"),
        ("\u212bländsk folkmusik", "Åländsk folkmusik"),
    ],
    "compatibility forms": [
        *(("\uff32\uff4f\uff43\uff4b", "Rock"), ("\uff4a-\uff50\uff4f\uff50", "J-Pop")),
        *(("\uff9b\uff6f\uff78", "ロック"), ("\u211d&\u212c", "R&B")),
        ("\U0001d4e1\U0001d4f8\U0001d4ec\U0001d4f4", "rock"),
        *(("\ufb01lm score", "film score"), ("\u212a-Pop", "K-Pop")),
        ("ล\u0e4dาต\u0e31ด", "ล\u0e33ต\u0e31ด"),
    ],
    "white space": [
        *(("Hip  Hop", "Hip Hop"), ("Trip Hop\n", "Trip Hop"), ("Trip Hop\r\n", "Trip Hop")),
        *(("Deep\u202fHouse", "Deep House"), ("演歌\u3000歌謡", "演歌 歌謡")),
        *(("Drum\u2028and Bass", "Drum and Bass"), ("R&B\u00a0", "R&B")),
        ("\u00a0\u00a0Soul", "Soul"),
    ],
    "invisible characters": [
        *(("\ufeffRock", "Rock"), ("\u200fراي", "راي"), ("راي\u200e", "راي")),
        *(("\u202bמזרחית\u202c", "מזרחית"), ("Folk\u2060Rock", "FolkRock"), ("🤘\ufe0e", "🤘")),
        *(("Synth\u200dwave", "Synthwave"), ("Rock\u0000", "Rock")),
    ],
    "typography": [
        *(("Hip\u2010Hop", "Hip-Hop"), ("Hip\u2011Hop", "Hip-Hop")),
        *(("Hip\u2013Hop", "Hip-Hop"), ("Synth\u2212pop", "Synth-pop")),
        *(("Drum`n`Bass", "Drum'n'Bass"), ("Children\u2019s Music", "Children's Music")),
        *(("\u02bbōte\u02bba", "'ōte'a"), ("kalon\u02bcny fahiny", "kalon'ny fahiny")),
        *(("\u201cWorld\u201d Music", '"World" Music'), ("היפ\u05beהופ", "היפ-הופ")),
        ("Pop∕Rock", "Pop/Rock"),
    ],
}

JOINED_BY_FOLDING: dict[str, Pairs] = {
    "separators": [
        *(("Hip-Hop", "Hip Hop"), ("hip_hop", "Hip Hop"), ("Trip-Hop", "Trip Hop")),
        *(("Post-Punk", "Post Punk"), ("Pop-Rock", "Pop Rock"), ("Indie-Rock", "Indie Rock")),
        *(("K-Pop", "K Pop"), ("Synth-Pop", "Synth Pop")),
        *(("Alternative-Rock", "Alternative Rock"), ("2-Step", "2 Step")),
        *(("Palm-Wine", "Palm Wine"), ("Top-40", "Top 40"), ("Nu-Disco", "Nu Disco")),
    ],
    "and": [
        *(("Drum & Bass", "Drum and Bass"), ("Drum & Bass", "Drum&Bass")),
        *(("Drum'n'Bass", "Drum and Bass"), ("Rock & Roll", "Rock and Roll")),
        *(("Rock 'n' Roll", "Rock & Roll"), ("Rock'n'Roll", "Rock and Roll")),
        *(("Rock-n-Roll", "Rock & Roll"), ("R and B", "R&B")),
        *(("Death 'n' Roll", "Death and Roll"), ("Jazz+Funk", "Jazz & Funk")),
    ],
}

DIFFERENT: dict[str, Pairs] = {
    "plural": [
        ("Afrobeat", "Afrobeats"),
    ],
    "near names": [
        *(("Electronic", "Electronica"), ("Electro", "Electronic"), ("Jerk", "Jerk Rap")),
        *(("Nu Jazz", "New Jazz"), ("House", "Deep House"), ("Garage", "Garage Rock")),
        *(("Garage", "UK Garage"), ("Garage Rock", "UK Garage"), ("Jungle", "Drum and Bass")),
        *(("Dub", "Dubstep"), ("Emo", "Emo Rap"), ("Trap", "Trap EDM"), ("Folk Metal", "Folk")),
        *(("Opera", "Operetta"), ("Tearout Brostep", "Tearout (Older Dubstep Subgenre)")),
        *(("Asian Rock", "Rock"), ("Wave", "New Wave"), ("Fusion", "Jazz Fusion")),
        *(("Visual Kei", "Shibuya-Kei"), ("2-Step", "3-Step"), ("80s", "90s")),
    ],
    "broader and narrower": [
        *(("Rock", "Metal"), ("Rap", "Hip Hop"), ("Manele", "Folk")),
        *(("Alternative", "Alternative Rock"), ("Minimal", "Minimal Techno")),
        *(("Punk", "Punk Rock"), ("Chill", "Chillout"), ("Psychedelic", "Psychedelic Rock")),
        *(("Soul", "R&B"), ("Contemporary R&B", "R&B")),
    ],
    "compounds": [
        *(("Hip-Hop/Rap", "Hip-Hop"), ("Jazz+Funk", "Jazz-Funk")),
        *(("Rock, Roll", "Rock & Roll"), ("Soul & Funk", "Funk & Soul"), ("Rock; Pop", "Rock")),
        ("140 / Deep Dubstep / Grime", "Grime"),
    ],
    "short names": [
        *(("DB", "D&B"), ("D&B", "D-Beat")),
    ],
    "look-alikes": [
        *(("Pop", "\u0420\u043e\u0440"), ("Rock", "R\u043eck"), ("Jazz", "J\u0430zz")),
    ],
    "symbols": [
        *(("🤘", "🤘\U0001f3fd"), ("Pop!", "Pop"), ("Eurobeat\u2122", "Eurobeat")),
        ("+/-", "-/+"),
    ],
    "what only a tag's context tells": [
        *(("17", "Rock"), ("(4)Eurodisco", "Disco"), ("Unknown", "Other")),
    ],
}

JOINED_BY_KNOWLEDGE_ONLY: Pairs = [
    *(("Hip Hop", "HipHop"), ("Synth-Pop", "Synthpop"), ("Hip/Hop", "Hip-Hop")),
    *(("Drum & Bass", "DnB"), ("RnB", "R&B"), ("Rhythm & Blues", "R&B")),
    *(("raï", "rai"), ("Nü Metal", "Nu Metal"), ("ΛΑΪΚΟ", "λαϊκό"), ("kasékò", "kaseko")),
    *(("enka", "演歌"), ("راي", "راى"), ("Рок", "Rock"), ("Electrónica", "Electronic")),
    *(("Soundtrack", "Soundtracks"), ("Colour Bass", "Color Bass"), ("#metal", "metal")),
    *(("Rock Music", "Rock"), ("Hip-Hop / R&B", "Hip-Hop/R&B"), ("hyper techno", "hypertechno")),
]

TROUBLE = "nN'&+-_ \t\"`.aİıß\u0301\u0307\u00a0\u00b4\u200b\u2010\u2019\u3000\ufe0f\uff06\U000e0041"
any_text = st.text(st.characters()) | st.text(TROUBLE)
"""Any code points, lone surrogates too, and many of those that the rules are about."""


def one_genre(first: str, second: str) -> bool:
    return Spelling.of(first).fold == Spelling.of(second).fold


@pytest.mark.parametrize("pairs", SAME.values(), ids=SAME)
def test_what_only_looks_different_is_one_spelling(pairs: Pairs) -> None:
    """Case, composition, white space and typography never make a second genre."""
    assert [pair for pair in pairs if not one_genre(*pair)] == []
    assert [(a, b) for a, b in pairs if Spelling.of(a).strict != Spelling.of(b).strict] == []


@pytest.mark.parametrize("pairs", JOINED_BY_FOLDING.values(), ids=JOINED_BY_FOLDING)
def test_separators_and_signs_for_and_are_folded(pairs: Pairs) -> None:
    """One genre, yet two spellings: a curator can still pin them apart by their strict keys."""
    assert [pair for pair in pairs if not one_genre(*pair)] == []
    assert [(a, b) for a, b in pairs if Spelling.of(a).strict == Spelling.of(b).strict] == []


@pytest.mark.parametrize("pairs", DIFFERENT.values(), ids=DIFFERENT)
def test_different_genres_stay_apart(pairs: Pairs) -> None:
    """However near two names are, no rule joins what MusicBrainz keeps apart."""
    assert [pair for pair in pairs if one_genre(*pair)] == []


@pytest.mark.parametrize(("first", "second"), JOINED_BY_KNOWLEDGE_ONLY)
def test_no_rule_joins_what_only_a_curator_may(first: str, second: str) -> None:
    """Accents, glued words, abbreviations and translations are for packs and people to join."""
    assert not one_genre(first, second)


@settings(deadline=None)
@given(any_text)
def test_a_key_is_its_own_key(text: str) -> None:
    """Keys computed from keys are the same keys: nothing depends on how often it is done."""
    strict = strict_key(text)
    fold = fold_key(strict)

    assert strict_key(strict) == strict
    assert fold_key(fold) == fold
    assert strict_key(fold) == fold


@settings(deadline=None)
@given(any_text)
def test_an_invisible_character_changes_no_key(text: str) -> None:
    """ASCII, which takes a shorter way, gets the keys that any other text gets."""
    assert strict_key(text + "\u200b") == strict_key(text)


@settings(deadline=None)
@given(any_text)
def test_any_text_is_a_spelling_or_an_invalid_name(text: str) -> None:
    """No text that a tagger ever wrote makes the registry trip; no key is empty or a pinned one."""
    try:
        spelling = Spelling.of(text)
    except InvalidName:
        return
    assert spelling.fold
    assert spelling.strict
    assert 0 < len(spelling.text) <= NAME_LENGTH_MAX
    assert Spelling.of(spelling.text) == spelling
    assert PIN not in spelling.fold


@pytest.mark.parametrize(
    ("text", "refusal"),
    [
        ("", NameEmpty),
        (" \t\u00a0\u3000", NameEmpty),
        ("\u200b", NameEmpty),
        ("\0\ufeff", NameEmpty),
        ("a" * 201, NameTooLong),
        ("é" * 201, NameTooLong),
        ("Trip\tHop", NameHasControlCharacter),
        ("Trip\nHop", NameHasControlCharacter),
        ("Trip\0Hop", NameHasControlCharacter),
        ("Trip\x85Hop", NameHasControlCharacter),
        ("Trip\x7fHop", NameHasControlCharacter),
        ("\ud800", TextNotUtf8),
        ("Trip\udce9Hop", TextNotUtf8),
        ("---", NameWithoutKey),
        ("_ -", NameWithoutKey),
        ("\u2014", NameWithoutKey),
        ("\ufe0f", NameWithoutKey),
    ],
)
def test_what_can_be_no_name_is_refused_with_its_reason(
    text: str, refusal: type[InvalidName]
) -> None:
    """The caller learns which rule the text broke, and that it was the name."""
    with pytest.raises(refusal) as raised:
        Spelling.of(text)

    assert raised.value.reason == refusal.reason
    assert raised.value.field == "name"


@pytest.mark.parametrize("text", ["a" * 200, "演" * 200, "🤘" * 200, f" \n{'a' * 200}\0 "])
def test_two_hundred_characters_are_a_name(text: str) -> None:
    """The limit counts code points, after trimming."""
    assert len(Spelling.of(text).text) == 200


@pytest.mark.parametrize(
    "text",
    [
        *(" Dub ", "\tDub\r\n", "Dub\0", "\0\0Dub\0\0", "\ufeffDub", "\u00a0Dub\u3000"),
        *("\x1fDub\x7f", "\x85Dub", "\u200eDub\u200f", "\u2028Dub\u2029", "\u2060\u00ad Dub"),
    ],
)
def test_a_name_is_trimmed_of_what_nobody_sees(text: str) -> None:
    """White space, controls, NUL, marks: what surrounds a name is no part of it."""
    assert Spelling.of(text) == Spelling("Dub", "dub", "dub")


def test_a_name_keeps_how_it_was_written() -> None:
    """Keys are for finding; people see the name as its first writer spelled it."""
    spelling = Spelling.of(" Drum\u2019n\u2019Bass\u2122 ")

    assert spelling.text == "Drum\u2019n\u2019Bass\u2122"
    assert spelling.strict == "drum'n'basstm"
    assert spelling.fold == "drum and basstm"
