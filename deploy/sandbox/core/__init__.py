"""The platform itself, in memory: no I/O, no clock and no dice but those it is given."""
