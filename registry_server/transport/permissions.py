"""One table: the lowest role that may call each RPC."""

from registry_server.vocabulary.callers import Role

REGISTRY = "genre_registry.v1.GenreRegistry"
CURATION = "genre_registry.v1.GenreCuration"
OPERATIONS = "genre_registry.v1.GenreOperations"
HEALTH = "grpc.health.v1.Health"
REFLECTION = "grpc.reflection.v1alpha.ServerReflection"

LOWEST_ROLE: dict[str, dict[str, Role | None]] = {
    REGISTRY: {
        "GetOrCreate": Role.WORKER,
        "BatchGetOrCreate": Role.WORKER,
        # Also where validate_only writes nothing: who may is told by the RPC's name alone.
        "ResolveTags": Role.WORKER,
        "GetGenre": Role.READER,
        "BatchGetGenres": Role.READER,
        "LookupGenre": Role.READER,
        "ListGenres": Role.READER,
        "SearchGenres": Role.READER,
        "WatchGenres": Role.READER,
        "ExplainSpelling": Role.READER,
    },
    CURATION: {
        "UpdateGenre": Role.CURATOR,
        "AddAlias": Role.CURATOR,
        "RemoveAlias": Role.CURATOR,
        "MergeGenres": Role.CURATOR,
        "UnmergeGenre": Role.CURATOR,
        "DeleteGenre": Role.CURATOR,
        "UndeleteGenre": Role.CURATOR,
        "BlockSpelling": Role.CURATOR,
        "UnblockSpelling": Role.CURATOR,
        "DistinguishSpelling": Role.CURATOR,
        # These change nothing, but name who did what and hold raw tags from people's files:
        # a curator's working lists. More can be allowed later; less would break callers.
        "ListReviews": Role.CURATOR,
        "SettleReview": Role.CURATOR,
        "ListHistory": Role.CURATOR,
    },
    OPERATIONS: {
        "ImportPack": Role.OPERATOR,
        # It reads everything there is, the whole journal included.
        "Export": Role.OPERATOR,
        "Import": Role.OPERATOR,
        "Backup": Role.OPERATOR,
    },
    # Whoever looks after the process, which may hold no token.
    HEALTH: {"Check": None, "Watch": None, "List": None},
    REFLECTION: {"ServerReflectionInfo": Role.READER},
}
"""Each service's RPCs; None where nobody need say who calls."""


def lowest_role(rpc: str) -> Role:
    """
    Return the lowest role that may call *rpc*, as in "genre_registry.v1.GenreRegistry/GetGenre".

    Raises:
        KeyError: the table does not have it: an RPC is given its role when it is made.
    """
    service, _, method = rpc.partition("/")
    role = LOWEST_ROLE[service][method]
    return Role.READER if role is None else role
