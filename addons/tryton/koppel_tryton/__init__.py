"""Tryton module `koppel`: record keys given by Koppel, and one version per whole record."""
