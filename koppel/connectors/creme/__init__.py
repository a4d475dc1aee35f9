"""The connector to Creme CRM, through the add-on `koppel_creme` inside it."""

from koppel.connectors.creme.connector import CremeConnector

__all__ = ["CremeConnector"]
