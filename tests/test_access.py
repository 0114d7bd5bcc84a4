"""Who may call what: the table and nothing else, for whatever a caller shows."""

import json
import os
import re
import socket
import stat
import threading
import time
from collections.abc import Iterator
from ipaddress import ip_network
from pathlib import Path

import grpc
import pytest
from access import CALL_S, RPCS, SEEN_S, Shown, ask, codes_of, eventually
from conftest import Server, StartServer, lay_down, run, running_server
from genre_registry.v1 import genre_registry_pb2 as pb
from genre_registry.v1.genre_registry_pb2_grpc import GenreCurationStub, GenreRegistryStub
from grpc import StatusCode

from registry_server.authority import Authority
from registry_server.tokens import (
    TOKEN_PREFIX,
    add_certificate,
    add_token,
    fingerprint_of,
    hash_of,
    revoke_token,
)
from registry_server.transport.guard import _is_in
from registry_server.transport.permissions import HEALTH, LOWEST_ROLE, lowest_role
from registry_server.vocabulary.callers import Caller, Role
from registry_server.vocabulary.refusals import RoleTooLow

GET = "genre_registry.v1.GenreRegistry/GetGenre"
NOBODY = None


class Home:
    """A home network's registry: its folder, a token for each role, and an authority."""

    def __init__(self, folder: Path) -> None:
        self.database = folder / "registry.db"
        self.tokens = folder / "tokens.json"
        self.authority = Authority(folder / "tls")
        self.token = {role: add_token(self.tokens, f"a-{role}", role) for role in Role}
        self.revoked = add_token(self.tokens, "gone", Role.OPERATOR)
        revoke_token(self.tokens, "gone")

    def flags(self) -> list[str]:
        certificate, key = self.authority.server
        return ["--tls-certificate", str(certificate), "--tls-key", str(key)]


def allow(home: Home, name: str, role: Role) -> None:
    """Have *name*'s certificate stand for a token."""
    certificate = home.authority.client(name)[0].read_bytes()
    add_certificate(home.tokens, name, role, fingerprint_of(certificate))


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Home:
    return Home(tmp_path_factory.mktemp("home"))


@pytest.fixture(scope="module")
def guarded(home: Home) -> Iterator[Server]:
    """A server that asks for tokens."""
    with running_server(home.database) as server:
        yield server


@pytest.fixture(scope="module")
def mutual(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Home, Server]]:
    """A server that asks for certificates, and takes tokens too."""
    home = Home(tmp_path_factory.mktemp("mutual"))
    names = [f"c-{role}" for role in Role]
    home.authority.make(["127.0.0.1"], [*names, "unlisted"], days=1)
    home.authority.sign_client("expired", days=0)
    flags = [*home.flags(), "--tls-client-ca", str(home.authority.certificate)]
    for role, name in zip(Role, names, strict=True):
        allow(home, name, role)
    allow(home, "expired", Role.OPERATOR)
    with running_server(home.database, flags=flags) as server:
        yield home, server


def expected(role: Role | None) -> dict[str, StatusCode]:
    """Return what each RPC answers to bytes that are no message, by the table alone."""
    codes = {}
    for service, methods in LOWEST_ROLE.items():
        for method, lowest in methods.items():
            if lowest is None:
                # Health reads them itself.
                code = StatusCode.OK
            elif role is None:
                code = StatusCode.UNAUTHENTICATED
            else:
                refused = role < lowest
                code = StatusCode.PERMISSION_DENIED if refused else StatusCode.INVALID_ARGUMENT
            codes[f"{service}/{method}"] = code
    return codes


def answers(target: str, shown: Shown) -> dict[str, StatusCode]:
    """Return what each RPC answers; of health's, only whether it was refused."""
    codes = dict(codes_of(target, shown))
    refusals = (StatusCode.UNAUTHENTICATED, StatusCode.PERMISSION_DENIED, StatusCode.UNAVAILABLE)
    for rpc, code in codes.items():
        if rpc.startswith(HEALTH) and code not in refusals:
            codes[rpc] = StatusCode.OK
    return codes


def test_the_table_has_every_rpc_that_is_served_and_no_other() -> None:
    """A new RPC is given its lowest role when it is made."""
    listed = {f"{service}/{method}" for service in LOWEST_ROLE for method in LOWEST_ROLE[service]}

    assert listed == set(RPCS)
    assert {rpc for rpc in listed if not rpc.startswith(HEALTH)} == {
        f"{service}/{method}"
        for service, methods in LOWEST_ROLE.items()
        for method, lowest in methods.items()
        if lowest is not None
    }


