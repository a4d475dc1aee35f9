"""Koppel: web."""
