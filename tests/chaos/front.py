"""One address for several coordinators, as a load balancer gives."""

import asyncio
import threading
from collections.abc import Sequence
from contextlib import suppress

from tests.ports import free_port

_BLOCK_BYTES = 1 << 16


class Front:
    """Gives each connection to a coordinator that answers, in turn; closes it when that one dies."""

    def __init__(self, ports: Sequence[int]) -> None:
        self._ports = list(ports)
        self._turn = 0
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._run, name="front", daemon=True)
        self._listening = threading.Event()
        self._stopping = asyncio.Event()

    def __enter__(self) -> "Front":
        self._thread.start()
        self._listening.wait(10)
        return self

    def __exit__(self, *_: object) -> None:
        self._loop.call_soon_threadsafe(self._stopping.set)
        self._thread.join(10)

    def _run(self) -> None:
        with asyncio.Runner(loop_factory=lambda: self._loop) as runner:
            runner.run(self._listen())

    async def _listen(self) -> None:
        server = await asyncio.start_server(self._serve, "127.0.0.1", self.port)
        self._listening.set()
        await self._stopping.wait()
        server.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            upstream = await self._connect()
            if upstream is not None:
                there, back = upstream
                # Cancelled when everything ends, which the streams of Python 3.11 would report as an error.
                with suppress(asyncio.CancelledError):
                    await asyncio.gather(_pump(reader, back), _pump(there, writer))
                back.transport.abort()
        finally:
            writer.transport.abort()

    async def _connect(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter] | None:
        self._turn += 1
        for place in range(len(self._ports)):
            port = self._ports[(self._turn + place) % len(self._ports)]
            with suppress(OSError):
                return await asyncio.open_connection("127.0.0.1", port)
        return None


async def _pump(source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
    """Until either side is gone; then the other side hears of it."""
    try:
        while block := await source.read(_BLOCK_BYTES):
            sink.write(block)
            await sink.drain()
    except OSError:
        pass
    finally:
        sink.transport.abort()
