import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

OK_JSON = b"HTTP/1.1 200 OK\r\nx-request-id: req_1\r\ncontent-type: application/json\r\ncontent-length: 2\r\n\r\n{}"
OK_STREAM = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\nconnection: close\r\n\r\n"
UNAVAILABLE = b"HTTP/1.1 503 Service Unavailable\r\ncontent-length: 5\r\n\r\nlater"


@asynccontextmanager
async def answering(answer: Callable[[bytes], bytes]) -> AsyncIterator[str]:
    """Serve one answer a connection, chosen by the request's bytes, and then close; yield the server's origin."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        lengths = [int(line[15:]) for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:")]
        body = await reader.readexactly(sum(lengths))
        writer.write(answer(head + body))
        await writer.drain()
        writer.close()
        await writer.wait_closed()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with server:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