@pytest.mark.parametrize("token", ["", "wrong", "revoked"])
def test_without_a_right_token_nothing_but_health_is_answered(
    home: Home, guarded: Server, token: str
) -> None:
    """Bad bytes included: nobody learns what is read before it is known who calls."""
    given = {"": "", "wrong": TOKEN_PREFIX + "x" * 43, "revoked": home.revoked}[token]

    assert answers(guarded.target, Shown(given)) == expected(NOBODY)


@pytest.mark.parametrize("role", Role, ids=str)
def test_a_role_may_call_what_the_table_says_and_nothing_else(
    home: Home, guarded: Server, role: Role
) -> None:
    """Every RPC with every role."""
    assert answers(guarded.target, Shown(home.token[role])) == expected(role)


@pytest.mark.parametrize("role", Role, ids=str)
def test_a_listed_certificate_stands_for_a_token(mutual: tuple[Home, Server], role: Role) -> None:
    """By mutual TLS the same table holds."""
    home, server = mutual

    shown = Shown(authority=home.authority, certificate=f"c-{role}")

    assert answers(server.target, shown) == expected(role)


@pytest.mark.parametrize("token", ["", "wrong", "revoked", *Role], ids=str)
def test_an_unlisted_certificate_is_nobody_without_a_token(
    mutual: tuple[Home, Server], token: str | Role
) -> None:
    """The authority's signature alone lets nobody in; a token over TLS counts as elsewhere."""
    home, server = mutual
    known = {"": "", "wrong": "grt_wrong", "revoked": home.revoked, **home.token}

    shown = Shown(known[token], home.authority, "unlisted")

    assert answers(server.target, shown) == expected(token if isinstance(token, Role) else None)


def test_a_wrong_token_is_refused_though_the_certificate_is_right(
    mutual: tuple[Home, Server],
) -> None:
    """Who shows a token is judged by it."""
    home, server = mutual

    shown = Shown("grt_wrong", home.authority, "c-operator")

    assert answers(server.target, shown) == expected(NOBODY)


@pytest.mark.parametrize("certificate", ["expired", ""])
def test_tls_refuses_an_expired_certificate_and_none(
    mutual: tuple[Home, Server], certificate: str
) -> None:
    """Not one RPC gets through, whatever the token."""
    home, server = mutual
    shown = Shown(home.token[Role.OPERATOR], home.authority, certificate)

    def code() -> StatusCode:
        with shown.channel(server.target) as channel:
            return ask(channel, GET, shown)[0]

    # What holds for no day ends with the second in which it was made.
    eventually(lambda: code() is StatusCode.UNAVAILABLE)


def test_the_journal_names_the_caller(home: Home, guarded: Server) -> None:
    """Whoever looks why a genre is there sees who made it."""
    worker = Shown(home.token[Role.WORKER])
    curator = Shown(home.token[Role.CURATOR])

    with worker.channel(guarded.target) as channel:
        made = GenreRegistryStub(channel).GetOrCreate(
            pb.GetOrCreateRequest(name="Dub"), metadata=worker.metadata, timeout=CALL_S
        )
        history = GenreCurationStub(channel).ListHistory(
            pb.ListHistoryRequest(genre_id=made.genre.id),
            metadata=curator.metadata,
            timeout=CALL_S,
        )

    assert [change.who for change in history.changes] == ["a-worker"]


@pytest.mark.parametrize(
    ("header", "said"),
    [
        ("", "A token is needed, as metadata: authorization: Bearer"),
        ("Basic eDp5", "A token is needed, as metadata: authorization: Bearer"),
        ("Bearer", "none of this registry's"),
        ("Bearer grt_x", "none of this registry's"),
    ],
)
def test_a_refusal_says_what_to_do(guarded: Server, header: str, said: str) -> None:
    """Plain words, and nothing of the token."""
    metadata = [("authorization", header)] if header else []
    with (
        grpc.insecure_channel(guarded.target) as channel,
        pytest.raises(grpc.RpcError, match=said) as refused,
    ):
        GenreRegistryStub(channel).GetGenre(
            pb.GetGenreRequest(id=1), metadata=metadata, timeout=CALL_S
        )

    assert "grt_x" not in str(refused.value)


def test_the_scheme_is_read_in_any_case(home: Home, guarded: Server) -> None:
    """As HTTP has it."""
    metadata = [("authorization", f"bearer {home.token[Role.READER]}")]

    with grpc.insecure_channel(guarded.target) as channel:
        GenreRegistryStub(channel).ListGenres(
            pb.ListGenresRequest(), metadata=metadata, timeout=CALL_S
        )


