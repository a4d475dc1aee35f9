"""Koppel: model."""
