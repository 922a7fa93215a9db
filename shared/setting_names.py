"""Finds variables that begin like settings of Kessai and are none: most are misspelt, and would be ignored silently."""

import re
from collections.abc import Collection, Iterable
from difflib import get_close_matches
from typing import Final

PREFIX: Final = "KESSAI_"
OTHERS: Final = frozenset({"KESSAI_LOCAL_DIR", "KESSAI_SECRETS_DIR"})
"""Names that `kessai local` and compose.yaml read."""
KUBERNETES: Final = re.compile(r"_SERVICE_(HOST|PORT)(_\w+)?$|_PORT(_\d+_(TCP|UDP|SCTP)(_\w+)?)?$")
"""Kubernetes sets such names for each service, also for one that is called kessai-something."""


def unknown_settings(names: Iterable[str], known: Collection[str]) -> tuple[str, ...]:
    """One sentence for each unknown name, with the nearest known name if there is a near one."""
    taken = {*known, *OTHERS}
    unknown = sorted(
        name for name in names if name.startswith(PREFIX) and name not in taken and not KUBERNETES.search(name)
    )
    return tuple(_sentence(name, _nearest(name, taken)) for name in unknown)


def _nearest(name: str, known: Iterable[str]) -> str | None:
    """Compared without the prefix, which makes any two names similar."""
    endings = sorted(each.removeprefix(PREFIX) for each in known if each.startswith(PREFIX))
    near = get_close_matches(name.removeprefix(PREFIX), endings, n=1)
    return PREFIX + near[0] if near else None


def _sentence(name: str, near: str | None) -> str:
    hint = f"the nearest name is {near}" if near else "no setting has a similar name"
    return f"{name} is not a setting of Kessai and is ignored: {hint}"
