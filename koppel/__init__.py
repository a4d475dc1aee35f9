"""Koppel: the self-hosted, two-way coupling of a company's CRM and ERP."""

__version__ = "0.1.0"
