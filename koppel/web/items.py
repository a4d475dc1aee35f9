"""What lines of orders and invoices are about: the product's name and page beside its number."""

from __future__ import annotations

from typing import Any

from django.db.models import OuterRef, QuerySet, Subquery

from koppel.store.seen_models import Article


def named(lines: QuerySet[Any]) -> list[Any]:
    """These lines, each with the id of its `article` (None where it is none that is known).

    A line that has nothing but a number gets the product's name. The products are asked for
    together with the lines.
    """
    article = Article.objects.filter(code=OuterRef("item")).exclude(code="").order_by("id")
    found = list(
        lines.annotate(
            article=Subquery(article.values("id")[:1]),
            article_name=Subquery(article.values("name")[:1]),
        )
    )
    for line in found:
        if line.article_name and line.name in ("", line.item):
            line.name = line.article_name
    return found
