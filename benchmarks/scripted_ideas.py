"""An agent for `cairn climb --agent command` that tries written-down structures of a kernel, one file after the other.

    cairn climb kernels/matmul_f32 --agent command \
        --agent-command 'python benchmarks/scripted_ideas.py benchmarks/ideas/matmul_f32'

Each attempt replaces the variant by the next file of the folder, in the order of their names. The first line of a
file's docstring is told as the hypothesis. What is kept is the judge's business, so a structure that is no gain leaves
nothing behind but its line in the ledger.
"""

import ast
import json
import os
import re
import sys
from pathlib import Path


def main(folder: Path) -> int:
    ideas = sorted(folder.glob("*.py"))
    number = int(re.sub(r"\D", "", os.environ["CAIRN_ATTEMPT"])) - 1
    if number >= len(ideas):
        print(json.dumps({"hypothesis": "nothing left to try"}))
        return 0
    text = ideas[number].read_text(encoding="utf-8")
    Path(os.environ["CAIRN_VARIANT"]).write_text(text, encoding="utf-8")
    told = (ast.get_docstring(ast.parse(text)) or ideas[number].stem).splitlines()[0]
    print(json.dumps({"hypothesis": told, "idea_class": ideas[number].stem}))
    return 0


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
