"""Reading what anybody may send: a few messages at a time, and none for long."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import aclosing
from typing import Any

from registry_server.transport.limiting import Context, Method, StreamMethod
from registry_server.vocabulary.refusals import MessageMalformed, Overloaded

READS_MAX = 8
"""Messages that are read at a time: each may be megabytes, of callers whom nobody knows."""
READ_S_MAX = 5.0
"""How long a message may take to come."""
RETRY_AFTER_S = 0.5


class Reading:
    """
    Reads the one message of each call, for methods that anybody may call.

    gRPC holds what has come of a message until it is whole. Whoever means well sends its few
    bytes at once, and has them read at once: when `READS_MAX` messages are awaited, the oldest
    of them gives way. This bounds what one connection makes the server hold, not what hundreds do.
    """

    def __init__(self) -> None:
        self._awaited: dict[asyncio.Task[bytes], None] = {}

    def calls(self, serve: Method) -> StreamMethod:
        """Return *serve*, such that it reads its message here."""

        async def served(asked: AsyncIterator[bytes], context: Context) -> Any:
            yield await serve(await self._read(asked), context)

        return served

    def streams(self, serve: StreamMethod) -> StreamMethod:
        """As `calls`, for a *serve* that streams."""

        async def served(asked: AsyncIterator[bytes], context: Context) -> Any:
            async with aclosing(serve(await self._read(asked), context)) as replies:
                async for reply in replies:
                    yield reply

        return served

    async def _read(self, asked: AsyncIterator[bytes]) -> bytes:
        """
        Return the message.

        Raises:
            Overloaded: it took too long, or gave way to another.
            MessageMalformed: there is none.
        """
        if len(self._awaited) >= READS_MAX:
            oldest = next(iter(self._awaited))
            del self._awaited[oldest]
            oldest.cancel()
        reading = asyncio.create_task(_first(asked))
        self._awaited[reading] = None
        try:
            async with asyncio.timeout(READ_S_MAX):
                return await reading
        except asyncio.CancelledError:
            if reading in self._awaited:
                raise
            raise Overloaded(RETRY_AFTER_S) from None
        except TimeoutError:
            raise Overloaded(RETRY_AFTER_S) from None
        finally:
            self._awaited.pop(reading, None)


async def _first(asked: AsyncIterator[bytes]) -> bytes:
    async for message in asked:
        return message
    raise MessageMalformed("The call ended without a message.", field="request")
