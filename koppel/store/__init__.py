"""The store: connections, documents, couplings, bases, cursors, journal, inbox and replica.

`open_store` is the way in. The store is the only place that knows Django's ORM; the engine sees
`Store` and plain values.
"""

from koppel.store.opening import Store, open_store

__all__ = ["Store", "open_store"]
