"""Check requests and answers against GitHub's own OpenAPI description (npm package @octokit/openapi).

Covers what the posting of comments uses: path, method, names of query parameters, required and typed properties of a
JSON body, required properties of an answer. It is no general validator.
"""

import json
import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from fake_github.server import Request

_PACKAGE = Path(__file__).parents[2] / ".clients" / "node_modules" / "@octokit" / "openapi"
DESCRIPTION = Path(os.environ.get("CAIRN_TEST_OPENAPI", _PACKAGE / "generated" / "api.github.com.json"))
_TYPES = {"string": str, "integer": int, "boolean": bool, "object": dict, "array": list}


class ApiDescription:
    """The parts of the description that a few paths need."""

    def __init__(self, file: Path) -> None:
        self._data = json.loads(file.read_text(encoding="utf-8"))
        names = sorted(self._data["paths"], key=lambda path: path.count("{"))  # the literal ones first
        self._paths = [(re.compile(re.sub(r"\{[^}]+\}", "[^/]+", path) + r"\Z"), path) for path in names]

    def faults(self, request: Request) -> Iterator[str]:
        """What GitHub's description does not allow in a request."""
        path = next((name for pattern, name in self._paths if pattern.match(request.path)), None)
        operation = self._data["paths"].get(path, {}).get(request.method.lower()) if path else None
        if operation is None:
            yield f"{request.method} {request.path} is not described"
            return
        parameters = [self._resolved(each) for each in operation.get("parameters", ())]
        known = {each["name"] for each in parameters if each["in"] == "query"}
        yield from (f"{path} has no query parameter {name}" for name in request.query if name not in known)
        content = operation.get("requestBody", {}).get("content", {}).get("application/json", {})
        if content:
            yield from self._body_faults(self._resolved(content["schema"]), request.body)
        elif request.body is not None:
            yield f"{path} takes no body"

    def _body_faults(self, schema: dict[str, Any], body: Any) -> Iterator[str]:
        if not isinstance(body, dict):
            yield "the body is no object"
            return
        yield from (f"missing property {name}" for name in schema.get("required", ()) if name not in body)
        for name, value in body.items():
            said = schema["properties"].get(name)
            if said is None:
                yield f"unknown property {name}"
            elif (wanted := _TYPES.get(str(self._resolved(said).get("type")))) and not isinstance(value, wanted):
                yield f"{name} is no {wanted.__name__}"

    def _resolved(self, node: dict[str, Any]) -> dict[str, Any]:
        while "$ref" in node:
            found: Any = self._data
            for step in node["$ref"].removeprefix("#/").split("/"):
                found = found[step]
            node = found
        return node
