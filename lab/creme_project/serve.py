"""The web server of one Creme: one process with threads, kept alive connections, on loopback.

`python -m lab.creme_project.serve --port 8100 --folder <the instance's folder>`; the folder is
there for people and for `stop`, who look at the command line; the settings read the environment.
With KOPPEL_LAB_PARENT, a process id, the server ends when that process is no longer its parent.
"""

import argparse
import logging

from django.core.wsgi import get_wsgi_application
from waitress import serve

from lab.attached import end_with_parent
from lab.clock import set_clock

THREADS = 8


def main() -> None:
    arguments = argparse.ArgumentParser(description="Serve one Creme on loopback.")
    arguments.add_argument("--port", type=int, required=True)
    arguments.add_argument("--folder", required=True)
    options = arguments.parse_args()
    end_with_parent()
    set_clock()
    application = get_wsgi_application()
    logging.getLogger("waitress.queue").setLevel(logging.ERROR)
    serve(
        application,
        host="127.0.0.1",
        port=options.port,
        threads=THREADS,
        channel_timeout=300,
        ident=None,
    )


if __name__ == "__main__":
    main()
