"""Who acted? The audit names an actor by where they acted and their name there: `cli:ann`, `user:ann`."""


def is_same_person(actor: str, other: str) -> bool:
    """Whether two actors have the same name: somebody may propose in the console and approve in the terminal."""
    return _name(actor) == _name(other)


def _name(actor: str) -> str:
    return actor.rpartition(":")[2].casefold()
