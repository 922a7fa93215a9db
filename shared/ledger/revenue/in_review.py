"""Which payments does the platform tell of that wait at the desk, and that no order has taken? SQL."""


def told_in_review(which: str) -> str:
    """One row a payment, whichever of its reviews `which` is true of: `told` says what, `at` when.

    A conflict is about a payment that another event or order has already.
    """
    payment = "endpoint, coalesce(requirement_id, 'review:' || review_id)"
    return f"""
    SELECT DISTINCT ON ({payment}) review_id, state, told, at
    FROM (
        SELECT reviews.*, told, at,
               coalesce(nullif(btrim(told ->> 'requirement_id'), ''),
                        nullif(btrim(told ->> 'direct_payment_requirement_id'), '')) AS requirement_id
        FROM kessai.reviews
        CROSS JOIN LATERAL coalesce(evidence -> 'event', evidence -> 'session') AS told
        CROSS JOIN LATERAL coalesce((told ->> 'occurred_at')::timestamptz, received_at, about_at) AS at
        WHERE reason NOT IN ('event_id_conflict', 'requirement_conflict')
    ) AS waiting
    WHERE {which}
      AND NOT EXISTS (SELECT
                      FROM kessai.audit AS moved
                      WHERE moved.endpoint = waiting.endpoint AND moved.requirement_id = waiting.requirement_id)
    ORDER BY {payment}, state = 'open' DESC, review_id
    """
