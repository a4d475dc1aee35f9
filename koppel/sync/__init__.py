"""The pure heart: pair, merge, decide, undo. No I/O, no clock, no logging, no random."""
