"""Tryton 8 over its own JSON-RPC: parties and their contact persons."""

from koppel.connectors.tryton.connector import TrytonConnector

__all__ = ["TrytonConnector"]
