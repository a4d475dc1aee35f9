"""The server of one Tryton: its WSGI application on loopback, with threads and keep-alive.

Run inside Tryton's environment: `python -m lab.tryton_inside.serve --port 8000 --folder F
--database koppel`; Tryton itself reads TRYTOND_CONFIG. The folder is there for people and for
`stop`, who look at the command line. Tryton's own server closes the connection after each reply.
"""

from __future__ import annotations

import argparse
import logging
import os

import waitress

THREADS = 8


def main() -> None:
    parser = argparse.ArgumentParser(description="Serve one Tryton on loopback.")
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--folder", required=True)
    parser.add_argument("--database", required=True)
    options = parser.parse_args()
    # Tryton reads this when its application is imported, and loads the database before serving.
    os.environ["TRYTOND_DATABASE_NAMES"] = options.database
    from trytond.application import app

    logging.getLogger("waitress.queue").setLevel(logging.ERROR)
    waitress.serve(
        app,
        host="127.0.0.1",
        port=options.port,
        threads=THREADS,
        channel_timeout=300,
        connection_limit=200,
        ident=None,
    )


if __name__ == "__main__":
    main()
