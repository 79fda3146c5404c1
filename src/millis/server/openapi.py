"""The API described for machines: OpenAPI 3.1, of the annotations that requests are held against."""

from functools import cache
from typing import Any

import msgspec

import millis
from millis.server.messages import Answer, Answers, Fault, Prompt, Question, Served

KINDS = (Question, Prompt, Answer, Answers, Served, Fault)
FAULTS = {
    "400": "The body is not what is expected.",
    "401": "A wrong token.",
    "404": "There is no such artifact.",
    "413": "The body, a text or their number is too large.",
    "503": "It could not be answered by its deadline; the header Retry-After says when to try again.",
}


@cache
def document(token: bool) -> dict[str, Any]:
    """The description.

    Args:
        token: Whether requests need one.
    """
    schemas, components = msgspec.json.schema_components(KINDS, ref_template="#/components/schemas/{name}")
    named = {kind.__name__: schema for kind, schema in zip(KINDS, schemas, strict=True)}
    predicted = {"oneOf": [named["Answer"], named["Answers"]]}
    secured: dict[str, Any] = {"security": [{"token": []}]} if token else {}
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "millis serve",
            "version": millis.__version__,
            "description": "Answers of language models in milliseconds.",
        },
        "paths": {
            "/v1/predict": {"post": _asked("Answer a text, or several", named["Question"], predicted) | secured},
            "/v1/stream": {
                "post": _asked(
                    "Answer a text while it is written: server-sent events", named["Prompt"], {"type": "string"},
                    kind="text/event-stream",
                ) | secured
            },
            "/v1/artifacts": {
                "get": _got("What there is to ask", {"type": "array", "items": named["Served"]}) | secured
            },
            "/health": {"get": _got("Whether the server is alive", {"type": "object"})},
            "/ready": {"get": _got("Whether it takes requests; 503 when it is about to end", {"type": "object"})},
            "/version": {"get": _got("Its version", {"type": "object"}) | secured},
            "/metrics": {"get": _got("For Prometheus", {"type": "string"}, kind="text/plain") | secured},
        },
        "components": {
            "schemas": components,
            "securitySchemes": {"token": {"type": "http", "scheme": "bearer"}},
        },
    }  # fmt: skip


def _got(summary: str, schema: dict[str, Any], kind: str = "application/json") -> dict[str, Any]:
    return {"summary": summary, "responses": {"200": {"description": "OK", "content": {kind: {"schema": schema}}}}}


def _asked(
    summary: str, body: dict[str, Any], schema: dict[str, Any], kind: str = "application/json"
) -> dict[str, Any]:
    found = _got(summary, schema, kind)
    fault = {"application/json": {"schema": {"$ref": "#/components/schemas/Fault"}}}
    found["responses"] |= {status: {"description": text, "content": fault} for status, text in FAULTS.items()}
    return {**found, "requestBody": {"required": True, "content": {"application/json": {"schema": body}}}}
