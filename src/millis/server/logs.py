"""What a server says: a JSON object a line on standard error, without texts unless they are asked for."""

import logging
import sys
import time
from typing import Any

import msgspec

log = logging.getLogger("millis.server")


class _Lines(logging.Formatter):
    """A record as one line of JSON; its `fields` stand beside the message."""

    def format(self, record: logging.LogRecord) -> str:
        line: dict[str, Any] = {
            "time": f"{time.strftime('%Y-%m-%dT%H:%M:%S', time.gmtime(record.created))}.{int(record.msecs):03}Z",
            "level": record.levelname.lower(),
            "event": record.getMessage(),
            "process": record.process,
            **getattr(record, "fields", {}),
        }
        if record.exc_info:
            line["traceback"] = self.formatException(record.exc_info)
        return msgspec.json.encode(line).decode()


def set_up() -> None:
    """Have everything that is logged in this process said so."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(_Lines())
    logging.basicConfig(level=logging.INFO, handlers=[handler], force=True)
    logging.captureWarnings(True)
    for talkative in ("aiohttp", "asyncio"):  # a stranger's nonsense would fill the log
        logging.getLogger(talkative).setLevel(logging.CRITICAL)


def say(event: str, level: int = logging.INFO, **fields: Any) -> None:
    """An event, with what is to be known of it."""
    log.log(level, event, extra={"fields": fields})
