"""The store: connections, documents, couplings, bases, cursors, journal, inbox and replica.

`open_store` is the way in. The store is the only place that knows Django's ORM; the engine sees
`Store` and plain values. Importing it makes Django ready, which is why nothing below imports it.
"""

from koppel.store.opening import Store, open_store, setup_django

setup_django()

__all__ = ["Store", "open_store"]
