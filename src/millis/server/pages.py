"""The pages for people: one to try artifacts on, one with the API. They load nothing from elsewhere."""

from functools import cache
from pathlib import Path
from typing import Any

from aiohttp import web

HEADERS = {
    "Content-Security-Policy": (
        "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; connect-src 'self'; img-src data:; "
        "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
}


@cache
def _read(name: str) -> str:
    return (Path(__file__).parent / name).read_text(encoding="utf-8")


async def page(asked: Any) -> web.StreamResponse:
    """Type, and see answers and where the milliseconds went."""
    return web.Response(text=_read("page.html"), content_type="text/html", headers=HEADERS)


async def docs(asked: Any) -> web.StreamResponse:
    """The API, as `/openapi.json` describes it."""
    return web.Response(text=_read("docs.html"), content_type="text/html", headers=HEADERS)