@pytest.fixture
def tokens(database: Path) -> Path:
    """The token file of the test's own server."""
    return database.with_name("tokens.json")


def code_of(server: Server, shown: Shown) -> StatusCode:
    with shown.channel(server.target) as channel:
        return ask(channel, GET, shown)[0]


def test_revoked_while_serving_is_refused_and_its_watch_ends(
    start_server: StartServer, tokens: Path
) -> None:
    """The next call, and the stream that is open; others go on."""
    shown = Shown(add_token(tokens, "tv", Role.READER))
    other = Shown(add_token(tokens, "radio", Role.READER))
    server = start_server()

    with shown.channel(server.target) as channel, other.channel(server.target) as others:
        watches = [
            GenreRegistryStub(each).WatchGenres(pb.WatchGenresRequest(), metadata=who.metadata)
            for each, who in ((channel, shown), (others, other))
        ]
        for watch in watches:
            next(watch)
        began_s = time.monotonic()
        revoke_token(tokens, "tv")
        with pytest.raises(grpc.RpcError) as ended:
            list(watches[0])

        assert time.monotonic() - began_s < SEEN_S
        assert ended.value.code() is StatusCode.UNAUTHENTICATED
        assert ask(channel, GET, shown)[0] is StatusCode.UNAUTHENTICATED
        assert ask(others, GET, other)[0] is StatusCode.INVALID_ARGUMENT
        assert watches[1].is_active()
        watches[1].cancel()


def test_made_while_serving_is_accepted(start_server: StartServer, tokens: Path) -> None:
    """A new worker needs no restart."""
    add_token(tokens, "tv", Role.READER)
    server = start_server()

    shown = Shown(add_token(tokens, "scanner-1", Role.WORKER))

    eventually(lambda: code_of(server, shown) is StatusCode.INVALID_ARGUMENT)


def test_the_first_token_closes_an_open_registry(start_server: StartServer, tokens: Path) -> None:
    """Until then whoever is on this machine may do everything, and is named local."""
    server = start_server()
    assert answers(server.target, Shown()) == expected(Role.OPERATOR)
    assert answers(server.target, Shown("grt_whatever")) == expected(Role.OPERATOR)

    shown = Shown(add_token(tokens, "tv", Role.READER))

    eventually(lambda: code_of(server, Shown()) is StatusCode.UNAUTHENTICATED)
    assert code_of(server, shown) is StatusCode.INVALID_ARGUMENT


@pytest.mark.parametrize("content", ["", '{"format": 1, "tokens": []}', None])
def test_a_token_file_without_tokens_lets_nobody_in(
    start_server: StartServer, tokens: Path, content: str | None
) -> None:
    """Empty, emptied or deleted while serving: closed rather than open."""
    shown = Shown(add_token(tokens, "tv", Role.READER))
    server = start_server()
    assert code_of(server, shown) is StatusCode.INVALID_ARGUMENT

    if content is None:
        tokens.unlink()
    else:
        tokens.write_text(content)

    eventually(lambda: code_of(server, shown) is StatusCode.UNAUTHENTICATED)
    assert code_of(server, Shown()) is StatusCode.UNAUTHENTICATED


def test_a_token_file_that_could_not_be_read_for_a_while_is_read_then(
    start_server: StartServer, tokens: Path
) -> None:
    """A revocation is not lost because the file could not be read when it was new."""
    shown = Shown(add_token(tokens, "tv", Role.READER))
    server = start_server()
    assert code_of(server, shown) is StatusCode.INVALID_ARGUMENT

    tokens.write_bytes(b"{")
    eventually(lambda: any("stay in force" in str(line["message"]) for line in server.lines))
    before = tokens.stat()
    # The same size and times as before, as after a mended owner.
    tokens.write_bytes(b" ")
    os.utime(tokens, ns=(before.st_atime_ns, before.st_mtime_ns))

    eventually(lambda: code_of(server, shown) is StatusCode.UNAUTHENTICATED)


def _file_of(**entry: str) -> str:
    """Return a token file with one entry."""
    return json.dumps({"format": 1, "tokens": [{"shows": "token", "created": "", **entry}]})


