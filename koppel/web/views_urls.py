"""The addresses of customers, documents, figures and target groups."""

from __future__ import annotations

from django.urls import URLPattern, path

from koppel.web import customers, insight, targets, trade

PATHS: list[URLPattern] = [
    path("customers", trade.customers, name="customers"),
    path("customers/<int:number>", customers.customer, name="customer"),
    path("customers/<int:number>/refresh", customers.refresh, name="customer_refresh"),
    path("products", trade.products, name="products"),
    path("products/<int:number>", trade.product, name="product"),
    path("orders", trade.orders, name="orders"),
    path("orders/<int:number>", trade.sale, name="sale"),
    path("invoices", trade.invoices, name="invoices"),
    path("invoices/<int:number>", trade.invoice, name="invoice"),
    path("insight", insight.insight, name="insight"),
    path("lists/<str:page>/filters", trade.keep_filter, name="keep_filter"),
    path("lists/<str:page>/export", trade.export, name="export"),
    path("targets", targets.targets, name="targets"),
    path("targets/<int:number>", targets.target, name="target"),
    path("targets/<int:number>/write", targets.write_target, name="write_target"),
]
