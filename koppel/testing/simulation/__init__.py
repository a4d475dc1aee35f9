"""A coupling's life, simulated: one seed is one run, and the same seed is the same run for ever.

Two memory systems with people at work in both, clocks that differ, hints that get lost, faults and
kills at any boundary, a store that fails, a second worker, days of outage, backups put back: drawn
from one seed, played against the real engine and the real order processes, and then, at rest,
checked (`checks`). A life that fails is made short and kept as a scenario.
"""

IN_EVERY_RUN = 2_000
"""Lives that each run of the tests plays, from the first seed on."""
