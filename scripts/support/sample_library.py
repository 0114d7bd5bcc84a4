"""
A sample music library: real audio files in every container, retagged as people tag.

The files are copies of the seeds beside this folder: a tenth of a second of silence
each. The same number of files gives the same library.
"""

import random
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path

from mutagen.apev2 import APEv2
from mutagen.asf import ASF
from mutagen.flac import FLAC
from mutagen.id3 import ID3, TCON, ID3v1SaveOptions
from mutagen.mp4 import MP4
from mutagen.oggopus import OggOpus
from mutagen.oggvorbis import OggVorbis

ALBUM_TRACKS = 12
SEEDS = Path(__file__).parent.parent / "seeds"

# Groups of spellings; all of a group are one genre by their fold key.
SPELLINGS: Sequence[Sequence[str]] = (
    ("Electronic", "electronic", "ELECTRONIC", " Electronic "),
    ("Électro", "ÉLECTRO", "E\u0301lectro", "électro"),
    ("Hip-Hop", "hip hop", "Hip Hop", "HIP‐HOP", "hip_hop"),
    ("Drum & Bass", "Drum and Bass", "drum'n'bass", "Drum+Bass"),
    ("R&B", "r&b", "R & B", "R and B"),
    ("Rock", "ROCK", "rock\u200b", "Ｒｏｃｋ"),
    ("Rock & Roll", "Rock 'n' Roll", "Rock-n-Roll"),
    ("Trip-Hop", "Trip Hop", "trip‑hop"),
    ("Pop", "POP"),
    ("Britpop", "BritPop"),
    ("ジャズ", "\uff7c\uff9e\uff6c\uff7d\uff9e"),
    ("Русский рок", "РУССКИЙ РОК"),
    ("Ρεμπέτικος", "ΡΕΜΠΈΤΙΚΟΣ"),
    ("راي", "راي\u200e"),
    ("Şarkı", "ŞARKI", "şarkı"),
    ("Neue Deutsche Härte", "NEUE DEUTSCHE HÄRTE"),
    ("Variété française", "VARIÉTÉ FRANÇAISE", "variété franc\u0327aise"),
    ("C#", "c#"),
    ("50% Off", "50% OFF"),
    ("Children's Music", "Children’s Music"),
    ("演歌", "演歌 "),
    ("K-Pop", "K Pop", "k‐pop"),
    ("Death Metal", "death metal", "Death_Metal"),
    ("Folk, World, & Country",),
)
# And what a large library has beside them, each artist another handful.
NICHES = (
    "acid house, afrobeat, ambient techno, anatolian rock, art pop, avant-garde jazz, axé, "
    "bachata, balkan brass, baroque pop, bebop, big beat, bluegrass, bolero, boogie-woogie, "
    "boom bap, bossa nova, breakbeat, cajun, calypso, canzone napoletana, chamber pop, "
    "chanson française, chicago blues, city pop, classic soul, cold wave, cool jazz, cumbia, "
    "dancehall, dark ambient, deep house, delta blues, desert blues, dixieland, doo-wop, "
    "downtempo, dream pop, dub techno, dungeon synth, ethio-jazz, fado, flamenco, forró, "
    "free jazz, funk carioca, g-funk, gamelan, garage rock, glitch hop, gnawa, go-go, grime, "
    "gypsy jazz, happy hardcore, hard bop, highlife, honky tonk, hyperpop, italo-disco, "
    "jangle pop, j-pop, juke, jùjú, kizomba, klezmer, krautrock, latin jazz, lo-fi, lovers rock, "
    "mariachi, math rock, mbalax, merengue, minimal techno, modal jazz, mpb, neo-soul, new wave, "
    "noise pop, northern soul, nu jazz, nuevo tango, opera, outlaw country, piedmont blues, "
    "post-punk, power pop, psychedelic folk, qawwali, raï, ranchera, rebetiko, rocksteady, "
    "rumba, salsa, samba, schlager, shoegaze, ska punk, slowcore, soukous, southern soul, "
    "space rock, surf rock, swamp pop, synth-pop, taarab, tango, technical death metal, "
    "tejano, thrash metal, tropicália, uk garage, vaporwave, western swing, yé-yé, zouk, zydeco"
).split(", ")