WRONG = [
    ("{", "is no token file"),
    ("[]", 'an object with "format" and "tokens"'),
    ('{"format": 2, "tokens": []}', "this version reads format 1"),
    ('{"format": 1, "tokens": {}}', '"tokens" is no list'),
    ('{"format": 1, "tokens": [{"name": "tv"}]}', "token 1 does not have exactly name, role"),
    (
        _file_of(name="t v", role="reader", sha256=""),
        "token 1: 't v' can be no caller's name",
    ),
    (
        _file_of(name="tv", role="boss", sha256=""),
        "token 1: there is no role 'boss'",
    ),
    (
        _file_of(name="tv", role="reader", sha256="0"),
        "token 1: sha256 is not 64 hex digits",
    ),
    (
        _file_of(name="tv", role="reader", sha256="", shows="teeth"),
        "token 1: shows is neither token nor certificate",
    ),
    ("[" * 100_000, "is no token file"),
]


@pytest.mark.parametrize(("content", "complaint"), WRONG)
def test_a_wrong_token_file_is_refused_at_the_start(
    database: Path, tokens: Path, content: str, complaint: str
) -> None:
    """In a sentence that names the file, with an exit code of its own."""
    lay_down(database)
    tokens.write_text(content)
    tokens.chmod(0o600)

    listing = [["token", "list"]] if content == "{" else []
    for command in (["serve", "--listen", "127.0.0.1:0"], *listing):
        refused = run("genre-registry", *command, "--database", str(database))

        assert refused.returncode == 78
        assert str(tokens) in refused.stderr
        assert complaint in refused.stderr
        told = refused.stderr.removeprefix(f"token file: {tokens}\n")
        assert told.count("\n") == 1


def test_a_token_file_that_goes_wrong_leaves_the_last_good_one_in_force(
    start_server: StartServer, tokens: Path
) -> None:
    """A slip of the editor locks nobody out; the log says it, once."""
    shown = Shown(add_token(tokens, "tv", Role.READER))
    server = start_server()

    tokens.write_text("{")
    eventually(lambda: any("stay in force" in str(line["message"]) for line in server.lines))

    assert code_of(server, shown) is StatusCode.INVALID_ARGUMENT
    tokens.unlink()
    add_token(tokens, "radio", Role.READER)
    eventually(lambda: code_of(server, shown) is StatusCode.UNAUTHENTICATED)
    assert sum("stay in force" in str(line["message"]) for line in server.lines) == 1


def test_a_token_file_that_others_may_write_to_is_refused(database: Path, tokens: Path) -> None:
    """Whoever may write to it may make itself an operator."""
    add_token(tokens, "tv", Role.READER)
    tokens.chmod(0o666)

    refused = run("genre-registry", "serve", "--database", str(database))

    assert refused.returncode == 78
    assert f"chmod 600 {tokens}" in refused.stderr


def test_a_named_token_file_has_to_be_there(database: Path, tmp_path: Path) -> None:
    """Whoever names one means that callers need tokens."""
    lay_down(database)

    refused = run(
        *("genre-registry", "serve", "--database", str(database)),
        *("--tokens", str(tmp_path / "none.json")),
    )

    assert refused.returncode == 78
    assert "genre-registry token new" in refused.stderr


def test_tokens_are_made_once_listed_and_revoked(database: Path, tokens: Path) -> None:
    """The token alone is on standard output; the file keeps its hash, for its owner alone."""
    at = ("--database", str(database))
    made = run("genre-registry", "token", "new", "--name", "scanner-1", "--role", "worker", *at)
    again = run("genre-registry", "token", "new", "--name", "scanner-1", "--role", "reader", *at)
    listed = run("genre-registry", "token", "list", *at)
    revoked = run("genre-registry", "token", "revoke", "scanner-1", *at)
    unknown = run("genre-registry", "token", "revoke", "scanner-1", *at)

    for done in (made, again, listed, revoked, unknown):
        assert done.stderr.startswith(f"token file: {tokens}\n")
    token = made.stdout.strip()
    assert re.fullmatch(r"grt_[A-Za-z0-9_-]{43}", token)
    assert "can't be shown again" in made.stderr
    assert "every caller needs a token" in made.stderr
    assert (again.returncode, unknown.returncode) == (2, 2)
    assert listed.stdout.split()[:2] == ["scanner-1", "worker"]
    assert token not in listed.stdout
    assert revoked.returncode == 0
    assert stat.S_IMODE(tokens.stat().st_mode) == 0o600
    assert [path.name for path in tokens.parent.iterdir()] == ["tokens.json"]


