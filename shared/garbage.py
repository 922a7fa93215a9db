"""How often does a busy process collect reference cycles?"""

import gc

GENERATION_0 = 50_000
"""New objects between two collections of the youngest generation; CPython's 700 is reached several times per batch."""


def collect_rarely() -> None:
    """Make Python's cycle collector run rarely; call it once, when everything long-lived exists.

    Every webhook makes many small objects and hardly ever a cycle: reference counts free them. With CPython's defaults
    the collector took half of a worker's CPU, most of it for walking live events.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(GENERATION_0, 20, 50)
