"""The WHERE clause of a search: its texts are constants of ours, every value is a parameter."""


class Conditions:
    """Collects what must hold; `{}` in a text stands for the next of its values."""

    def __init__(self) -> None:
        self._texts: list[str] = []
        self.values: list[object] = []
        """What $1, $2, ... of the texts stand for."""

    def add(self, text: str, *values: object) -> None:
        self._texts.append(text.format(*(self.parameter(value) for value in values)))

    def add_if_given(self, text: str, value: object | None) -> None:
        """None asks for nothing."""
        if value is not None:
            self.add(text, value)

    def parameter(self, value: object) -> str:
        """How SQL names this value."""
        self.values.append(value)
        return f"${len(self.values)}"

    def __str__(self) -> str:
        return " AND ".join(self._texts) or "true"


def endpoints_in(table: str) -> str:
    """SQL of an array of the endpoints in a table whose key begins with the endpoint.

    An id alone is looked up at each endpoint in turn, however many rows there are: one look at the index for each.
    """
    return f"""
    ARRAY(
        WITH RECURSIVE doors AS (
            (SELECT endpoint FROM {table} ORDER BY endpoint LIMIT 1)
            UNION ALL
            SELECT (SELECT endpoint FROM {table} WHERE endpoint > doors.endpoint ORDER BY endpoint LIMIT 1)
            FROM doors
            WHERE endpoint IS NOT NULL
        )
        SELECT endpoint FROM doors WHERE endpoint IS NOT NULL
    )
    """
