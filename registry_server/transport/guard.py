"""Who may call: asked of every call but health's, before anything of it is read."""

import asyncio
import hmac
import logging
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from contextvars import ContextVar
from ipaddress import IPv4Network, IPv6Address, IPv6Network, ip_address
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, cast
from urllib.parse import unquote

import grpc

from registry_server.tokens import TOKEN, TokensUnusable, hash_of, read_tokens
from registry_server.transport.permissions import lowest_role
from registry_server.vocabulary.callers import LOCAL, NOBODY, Caller, Role
from registry_server.vocabulary.refusals import (
    NotAuthenticated,
    PlaintextRefused,
    RoleTooLow,
    TokenInvalid,
)

if TYPE_CHECKING:
    # A start without mutual TLS does without OpenSSL.
    from registry_server.transport.certified import CertifiedCallers

CHANGE_SEEN_S = 0.5
"""How soon a changed token file is in force, at the latest."""
PEERS_MAX = 1000
"""Most connections whose network is remembered."""

log = logging.getLogger(__name__)

Context = grpc.aio.ServicerContext[Any, Any]
Metadata = Sequence[tuple[str, str | bytes]]
Network = IPv4Network | IPv6Network

calling: ContextVar[Caller] = ContextVar("calling", default=NOBODY)
"""Who makes the call that this task answers."""


class Admitting(Protocol):
    """Whoever says who may call."""

    def may_send(self, metadata: Metadata) -> bool:
        """
        Whether a call that begins with *metadata* may be admitted, and what it sends is worth
        being read; asked before `admit`, which decides.
        """

    def admit(self, rpc: str, context: Context) -> Caller:
        """
        Return who makes the call of *rpc* ("package.Service/Method"), who may make it, and
        have `calling` say so.

        Raises:
            NotAuthenticated: it is not known who calls.
            RoleTooLow: it is known, and the role is too low.
        """

    def staying(self, rpc: str, context: Context) -> AbstractContextManager[Caller]:
        """As `admit`, for a stream: it ends, refused, once its caller may no longer make it."""


class _Anybody:
    """Lets everybody call, and names nobody."""

    def may_send(self, _metadata: Metadata) -> bool:
        return True

    def admit(self, _rpc: str, _context: Context) -> Caller:
        return NOBODY

    def staying(self, _rpc: str, _context: Context) -> AbstractContextManager[Caller]:
        return nullcontext(NOBODY)


ANYBODY = _Anybody()


