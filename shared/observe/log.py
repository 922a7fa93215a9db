"""What may a log line contain? One canonical line a unit of work, flat keys, and never a secret or a payload.

Kessai's own lines and those of aiohttp, aio-pika and asyncpg go through one chain of processors. Redaction comes after
exceptions are rendered to text, because drivers put connection strings and row values into their messages.
"""

import logging
import re
from collections.abc import Iterable, Mapping
from typing import Literal, TextIO, cast

import orjson
import structlog
from structlog.typing import EventDict, Processor, WrappedLogger

from shared.observe.log_stream import LossyStream, standard_error
from shared.observe.redaction import REDACTED, literals, redacted

Style = Literal["json", "console"]

SECRET_KEY = re.compile(r"secret|passw|token|authorization|signature|credential|dsn|api_?key", re.IGNORECASE)
PAYLOAD_KEYS = frozenset({"body", "payload", "raw", "data", "headers"})


def configure(
    *, style: Style = "json", level: str = "info", secrets: Iterable[str] = (), stream: TextIO | None = None
) -> None:
    """Send every log line of this process, ours and the libraries', to `stream` (standard error) in one style.

    `secrets` are values to redact wherever they occur, beside everything that looks like a secret. A line that `stream`
    refuses is lost: logging raises nothing.
    """
    wanted = standard_error() if stream is None else stream
    timestamp = structlog.processors.TimeStamper(fmt="iso", utc=True)
    renderer = _renderer(style, colors=wanted.isatty())

    def lines_lost(lines: int) -> str:
        event = timestamp(None, "error", {"level": "error", "event": "log.lines_lost", "lines": lines})
        return str(renderer(None, "error", event))

    output = cast("TextIO", LossyStream(wanted, lines_lost))  # it has what structlog and logging call
    threshold = logging.getLevelNamesMapping()[level.upper()]
    known = literals(secrets)

    def redact(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
        return {key: _clean(key, value, known) for key, value in event.items()}

    chain: list[Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.processors.add_log_level,
        timestamp,
        structlog.processors.format_exc_info,  # plain text: no local variables, which hold DSNs and bodies
        redact,
    ]
    structlog.configure(
        processors=[*chain, renderer],
        wrapper_class=structlog.make_filtering_bound_logger(threshold),
        logger_factory=structlog.WriteLoggerFactory(output),
        cache_logger_on_first_use=False,
    )
    _adopt_stdlib(chain, renderer, threshold, output)


def warn_of_unknown_settings(unknown: Iterable[str]) -> None:
    """One line for all of them, when a role starts."""
    if sentences := "; ".join(unknown):
        structlog.get_logger("kessai").warning("settings.unknown", error=sentences)


def _renderer(style: Style, *, colors: bool) -> Processor:
    if style == "console":
        return structlog.dev.ConsoleRenderer(
            colors=colors, exception_formatter=structlog.dev.plain_traceback, pad_event_to=28
        )
    return _render_json


def _render_json(_logger: WrappedLogger, _method: str, event: EventDict) -> str:
    ordered = {**{name: event.pop(name, None) for name in ("timestamp", "level", "event")}, **event}
    return orjson.dumps(ordered, default=str, option=orjson.OPT_NON_STR_KEYS).decode()


def _adopt_stdlib(chain: list[Processor], renderer: Processor, threshold: int, output: TextIO) -> None:
    """Libraries log through `logging`; their lines get the same fields, redaction and renderer."""
    formatter = structlog.stdlib.ProcessorFormatter(
        foreign_pre_chain=[structlog.stdlib.add_logger_name, _name_library_event],
        processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, *chain, renderer],
    )
    handler = logging.StreamHandler(output)
    handler.setFormatter(formatter)
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(max(threshold, logging.WARNING) if threshold > logging.DEBUG else threshold)
    # It logs every failed try to connect as an error, beside our one line about it.
    logging.getLogger("aiormq.connection").setLevel(logging.CRITICAL if threshold > logging.DEBUG else logging.NOTSET)
    logging.captureWarnings(capture=True)


def _name_library_event(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
    """A library's free text is detail; the event name stays dotted and few."""
    return {**event, "event": "library.log", "message": event.get("event", "")}


def _clean(key: str, value: object, known: re.Pattern[str] | None) -> object:
    """The value as a log line may show it."""
    if key in PAYLOAD_KEYS or isinstance(value, bytes | bytearray | memoryview):
        return f"[{len(value)} bytes]" if isinstance(value, bytes | bytearray | memoryview | str) else REDACTED
    if value is None or isinstance(value, bool | int | float):
        return value
    if SECRET_KEY.search(key):
        return REDACTED
    if isinstance(value, Mapping):
        return {str(name): _clean(str(name), inner, known) for name, inner in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [_clean("", inner, known) for inner in value]
    return redacted(str(value), known)
