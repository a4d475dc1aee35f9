"""Koppel: engine."""
