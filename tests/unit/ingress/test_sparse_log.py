"""How much senders may write into the log."""

from structlog.testing import capture_logs

from ingress.webhooks.sparse_log import SparseLog


def test_a_second_has_room_for_so_many_lines_and_the_next_tells_what_is_missing() -> None:
    lines = SparseLog(per_second=2)
    with capture_logs() as written:
        for _ in range(5):
            lines.tell("webhook.refused", now=100.2, status=401)
        lines.tell("webhook.refused", now=101.0, status=404)
        lines.tell("webhook.refused", now=101.5, status=404)
    assert [(line["status"], line.get("untold_before")) for line in written] == [
        (401, None),
        (401, None),
        (404, 3),
        (404, None),
    ]
