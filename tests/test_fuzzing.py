"""Whatever a tag holds, a real server answers, refuses in words, and keeps none of it in memory."""

import os
import random
import time
from collections import Counter
from pathlib import Path

import grpc
import pytest
from conftest import Server
from genre_registry.v1 import genre_registry_pb2 as pb
from genre_registry.v1.genre_registry_pb2_grpc import GenreRegistryStub

VALUES = int(os.environ.get("GENRE_FUZZ_VALUES", "5000"))
"""How many random values are sent: more when asked for."""
VALUES_A_CALL = 50
GROWTH_KIB_MAX = 4096
"""What the second half may add: an allocator's slack, not values remembered."""

SCRIPTS = [
    "az",
    "AZ",
    "09",
    "àÿ",
    "αω",
    "ая",
    "את",
    "اي",
    "कह",
    "กฮ",
    "あん",
    "アン",
    "一三",
    "가하",
    "🎵🎸",
]
PIECES = [
    *(
        ";",
        "；",
        "|",
        "/",
        " / ",
        "//",
        "\\\\",
        "\\",
        ",",
        "、",
        "\0",
        "\n",
        "\r",
        " • ",
        "&",
        "+",
        "-",
    ),
    *(
        "(",
        ")",
        "[",
        "]",
        "{",
        "}",
        '"',
        "“",
        "”",
        "「",
        "」",
        "&amp;",
        "&#38;",
        "&lt;",
        "&semi;",
        "'n'",
    ),
    *(
        "(17)",
        "17",
        "(255)",
        "((",
        "RX",
        "\t",
        " ",
        "\u00a0",
        "\u200b",
        "\ufeff",
        "\u202e",
        "\x07",
        "\x85",
    ),
    *(
        "\u0301",
        "\u05b7",
        "Rock",
        "dnb",
        "Hip-Hop",
        "Unknown",
        "Folk, World, & Country",
        "R&B",
        "\U000e0041",
    ),
]


def words(chance: random.Random) -> str:
    first, last = map(ord, chance.choice(SCRIPTS))
    return "".join(chr(chance.randint(first, last)) for _ in range(chance.randint(1, 8)))


def any_character(chance: random.Random) -> str:
    code_point = chance.randrange(0x110000 - 0x800)
    return chr(code_point if code_point < 0xD800 else code_point + 0x800)


def piece(chance: random.Random) -> str:
    return chance.choice(PIECES)


def value(chance: random.Random) -> str:
    """Return a random value: mostly short, sometimes huge; never half a character."""
    length = 4000 if chance.random() < 0.002 else chance.randint(0, 9)
    return "".join(chance.choice((words, any_character, piece))(chance) for _ in range(length))


def request(chance: random.Random) -> pb.ResolveTagsRequest:
    values = [value(chance) for _ in range(VALUES_A_CALL)]
    sets = []
    while values:
        size = chance.choice([1, 1, 1, 2, 3])
        sets.append(
            pb.TagSet(values=values[:size], container=chance.choice(pb.TagContainer.values()))
        )
        del values[:size]
    return pb.ResolveTagsRequest(tag_sets=sets, validate_only=chance.random() < 0.1)


def resident_kib(server: Server) -> int:
    for line in Path(f"/proc/{server.process.pid}/status").read_text().splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1])
    raise AssertionError("no VmRSS in /proc")


@pytest.fixture
def as_installed() -> bool:
    """What a process takes of memory is measured here."""
    return True


def test_no_value_is_more_than_refused_and_none_is_kept(server: Server) -> None:
    """Only OK and INVALID_ARGUMENT; the second half of the values leaves the memory as it was."""
    chance = random.Random(20)
    statuses: Counter[grpc.StatusCode] = Counter()
    resident = [resident_kib(server)]
    begun = time.monotonic()
    with grpc.insecure_channel(server.target) as channel:
        stub = GenreRegistryStub(channel)
        for _ in range(2):
            for _ in range(VALUES // VALUES_A_CALL // 2):
                asked = request(chance)
                try:
                    answer = stub.ResolveTags(asked, timeout=30)
                    statuses[grpc.StatusCode.OK] += 1
                    assert len(answer.results) == len(asked.tag_sets)
                except grpc.RpcError as refusal:
                    statuses[refusal.code()] += 1
            resident.append(resident_kib(server))
    print(f"{time.monotonic() - begun:.1f} s, {dict(statuses)}, resident KiB {resident}")

    assert set(statuses) <= {grpc.StatusCode.OK, grpc.StatusCode.INVALID_ARGUMENT}
    assert statuses[grpc.StatusCode.OK] > 0
    assert resident[2] - resident[1] < GROWTH_KIB_MAX
