"""How much senders may write into the log."""

from structlog.testing import capture_logs

from ingress.webhooks.rate_limited_log import RateLimitedLog


def test_lines_beyond_the_limit_are_omitted_and_the_next_second_counts_them() -> None:
    lines = RateLimitedLog(per_second=2)
    with capture_logs() as written:
        for _ in range(5):
            lines.write("webhook.refused", now=100.2, status=401)
        lines.write("webhook.refused", now=101.0, status=404)
        lines.write("webhook.refused", now=101.5, status=404)
    assert [(line["status"], line.get("omitted_before")) for line in written] == [
        (401, None),
        (401, None),
        (404, 3),
        (404, None),
    ]
