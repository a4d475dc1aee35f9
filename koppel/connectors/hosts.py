"""Where connectors may go: to the host that a person entered, and not by its name to elsewhere.

Whoever rules a name server could point a public name at a machine of the company's own network, or
at the address under which clouds hand out credentials. So a name may lead into private ranges only
where somebody said so: by an address in figures (or `localhost`) in the connection's settings, by a
name without a dot or under `.internal`, `.local`, `.lan` or `.home.arpa`, or by naming the host in
`KOPPEL_PRIVATE_HOSTS`. Link-local, multicast and unspecified addresses are refused in any case.
"""

from __future__ import annotations

import ipaddress
import os
import socket
import time
from collections.abc import Callable, Sequence
from typing import Any

from koppel.errors import NeedsUser

ENVIRONMENT = "KOPPEL_PRIVATE_HOSTS"
_LOCAL = (".internal", ".local", ".lan", ".home.arpa")
_KEPT = 60.0
"""Seconds for which an answer of the name server is good enough."""

Resolve = Callable[..., Sequence[Any]]


class HostCheck:
    """Checks the host of one connection, again once a minute.

    `named_only`: a private address is wanted only where the host is named in
    `KOPPEL_PRIVATE_HOSTS`, however its name or address looks.
    """

    def __init__(
        self,
        host: str,
        name: str = "",
        *,
        resolve: Resolve | None = None,
        named_only: bool = False,
    ) -> None:
        self._host = host.strip("[]").lower().rstrip(".")
        self._name = name
        self._resolve = resolve or socket.getaddrinfo
        self._checked = -_KEPT
        self._private = is_named(self._host) if named_only else _may_be_private(self._host)

    def check(self) -> None:
        """Raises `NeedsUser` where the host leads to where nobody wanted to go.

        A name that cannot be resolved here is left to the call: a proxy may know it.
        """
        if time.monotonic() - self._checked < _KEPT:
            return
        try:
            found = self._resolve(self._host, None, type=socket.SOCK_STREAM)
        except OSError:
            self._checked = time.monotonic()
            return
        for *_, address in found:
            self._check(ipaddress.ip_address(str(address[0]).partition("%")[0]))
        self._checked = time.monotonic()

    def _check(self, address: ipaddress.IPv4Address | ipaddress.IPv6Address) -> None:
        inner = getattr(address, "ipv4_mapped", None) or address
        if inner.is_link_local or inner.is_multicast or inner.is_unspecified:
            raise NeedsUser(
                f"{self._host} leads to {inner}, which is no address of a system",
                place=self._name,
                remedy="Check the address in the connection's settings, and your name server",
            )
        if not self._private and not inner.is_global:
            raise NeedsUser(
                f"{self._host} leads to {inner}, an address of a private network",
                place=self._name,
                remedy=f"If that is right, name the host in {ENVIRONMENT}",
            )


def is_named(host: str) -> bool:
    """Did somebody name this host in `KOPPEL_PRIVATE_HOSTS`?"""
    return host.strip("[]").lower().rstrip(".") in os.environ.get(ENVIRONMENT, "").lower().split()


def _may_be_private(host: str) -> bool:
    if host == "localhost" or "." not in host or host.endswith(_LOCAL):
        return True
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return is_named(host)
    return True
