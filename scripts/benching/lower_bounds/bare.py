"""A bare aiohttp handler: reads the body, answers the same bytes every time. What HTTP itself costs here.

In: an answer in a file (JSON: status, headers, body as text). Out: that answer, to every request.
Must stay true: nothing in the handler but reading and answering; same event loop as the gateway's.
"""

import asyncio
import json
from pathlib import Path

import click
import uvloop
from aiohttp import web

BACKLOG = 4096
"""As many connections as the kernel allows may wait to be accepted: a load begins with all of them at once."""


def bare_app(status: int, headers: dict[str, str], body: bytes) -> web.Application:
    """An application with one answer."""

    async def answer(request: web.Request) -> web.Response:
        await request.read()
        return web.Response(status=status, headers=headers, body=body)

    app = web.Application()
    app.router.add_route("*", "/{path:.*}", answer)
    return app


async def serve(port: int, app: web.Application) -> None:
    """Serve on the loopback address until the process is ended."""
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", port, reuse_port=True, backlog=BACKLOG).start()
        await asyncio.Event().wait()
    finally:
        await runner.cleanup()


@click.command()
@click.option("--port", type=int, required=True)
@click.option("--answer", type=click.Path(exists=True, path_type=Path), required=True)
def main(port: int, answer: Path) -> None:
    """Run one process."""
    said = json.loads(answer.read_text())
    app = bare_app(said["status"], said["headers"], said["body"].encode())
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(serve(port, app))


if __name__ == "__main__":
    main()