@pytest.mark.parametrize("name", ["", "a b", "ä", "-x", "x" * 65, "local", "a\nb"])
def test_a_name_that_can_be_no_callers_is_refused(tokens: Path, name: str) -> None:
    """The journal and the command line hold it as it is."""
    with pytest.raises(ValueError, match=r"name"):
        add_token(tokens, name, Role.READER)

    assert not tokens.exists()


def test_tokens_made_at_once_are_all_there(tokens: Path) -> None:
    """Each change is made alone, on what the one before it left."""
    made: list[str] = []
    threads = [
        threading.Thread(target=lambda n=n: made.append(add_token(tokens, f"w{n}", Role.WORKER)))
        for n in range(20)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert len(set(made)) == 20
    assert all(hash_of(token) in tokens.read_text() for token in made)


def test_only_a_private_network_may_call_in_the_clear(
    start_server: StartServer, tokens: Path
) -> None:
    """This machine may too; whoever is elsewhere is told why not; tokens are asked of all."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(("192.0.2.1", 9))
        except OSError:
            pytest.skip("this machine has no address but loopback")
        own = probe.getsockname()[0]
    shown = Shown(add_token(tokens, "tv", Role.READER))
    flags = ["--plaintext-network", "172.31.255.0/30"]
    server = start_server("0.0.0.0:0", flags=flags)
    port = server.target.rpartition(":")[2]

    with Shown().channel(f"{own}:{port}") as channel:
        code, said = ask(channel, GET, shown)
    with Shown().channel(f"127.0.0.1:{port}") as channel:
        here, without = (ask(channel, GET, each)[0] for each in (shown, Shown()))

    assert code is StatusCode.UNAUTHENTICATED
    assert f"not taken from {own}" in said
    assert (here, without) == (StatusCode.INVALID_ARGUMENT, StatusCode.UNAUTHENTICATED)
    assert [line["level"] for line in server.lines if "without TLS" in str(line["message"])] == [
        "warning"
    ]


@pytest.mark.parametrize(
    ("peer", "is_in"),
    [
        ("ipv4:172.18.3.4:5000", True),
        ("ipv6:[::ffff:172.18.3.4]:5000", True),
        ("ipv6:%5Bfd00::7%5D:5000", True),
        ("ipv4:127.0.0.1:5000", True),
        ("ipv6:[::1]:5000", True),
        ("unix:", True),
        ("ipv4:172.19.0.1:5000", False),
        ("ipv6:[fd01::1]:5000", False),
        ("ipv6:[fe80::1%25eth0]:5000", False),
        ("whatever", False),
    ],
)
def test_a_peer_is_known_by_its_network(peer: str, is_in: bool) -> None:
    """In each form in which gRPC writes addresses."""
    assert _is_in(peer, [ip_network("172.18.0.0/16"), ip_network("fd00::/64")]) is is_in


@pytest.mark.parametrize(
    ("flags", "reason"),
    [
        ([], "Without TLS and tokens that is refused"),
        (["--plaintext-network", "172.18.0.0/16"], "there is no token yet"),
        (["--tls-certificate", "server.pem", "--tls-key", "server.key"], "there is no token yet"),
    ],
)
def test_a_network_is_not_served_unprotected(database: Path, flags: list[str], reason: str) -> None:
    """Both TLS and tokens, or neither beyond loopback."""
    lay_down(database)

    refused = run(
        *("genre-registry", "serve", "--listen", "0.0.0.0:0", "--database", str(database), *flags)
    )

    assert refused.returncode == 78
    assert reason in refused.stderr
    assert refused.stderr.count("\n") == 1


def test_the_sockets_mode_is_a_setting(start_server: StartServer, tmp_path: Path) -> None:
    """Who may open it is the operator's word, whatever the umask."""
    path = tmp_path / "registry.sock"
    before = os.umask(0o077)
    try:
        start_server(f"unix:{path}", flags=["--socket-mode", "0666"])
    finally:
        os.umask(before)

    assert stat.S_IMODE(path.stat().st_mode) == 0o666


def test_an_rpc_without_a_role_stops_the_start() -> None:
    """It is refused when it is made rather than open to everyone."""
    with pytest.raises(KeyError):
        lowest_role("genre_registry.v1.GenreRegistry/Forgotten")


def test_a_role_has_its_article() -> None:
    """As people say it: a worker, an operator."""
    caller = Caller("box", Role.OPERATOR)

    assert "box is an operator; this call needs a worker." in str(RoleTooLow(caller, Role.WORKER))
    caller = Caller("tv", Role.READER)
    assert "tv is a reader; this call needs an operator." in str(RoleTooLow(caller, Role.OPERATOR))
