"""Connectors: each speaks one system's native records and knows nothing of the canonical model."""
