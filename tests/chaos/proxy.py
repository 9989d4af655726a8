"""A TCP proxy before the broker, whose connections can be cut or go deaf."""

from __future__ import annotations

import asyncio
import contextlib
import threading

from tests.ports import free_port


class _Line:
    """One client's connection and the one that was made for it."""

    def __init__(self, *writers: asyncio.StreamWriter) -> None:
        self.writers, self.deaf = writers, False

    def cut(self) -> None:
        for writer in self.writers:
            writer.transport.abort()


class Proxy:
    """Forwards 127.0.0.1:``port`` to ``target``, in a thread of its own."""

    def __init__(self, target: int) -> None:
        self.port, self._target = free_port(), target
        self._refusing = False
        self._lines: set[_Line] = set()
        self._loop = asyncio.new_event_loop()
        self._up = threading.Event()
        self._thread = threading.Thread(target=self._run, name="proxy", daemon=True)

    def start(self) -> None:
        self._thread.start()
        self._up.wait(10)

    def stop(self) -> None:
        if self._thread.is_alive():
            self._loop.call_soon_threadsafe(self._loop.stop)
            self._thread.join(5)

    def cut(self) -> int:
        """Reset every connection and refuse new ones, until :meth:`mend`. Returns how many."""
        self._refusing = True
        lines = list(self._lines)
        for line in lines:
            self._loop.call_soon_threadsafe(line.cut)
        return len(lines)

    def mend(self) -> None:
        self._refusing = False

    def deafen(self) -> int:
        """Nothing passes through the present connections any more, and nobody notices; new ones
        work: what a router does that forgets its table. Returns how many.
        """
        lines = list(self._lines)
        for line in lines:
            line.deaf = True
        return len(lines)

    def _run(self) -> None:
        asyncio.set_event_loop(self._loop)
        serving = asyncio.start_server(self._serve, "127.0.0.1", self.port)
        server = self._loop.run_until_complete(serving)
        self._up.set()
        self._loop.run_forever()
        server.close()
        self._loop.run_until_complete(self._leave())
        self._loop.close()

    async def _leave(self) -> None:
        for line in list(self._lines):
            line.cut()
        tasks = asyncio.all_tasks() - {asyncio.current_task()}
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if self._refusing:
            writer.transport.abort()
            return
        try:
            upstream = await asyncio.open_connection("127.0.0.1", self._target)
        except OSError:
            writer.transport.abort()
            return
        line = _Line(writer, upstream[1])
        self._lines.add(line)
        try:
            await asyncio.gather(
                self._pump(line, reader, upstream[1]), self._pump(line, upstream[0], writer)
            )
        except asyncio.CancelledError:
            line.cut()  # the proxy is stopped
        finally:
            self._lines.discard(line)

    async def _pump(
        self, line: _Line, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        with contextlib.suppress(OSError):
            while data := await reader.read(65536):
                if not line.deaf:
                    writer.write(data)
                    await writer.drain()
        if line.deaf:  # whoever still listens hears nothing of the end either
            await asyncio.Event().wait()
        line.cut()
