"""Koppel: store."""
