"""The server of one Tryton: its WSGI application on loopback, with threads and keep-alive.

Run inside Tryton's environment: `python -m lab.tryton_inside.serve --port 8000 --folder F
--database koppel`; Tryton itself reads TRYTOND_CONFIG. The folder is there for people and for
`stop`, who look at the command line. With KOPPEL_LAB_PARENT, a process id, the server ends when
that process is no longer its parent.

Waitress needs the least processor time per call of those tried (Tryton's own server, which closes
the connection after each reply, and cheroot): 14 ms against 16 and 17.
"""

from __future__ import annotations

import argparse
import logging
import os
import signal
import threading
import time
from collections.abc import Callable, Iterable
from typing import Any

import waitress

from lab.clock import set_clock

THREADS = 8
LOOK_SECONDS = 0.5

PAGE = """<!doctype html><html lang="en"><meta charset="utf-8"><title>Tryton</title>
<body style="font-family: sans-serif; max-width: 40em; margin: 3em auto">
<h1>Tryton answers here</h1>
<p>Tryton has no pages in the browser unless its web client is installed beside it. To look inside,
use the Tryton desktop client (tryton.org) of the same series:</p>
<ul><li>host: <code>{host}</code></li><li>database: <code>{database}</code></li></ul></body></html>
"""

Application = Callable[[dict[str, Any], Callable[..., Any]], Iterable[bytes]]


def with_page(application: Application, database: str) -> Application:
    """The application, and a page for people who open its address in a browser."""

    def serve(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        if environ["REQUEST_METHOD"] != "GET" or environ.get("PATH_INFO", "/") != "/":
            return application(environ, start_response)
        host = f"127.0.0.1:{environ['SERVER_PORT']}"
        body = PAGE.format(host=host, database=database).encode()
        start_response("200 OK", [("Content-Type", "text/html; charset=utf-8")])
        return [body]

    return serve


def end_with(parent: int) -> None:
    """End this process as soon as it is no child of `parent` any more."""

    def look() -> None:
        while os.getppid() == parent:
            time.sleep(LOOK_SECONDS)
        os.kill(os.getpid(), signal.SIGTERM)

    threading.Thread(target=look, daemon=True).start()


def main() -> None:
    """Load the database, then serve until told to end."""
    parser = argparse.ArgumentParser(description="Serve one Tryton on loopback.")
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--folder", required=True)
    parser.add_argument("--database", required=True)
    options = parser.parse_args()
    set_clock()
    # Tryton reads this when its application is imported, and loads the database before serving.
    os.environ["TRYTOND_DATABASE_NAMES"] = options.database
    from trytond.application import app

    parent = os.environ.get("KOPPEL_LAB_PARENT")
    if parent:
        end_with(int(parent))
    logging.getLogger("waitress.queue").setLevel(logging.ERROR)
    waitress.serve(
        with_page(app, options.database),
        host="127.0.0.1",
        port=options.port,
        threads=THREADS,
        channel_timeout=300,
        connection_limit=200,
        ident=None,
    )


if __name__ == "__main__":
    main()
