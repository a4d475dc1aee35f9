"""Koppel: testing."""
