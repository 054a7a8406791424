"""How processes log: one line an event on standard error, `noun.verb_past` with keys, for people or for machines."""

from __future__ import annotations

import logging
import sys
from collections.abc import MutableMapping

import msgspec
import structlog
from structlog.typing import EventDict, Processor, WrappedLogger

from faregate.apps.log_settings import LogFormat, LogLevel
from faregate.base.clock import SystemClock


def configure_logs(log_format: LogFormat, log_level: LogLevel) -> None:
    """Set logging up for this process; libraries' own warnings come out in the same form."""
    threshold = logging.getLevelNamesMapping()[log_level.upper()]
    shared: list[Processor] = [structlog.contextvars.merge_contextvars, structlog.processors.add_log_level, _add_time]
    renderer = _renderers(log_format)
    structlog.configure(
        processors=[*shared, *renderer],
        wrapper_class=structlog.make_filtering_bound_logger(threshold),
        logger_factory=structlog.WriteLoggerFactory(file=sys.stderr),
        cache_logger_on_first_use=True,
    )
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=[*shared, structlog.stdlib.add_logger_name],
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, *renderer],
        )
    )
    logging.basicConfig(handlers=[handler], level=max(threshold, logging.WARNING), force=True)


def _renderers(log_format: LogFormat) -> list[Processor]:
    if log_format is LogFormat.JSON:
        return [
            structlog.processors.dict_tracebacks,
            structlog.processors.JSONRenderer(serializer=_to_json),
        ]
    return [
        structlog.dev.ConsoleRenderer(
            colors=sys.stderr.isatty(), timestamp_key="at", exception_formatter=structlog.dev.plain_traceback
        )
    ]


def _add_time(logger: WrappedLogger, method: str, event: EventDict) -> EventDict:
    del logger, method
    event["at"] = SystemClock().now().isoformat(timespec="milliseconds").replace("+00:00", "Z")
    return event


def _to_json(event: MutableMapping[str, object], **options: object) -> str:
    del options
    return msgspec.json.encode(event, enc_hook=str).decode()
