"""Koppel: mapping."""
