"""Documents: sync rules, mappings and overlays, each with all its versions."""

from __future__ import annotations

from django.db import transaction

from koppel.store import bulk
from koppel.store.models import Document
from koppel.store.opening import Clock


class DocumentStore:
    """Reads and writes documents; a version is never changed."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock

    def put(self, kind: str, name: str, content: str, *, author: str = "") -> int:
        """Add a version unless the newest one is the same; its number."""
        with transaction.atomic():
            newest = self._newest(kind, name)
            if newest is not None and newest.content == content:
                return newest.version
            version = newest.version + 1 if newest else 1
            Document.objects.create(
                kind=kind,
                name=name,
                version=version,
                content=content,
                author=author,
                created_at=self._clock(),
            )
            return version

    def get(self, kind: str, name: str, version: int | None = None) -> str | None:
        """The content of a version (default: the newest), None where there is none."""
        if version is None:
            newest = self._newest(kind, name)
            return newest.content if newest else None
        row = Document.objects.filter(kind=kind, name=name, version=version).first()
        return row.content if row else None

    def newest(self) -> int:
        """A number that grows with each new version of any document."""
        return int(bulk.ask("SELECT MAX(id) FROM store_document")[0][0] or 0)

    def names(self, kind: str) -> list[str]:
        """The names of all documents of a kind, in the order in which they were first made."""
        rows = Document.objects.filter(kind=kind, version=1).order_by("id")
        return list(rows.values_list("name", flat=True))

    def versions(self, kind: str, name: str) -> list[Document]:
        """All versions, newest first."""
        return list(Document.objects.filter(kind=kind, name=name).order_by("-version"))

    @staticmethod
    def _newest(kind: str, name: str) -> Document | None:
        return Document.objects.filter(kind=kind, name=name).order_by("-version").first()
