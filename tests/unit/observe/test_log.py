"""What a log line may say."""

import errno
import io
import json
import logging
import subprocess
import sys
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import aiormq
import pytest
import structlog

from shared.observe import log

Lines = Callable[[], list[dict[str, Any]]]


@pytest.fixture(autouse=True)
def _other_tests_keep_their_logging() -> Iterator[None]:
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield
    structlog.reset_defaults()
    root.handlers[:], root.level = handlers, level
    logging.captureWarnings(capture=False)


@pytest.fixture
def lines() -> Lines:
    stream = io.StringIO()
    log.configure(style="json", level="info", secrets=["hunter2-of-the-shop"], stream=stream)
    return lambda: [json.loads(line) for line in stream.getvalue().splitlines()]


@pytest.mark.parametrize(("level", "told"), [("info", 0), ("debug", 1)])
async def test_a_failed_connect_is_ours_to_tell(level: str, told: int) -> None:
    """aiormq would call each try an error of its own."""
    stream = io.StringIO()
    log.configure(style="json", level=level, stream=stream)
    with pytest.raises(ConnectionError):
        await aiormq.connect("amqp://guest:guest@127.0.0.1:1/")
    lines = [json.loads(line) for line in stream.getvalue().splitlines()]
    assert len([line for line in lines if line["level"] == "error"]) == told


def test_a_line_begins_with_when_how_grave_and_what(lines: Lines) -> None:
    structlog.get_logger().info("ingress.started", port=8080)
    (line,) = lines()
    assert list(line) == ["timestamp", "level", "event", "port"]
    assert (line["level"], line["event"], line["port"]) == ("info", "ingress.started", 8080)
    assert line["timestamp"].endswith("Z")


@pytest.mark.parametrize(
    ("told", "shown"),
    [
        ("whsec_0123456789abcdef", "whsec_[redacted]"),
        ("token eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOjF9.c2lnbmF0dXJl refused", "token [redacted] refused"),
        ("'whsec_a/b+c=', then", "'whsec_[redacted]', then"),
        ("amqp://kessai:p@ss/word:x@host:5672/%2F", "amqp://kessai:[redacted]@host:5672/%2F"),
        ("postgresql://kessai:pass@host/db and redis://:other@h", "postgresql://kessai:[redacted]@host/db and redis://:[redacted]@h"),
        ("host=h password=secret user=u", "host=h password=[redacted] user=u"),
        ("Authorization: Bearer abcdef0123456789", "Authorization: Bearer [redacted]"),
        ("key cli_0123456789ab", "key cli_[redacted]"),
        ("t=1,v1=" + "a" * 64, "t=1,v1=[redacted]"),
        ("it was hunter2-of-the-shop!", "it was [redacted]!"),
        ("nothing to hide: https://host:8080/path", "nothing to hide: https://host:8080/path"),
    ],
)  # fmt: skip
def test_what_looks_like_a_secret_is_struck_out(lines: Lines, told: str, shown: str) -> None:
    structlog.get_logger().info("x.y", note=told, nested={"deep": [told]})
    (line,) = lines()
    assert line["note"] == shown
    assert line["nested"] == {"deep": [shown]}


@pytest.mark.parametrize("key", ["secret", "webhook_secret", "Password", "auth_token", "Authorization", "database_dsn"])
def test_what_is_called_a_secret_is_struck_out_whatever_it_is(lines: Lines, key: str) -> None:
    structlog.get_logger().info("x.y", **{key: "plain"}, sub={key: ["plain"]})
    (line,) = lines()
    assert line[key] == "[redacted]"
    assert line["sub"] == {key: "[redacted]"}


@pytest.mark.parametrize(("key", "payload"), [("body", '{"a":1}'), ("raw", b"{}"), ("payload", {"a": 1}), ("x", b"{}")])
def test_payloads_are_never_shown(lines: Lines, key: str, payload: object) -> None:
    structlog.get_logger().info("x.y", **{key: payload})
    (line,) = lines()
    assert line[key] in ("[7 bytes]", "[2 bytes]", "[redacted]")


def fail(dsn: str) -> None:
    local_secret = dsn + " local"
    row = "{} row contains (evt_1, {})".format("Failing", local_secret)
    raise ConnectionError(f"cannot reach {dsn}\nDETAIL:  {row}.")


def test_an_exception_is_told_without_locals_secrets_and_row_values(lines: Lines) -> None:
    try:
        fail("postgresql://kessai:hunter3@host/db")
    except ConnectionError:
        structlog.get_logger().exception("books.lost")
        logging.getLogger("asyncpg").exception("lost %s", "postgresql://kessai:hunter3@host/db")
    for line in lines():
        assert "Traceback" in line["exception"]
        assert "cannot reach postgresql://kessai:[redacted]@host/db" in line["exception"]
        assert "hunter3" not in json.dumps(line)
        assert "Failing row" not in json.dumps(line)


def test_libraries_speak_through_the_same_lines_and_only_when_something_is_wrong(lines: Lines) -> None:
    logging.getLogger("aiohttp.server").info("chatter")
    logging.getLogger("aiohttp.server").warning("closed %s", "amqp://u:pw@h/")
    warnings.warn("old whsec_abc", stacklevel=1)
    first, second = lines()
    assert (first["event"], first["logger"], first["level"]) == ("library.log", "aiohttp.server", "warning")
    assert first["message"] == "closed amqp://u:[redacted]@h/"
    assert second["logger"] == "py.warnings"
    assert "whsec_abc" not in json.dumps(second)


def test_what_is_below_the_level_is_not_written(lines: Lines) -> None:
    structlog.get_logger().debug("x.y")
    assert lines() == []


def test_the_console_style_redacts_too() -> None:
    stream = io.StringIO()
    log.configure(style="console", level="debug", stream=stream)
    structlog.get_logger().debug("x.y", url="amqp://u:pw@h/")
    try:
        fail("amqp://u:pw@h/")
    except ConnectionError:
        structlog.get_logger().exception("x.failed")
    assert "x.y" in stream.getvalue()
    assert "Traceback" in stream.getvalue()
    assert "pw" not in stream.getvalue()


class FillingDisk(io.StringIO):
    """A stream whose writes fail while the disk is full."""

    is_full = False

    def write(self, text: str) -> int:
        if self.is_full:
            raise OSError(errno.ENOSPC, "No space left on device")
        return super().write(text)


def test_lines_lost_to_a_full_disk_raise_nothing_and_are_counted_once_there_is_room() -> None:
    stream = FillingDisk()
    log.configure(style="json", level="info", stream=stream)
    stream.is_full = True
    structlog.get_logger().info("x.lost")
    logging.getLogger("aiohttp.server").warning("lost, too")
    stream.is_full = False
    structlog.get_logger().info("x.first")
    structlog.get_logger().info("x.second")
    said, first, second = (json.loads(line) for line in stream.getvalue().splitlines() if line)
    assert (first["event"], second["event"]) == ("x.first", "x.second")
    assert (said["event"], said["lines"]) == ("log.lines_lost", 2)


def test_a_closed_stream_raises_nothing() -> None:
    stream = io.StringIO()
    log.configure(stream=stream)
    stream.close()
    structlog.get_logger().info("x.lost")


def test_a_full_disk_leaves_nothing_to_fail_at_the_exit_of_the_program() -> None:
    program = "import structlog; from shared.observe import log; log.configure(); structlog.get_logger().info('x.y')"
    with Path("/dev/full").open("wb") as full:
        assert subprocess.run([sys.executable, "-c", program], stderr=full, check=False).returncode == 0
