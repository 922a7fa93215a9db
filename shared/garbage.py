"""How often does a busy process look for reference cycles?"""

import gc

GENERATION_0 = 50_000
"""Objects between two looks at the young ones; CPython's own 700 is passed several times in every batch."""


def collect_rarely() -> None:
    """Spare the hot path Python's cycle collector; call once, when everything long-lived has been made.

    Every webhook makes many small objects and hardly ever a cycle: reference counts free them. With CPython's defaults
    the search for cycles took half of a worker's CPU, most of it walking live events.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(GENERATION_0, 20, 50)
