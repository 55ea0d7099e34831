"""An agent for chaos: which block size it sets depends on the attempts that are over, never on what was killed.

It takes a moment, so that a kill can fall into it.
"""

import json
import os
import re
import time
from pathlib import Path

SIZES = (16, 8, 32, 64)

if __name__ == "__main__":
    over = len(json.loads(Path(os.environ["CAIRN_TASK"]).read_text())["history"]) - 1
    time.sleep(0.3)
    variant = Path(os.environ["CAIRN_VARIANT"])
    variant.write_text(
        re.sub(r"block: int = \d+", f"block: int = {SIZES[over % len(SIZES)]}", variant.read_text())
    )
    time.sleep(0.3)
    print(json.dumps({"hypothesis": f"act {over}"}))
