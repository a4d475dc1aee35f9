"""Koppel: processes."""