class Guard:
    """
    Knows callers by their tokens and certificates, and what each may do by its role.

    Args:
        tokens: The token file, which need not be there.
        certified: Those whom a certificate names; None without mutual TLS.
        networks: Where calls without TLS may come from; None if it does not matter.
        local_may: Whether callers hold every role, under the name `LOCAL`, for as long as
            there has been no token file.
    """

    def __init__(
        self,
        tokens: Path,
        *,
        certified: "CertifiedCallers | None",
        networks: Sequence[Network] | None,
        local_may: bool,
    ) -> None:
        self._path = tokens
        self._certified = certified
        self._networks = networks
        self._is_open = local_may
        self._callers: dict[str, tuple[str, Caller]] = {}
        self._count = 0
        self._complaint = ""
        self._right: dict[str, Caller] = {}
        self._lowest: dict[str, Role] = {}
        self._peers: dict[str, bool] = {}
        self._streams: dict[asyncio.Task[Any], tuple[str, Context]] = {}
        self._ended: dict[asyncio.Task[Any], NotAuthenticated | RoleTooLow] = {}
        self._read_as: tuple[int, ...] | None = None

    @property
    def has_tokens(self) -> bool:
        """Whether there is a token file, be it an empty one."""
        return self._read_as is not None

    def may_send(self, metadata: Metadata) -> bool:
        if self._is_open or self._certified is not None:
            return True
        for key, value in metadata:
            if key == "authorization":
                try:
                    self._holder(cast(str, value))
                except TokenInvalid:
                    return False
                return True
        return False

    def admit(self, rpc: str, context: Context) -> Caller:
        if self._is_open:
            calling.set(LOCAL)
            return LOCAL
        caller = self._caller(context)
        calling.set(caller)
        lowest = self._lowest.get(rpc) or self._lowest.setdefault(rpc, lowest_role(rpc))
        if caller.role < lowest:
            raise RoleTooLow(caller, lowest)
        return caller

    def _caller(self, context: Context) -> Caller:
        if self._networks is not None:
            self._refuse_elsewhere(context.peer())
        for key, value in context.invocation_metadata() or ():
            if key == "authorization":
                return self._holder(cast(str, value))
        if self._certified is not None:
            return self._certified.caller(context.auth_context())
        raise TokenInvalid.missing()

    def _holder(self, authorization: str) -> Caller:
        """
        Return who holds the token; what is compared is its hash, in constant time.

        A header that was right before is looked up as it is, for 2 µs less: a dictionary
        compares texts only where their hashes agree, which are keyed anew in every process,
        so that how long it takes tells nothing of how near a guess was.
        """
        known = self._right.get(authorization)
        if known is not None:
            return known
        scheme, _, token = authorization.partition(" ")
        if scheme.lower() != "bearer":
            raise TokenInvalid.missing()
        given = hash_of(token)
        found = self._callers.get(given)
        if found is None or not hmac.compare_digest(found[0], given):
            raise TokenInvalid.unknown()
        self._right[authorization] = found[1]
        return found[1]

    def _refuse_elsewhere(self, peer: str) -> None:
        may = self._peers.get(peer)
        if may is None:
            if len(self._peers) >= PEERS_MAX:
                self._peers.clear()
            may = self._peers[peer] = _is_in(peer, self._networks or ())
        if not may:
            raise PlaintextRefused(_host_of(peer))

    @contextmanager
    def staying(self, rpc: str, context: Context) -> Iterator[Caller]:
        caller = self.admit(rpc, context)
        task = asyncio.current_task()
        assert task is not None
        self._streams[task] = rpc, context
        try:
            yield caller
        except asyncio.CancelledError:
            refusal = self._ended.pop(task, None)
            if refusal is None:
                raise
            task.uncancel()
            raise refusal from None
        finally:
            del self._streams[task]
            self._ended.pop(task, None)

    def read(self) -> None:
        """
        Read the token file, if it is another than was read last.

        Raises:
            TokensUnusable: it can't be used; what was read last stays in force.
        """
        found = self._stamp()
        if found == self._read_as:
            return
        try:
            entries = read_tokens(self._path) if found else []
        except FileNotFoundError:
            found, entries = None, []
        # Only now: what can't be read is tried again, be it as it was or not.
        self._read_as = found
        if not found:
            log.error("the token file is gone: nobody may call by a token", extra=self._extra())
        # From the first token file on, nobody is taken for local any more.
        self._is_open = False
        self._right.clear()
        self._count = len(entries)
        self._callers = {
            entry.sha256: (entry.sha256, entry.caller) for entry in entries if entry.shows == TOKEN
        }
        if self._certified is not None:
            self._certified.list(entries)
        self._end_streams()

    def _stamp(self) -> tuple[int, ...] | None:
        """Return what tells one state of the file from another; None where there is no file."""
        try:
            found = self._path.stat()
        except (FileNotFoundError, NotADirectoryError):
            return None
        except OSError as error:
            return (error.errno or 0,)
        return found.st_mtime_ns, found.st_ino, found.st_size, found.st_mode

    def _end_streams(self) -> None:
        for task, (rpc, context) in list(self._streams.items()):
            try:
                self.admit(rpc, context)
            except (NotAuthenticated, RoleTooLow) as refusal:
                self._ended[task] = refusal
                task.cancel()

    def _extra(self) -> dict[str, str]:
        return {"tokens": str(self._path)}

    async def follow(self) -> None:
        """
        Keep to the token file and the authority of callers until cancelled; what is wrong with
        the file is said once.
        """
        async with asyncio.TaskGroup() as following:
            following.create_task(self._keep_looking(self._look_at_tokens))
            if self._certified is not None:
                # Beside the other: openssl is asked, which takes its time.
                following.create_task(self._keep_looking(self._look_at_certificates))

    async def _keep_looking(self, look: Callable[[], Awaitable[None]]) -> None:
        while True:
            await asyncio.sleep(CHANGE_SEEN_S)
            try:
                await look()
            except Exception:
                # Whatever it was must not end the looking: nobody could be revoked any more.
                log.exception("could not see whether those who may call have changed")

    async def _look_at_certificates(self) -> None:
        if self._certified is not None and await self._certified.look_again():
            self._end_streams()

    async def _look_at_tokens(self) -> None:
        before = self._read_as
        try:
            self.read()
        except TokensUnusable as error:
            if str(error) != self._complaint:
                log.error("the tokens read before stay in force: %s", error)
            self._complaint = str(error)
            return
        self._complaint = ""
        if self._read_as != before:
            log.info("tokens read anew", extra={**self._extra(), "callers": self._count})


def _host_of(peer: str) -> str:
    """Return the address in a gRPC *peer*, as in "ipv4:172.17.0.2:50312"."""
    host = unquote(peer.partition(":")[2].rpartition(":")[0])
    return host.removeprefix("[").removesuffix("]").partition("%")[0]


def _is_in(peer: str, networks: Sequence[Network]) -> bool:
    """Whether *peer* is on this machine or in one of *networks*."""
    if peer.startswith("unix:"):
        return True
    try:
        address = ip_address(_host_of(peer))
    except ValueError:
        return False
    if isinstance(address, IPv6Address) and address.ipv4_mapped:
        address = address.ipv4_mapped
    return address.is_loopback or any(address in network for network in networks)
