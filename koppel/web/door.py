"""Where Koppel is reached: one process that answers everything, or several that share the pages."""

from __future__ import annotations

import shutil
import socket
import tempfile
from pathlib import Path
from typing import Any

from koppel.web import serving
from koppel.web.page_process import PageProcesses, possible, usual


class Door:
    """Takes the port at once and answers from `open` on; calls that come before wait.

    `processes` answer pages: 1 is this one alone, 0 as many as are usual here. Once there are more,
    this one answers what only it can, and to the others alone. Raises `NeedsUser` where the port is
    taken.
    """

    def __init__(self, home: Path, host: str, port: int, processes: int = 0) -> None:
        self._home = home
        self._host = host
        self.address = f"http://{host}:{port}"
        self.processes = (processes or usual()) if possible() else 1
        self._sockets = serving.listen(host, port)
        self._outer: list[Any] = []
        self._inner: Any = None
        self._folder: str | None = None
        self._others: PageProcesses | None = None

    def open(self) -> None:
        """Answer, in threads and processes of its own.

        All pages are loaded here. Threads that load modules beside it may meet half of one: whoever
        has some begins them afterwards.
        """
        serving.prepare(self._home, self._host)
        pages, proxy = serving.application(), serving.trusted_proxy()
        self._outer = [serving.server(pages, one.dup(), proxy=proxy) for one in self._sockets]
        for one in self._outer:
            serving.run(one)
        if self.processes == 1:
            return
        private = self._private()
        # Its callers are Koppel's own: they say whom they speak for.
        self._inner = serving.server(pages, private, proxy="localhost")
        serving.run(self._inner)
        engine = private.getsockname()
        self._others = PageProcesses(
            self._home, self._host, self._sockets, engine, self.processes, self._leave_it_to_them
        )
        self._others.begin()

    def pids(self) -> list[int]:
        """The numbers of the other processes."""
        return self._others.pids() if self._others is not None else []

    def _leave_it_to_them(self) -> None:
        """Take no new callers; those that this process has, it keeps."""
        for one in self._outer:
            one.accepting = False

    def _private(self) -> socket.socket:
        """A socket in a folder that nobody else can look into."""
        self._folder = tempfile.mkdtemp(prefix="koppel-")
        made = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        made.bind(str(Path(self._folder) / "engine"))
        made.listen(serving.BACKLOG)
        return made

    def close(self) -> None:
        """Take no more calls."""
        if self._others is not None:
            self._others.stop()
        for server in (*self._outer, *([self._inner] if self._inner is not None else [])):
            server.close()
        for one in self._sockets:
            one.close()
        if self._folder is not None:
            shutil.rmtree(self._folder, ignore_errors=True)
