"""A network that is not to be trusted: a proxy that delays, stalls, swallows, and cuts."""

import asyncio
import random
import socket
import struct
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass

KINDS = {
    "clear": 2,
    "latency": 3,
    "stalls": 2,
    "reset while asking": 3,
    "reset while answering": 4,
    "half open": 2,
}
"""How a connection may fare, and how often."""
SWALLOWED_S = (0.3, 2.0)
"""How long a half-open connection swallows everything before even it is reset."""
CHUNK_BYTES = 4096
AT_ONCE = struct.pack("ii", 1, 0)
"""SO_LINGER such that a close is a reset."""


@dataclass
class Fate:
    """
    What will become of one connection.

    Attributes:
        latency_s: How late each piece comes, in one direction.
        stall_s: How much later some pieces come.
        asked_bytes: After as many bytes of requests it ends.
        answered_bytes: After as many bytes of replies; what they answer has been done.
        life_s: When it is reset in any case.
        swallowed_s: How long it then seems to be there still, and swallows everything.
    """

    latency_s: float = 0.0
    stall_s: float = 0.0
    asked_bytes: float = float("inf")
    answered_bytes: float = float("inf")
    life_s: float = 3.0
    swallowed_s: float = 0.0

    @classmethod
    def thrown(cls, kind: str, dice: random.Random) -> "Fate":
        """Return what *dice* make of a connection of *kind*."""
        bytes_until_end = dice.choice((200, 600, 2000, 6000)) * dice.uniform(0.5, 1.5)
        latency_s = dice.choice((0.0, 0.002, 0.01, 0.04))
        life_s = dice.uniform(0.5, 4)
        if kind == "latency":
            return cls(latency_s=dice.uniform(0.005, 0.06), life_s=life_s)
        if kind == "stalls":
            return cls(latency_s, stall_s=dice.uniform(0.1, 0.8), life_s=life_s)
        if kind == "reset while asking":
            return cls(latency_s, asked_bytes=bytes_until_end)
        if kind == "reset while answering":
            return cls(latency_s, answered_bytes=bytes_until_end)
        if kind == "half open":
            swallowed_s = dice.uniform(*SWALLOWED_S)
            return cls(latency_s, answered_bytes=bytes_until_end, swallowed_s=swallowed_s)
        return cls(life_s=life_s)


class Proxy:
    """Connects whoever calls with a registry, each connection by a fate of its own."""

    def __init__(self, target: str, dice: random.Random, counts: Counter[str]) -> None:
        self.target = target
        self._dice = dice
        self._counts = counts
        self._serving: set[asyncio.Task[None]] = set()

    @asynccontextmanager
    async def opened(self) -> AsyncIterator[str]:
        """Give the address to call instead of the registry's."""
        async with await asyncio.start_server(self._connected, "127.0.0.1", 0) as server:
            yield f"127.0.0.1:{server.sockets[0].getsockname()[1]}"
            server.close()
            for task in self._serving:
                task.cancel()
            await asyncio.gather(*self._serving, return_exceptions=True)

    async def _connected(self, caller: asyncio.StreamReader, back: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._serving.add(task)
        kind = self._dice.choices(list(KINDS), list(KINDS.values()))[0]
        self._counts[f"connections: {kind}"] += 1
        fate = Fate.thrown(kind, self._dice)
        try:
            host, _, port = self.target.rpartition(":")
            registry, forth = await asyncio.open_connection(host, int(port))
        except OSError:
            _reset(back)
            self._serving.discard(task)
            return
        ways = [
            asyncio.create_task(self._carry(caller, forth, fate, fate.asked_bytes)),
            asyncio.create_task(self._carry(registry, back, fate, fate.answered_bytes)),
        ]
        try:
            await asyncio.wait(ways, timeout=fate.life_s, return_when=asyncio.FIRST_COMPLETED)
            if fate.swallowed_s:
                for way in ways:
                    way.cancel()
                await self._swallow(caller, registry, fate.swallowed_s)
        except asyncio.CancelledError:
            pass
        finally:
            for way in ways:
                way.cancel()
            with suppress(asyncio.CancelledError):
                await asyncio.gather(*ways, return_exceptions=True)
            _reset(back)
            _reset(forth)
            self._serving.discard(task)

    async def _carry(
        self,
        source: asyncio.StreamReader,
        sink: asyncio.StreamWriter,
        fate: Fate,
        bytes_until_end: float,
    ) -> None:
        """Carry what comes until the connection's end, which may be in the middle of a frame."""
        left = bytes_until_end
        with suppress(OSError):
            while left > 0 and (data := await source.read(CHUNK_BYTES)):
                if delay_s := self._delay_s(fate):
                    await asyncio.sleep(delay_s)
                sink.write(data[: int(min(left, len(data)))])
                left -= len(data)
                await sink.drain()

    def _delay_s(self, fate: Fate) -> float:
        stalls = fate.stall_s and self._dice.random() < 0.05
        return fate.latency_s * self._dice.uniform(0.5, 1.5) + (fate.stall_s if stalls else 0.0)

    async def _swallow(
        self, caller: asyncio.StreamReader, registry: asyncio.StreamReader, length_s: float
    ) -> None:
        async def swallow(source: asyncio.StreamReader) -> None:
            with suppress(OSError):
                while await source.read(CHUNK_BYTES):
                    pass

        with suppress(TimeoutError):
            async with asyncio.timeout(length_s):
                await asyncio.gather(swallow(caller), swallow(registry))


def _reset(writer: asyncio.StreamWriter) -> None:
    """End a connection as a router does that forgot it."""
    end: socket.socket | None = writer.get_extra_info("socket")
    if end is not None:
        with suppress(OSError):
            end.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, AT_ONCE)
    writer.transport.abort()