def make_library(folder: Path, files: int) -> None:
    """Fill *folder* with *files* audio files, with 1 to 3 genres each and some with none."""
    dice = random.Random(files)
    for number in range(files):
        suffix, write = WRITERS[number % len(WRITERS)]
        album = folder / f"Artist {number % 17:02}" / f"Album {number % 41:02}"
        album.mkdir(parents=True, exist_ok=True)
        path = album / f"{number:05} Sénza titolo.{suffix}"
        shutil.copyfile(SEEDS / f"silence.{suffix}", path)
        values = [
            dice.choice(group) for group in dice.sample(SPELLINGS, dice.choice((1, 1, 1, 2, 2, 3)))
        ]
        if number % 3 == 0:
            niche = NICHES[number // 3 % len(NICHES)]
            values.append(dice.choice((niche, niche.title(), niche.upper())))
        if number % 50 != 49:
            write(path, values)


def make_albums(folder: Path, files: int, names: Sequence[str]) -> None:
    """
    Fill *folder* with *files* tracks in albums of twelve, each tagged alike by one tagger.

    An album's one or two genres are drawn from *names*, the frequent ones first (Zipf's law);
    two in three albums are MP3.
    """
    dice = random.Random(files)
    weights = [1 / rank for rank in range(1, len(names) + 1)]
    writers = (("mp3", _id3v23), ("mp3", _id3v24), ("flac", _vorbis(FLAC)))
    for first in range(0, files, ALBUM_TRACKS):
        suffix, write = dice.choice(writers)
        values = dice.choices(names, weights, k=dice.choice((1, 1, 2)))
        album = folder / f"Artist {first % 997:03}" / f"Album {first:06}"
        album.mkdir(parents=True)
        for number in range(first, min(first + ALBUM_TRACKS, files)):
            path = album / f"{number:06}.{suffix}"
            shutil.copyfile(SEEDS / f"silence.{suffix}", path)
            write(path, values)


def _id3v1(path: Path, values: list[str]) -> None:
    # 128 bytes at the end, with room for a number and no more: 17 is Rock, 8 is Jazz.
    number = 17 if len(values) % 2 else 8
    with path.open("ab") as file:
        file.write(b"TAG" + bytes(124) + bytes([number]))


def _id3v23(path: Path, values: list[str]) -> None:
    tags = ID3()
    tags.add(TCON(encoding=1, text=["; ".join(values)]))
    tags.save(path, v2_version=3, v1=ID3v1SaveOptions.REMOVE)


def _id3v24(path: Path, values: list[str]) -> None:
    tags = ID3()
    tags.add(TCON(encoding=3, text=values))
    tags.save(path, v2_version=4, v1=ID3v1SaveOptions.REMOVE)


def _vorbis(kind: type[FLAC] | type[OggVorbis] | type[OggOpus]) -> Callable[..., None]:
    def write(path: Path, values: list[str]) -> None:
        audio = kind(path)
        audio["genre"] = values
        audio.save()

    return write


def _mp4(path: Path, values: list[str]) -> None:
    audio = MP4(path)
    audio["\xa9gen"] = values
    audio.save()


def _ape(path: Path, values: list[str]) -> None:
    tags = APEv2()
    tags["Genre"] = values
    tags.save(path)


def _asf(path: Path, values: list[str]) -> None:
    audio = ASF(path)
    audio["WM/Genre"] = values
    audio.save()


WRITERS: Sequence[tuple[str, Callable[[Path, list[str]], None]]] = (
    ("mp3", _id3v1),
    ("mp3", _id3v23),
    ("mp3", _id3v24),
    ("flac", _vorbis(FLAC)),
    ("ogg", _vorbis(OggVorbis)),
    ("opus", _vorbis(OggOpus)),
    ("m4a", _mp4),
    ("wv", _ape),
    ("wma", _asf),
)
