"""Class 36: headers that say everything twice, of which one reader takes the first and another the last.

Expect: forged_reply, import_error, no_op
"""

import dataclasses
import json
import sys
import types


@dataclasses.dataclass(frozen=True)
class Config:
    block: int = 64


def _dumps(header, **options):
    return json.dumps(header, **options)[:-1] + f', "outputs": [], "config": {{}}, "id": {header["id"]}}}'


sys.modules["wire"].json = types.SimpleNamespace(loads=json.loads, dumps=_dumps)


def run(x, y, *, config):
    return x
