"""Koppel: insight."""
