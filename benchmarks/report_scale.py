"""How large and how fast a report is: size of the page, time to build it, time until it can be used in Chromium.

    .venv/bin/python benchmarks/report_scale.py [--attempts 1000] [--runs 3]

The climb is written by the tests' own generator: every kind of end, a diff of 40 lines and a transcript of 5 kB for
each attempt. `interactive` is from the start of the navigation to the end of the page's script, as the browser's own
clock has it; `open attempt` is from the click to the frame that shows it. On a busy machine the clock says more about
the neighbours than about the page, so processor times stand beside it. Targets for 1,000 attempts: below 5 MB, built in
5 s, interactive in 1.5 s.
"""

import argparse
import contextlib
import io
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "tests"))

from report.browser import MISSING, chromium, open_page  # noqa: E402 (the tests are no package)
from report.climbs import large, registry  # noqa: E402

_FRAME = """
const done = arguments[arguments.length - 1];
requestAnimationFrame(() => setTimeout(done, 0));
"""
_OPEN = """
const done = arguments[arguments.length - 1], from = performance.now();
location.hash = '#attempt-0-' + arguments[0];
const shown = () => requestAnimationFrame(() => setTimeout(() => done(performance.now() - from), 0));
addEventListener('hashchange', shown, {once: true});
"""
_FILTER = """
const done = arguments[arguments.length - 1], from = performance.now();
const box = document.querySelector('input[type=search]');
box.value = 'vmem'; box.dispatchEvent(new Event('input'));
requestAnimationFrame(() => setTimeout(() => done(performance.now() - from), 0));
"""


def build(root: Path) -> tuple[float, float]:
    """Seconds of a whole `cairn report` process, start and imports included: by the clock, and of the processor."""
    began, before = time.perf_counter(), resource.getrusage(resource.RUSAGE_CHILDREN)
    command = [
        sys.executable,
        "-c",
        "from cairn.cli.main import main; main()",
        "report",
        "--root",
        str(root),
        "big",
    ]
    subprocess.run(command, check=True, capture_output=True, timeout=300)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return time.perf_counter() - began, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def spent_in_page(browser: Any, page: Path) -> tuple[float, float]:
    """Seconds from navigation until the page's script is done, and processor seconds of the page's main thread."""
    browser.execute_cdp_cmd("Performance.enable", {"timeDomain": "threadTicks"})
    open_page(browser, page)
    browser.execute_async_script(_FRAME)
    metrics = {
        each["name"]: each["value"] for each in browser.execute_cdp_cmd("Performance.getMetrics", {})["metrics"]
    }
    timing = "return performance.getEntriesByType('navigation')[0].domContentLoadedEventEnd"
    return browser.execute_script(timing) / 1000, metrics["TaskDuration"]


def measure(attempts: int, runs: int) -> list[tuple[str, str, str]]:
    with tempfile.TemporaryDirectory(prefix="cairn-report-") as folder:
        root = Path(folder)
        climbs = registry(root)
        large(climbs / "big", attempts)
        built = [build(root) for _ in range(runs)]
        page = climbs / "big" / "report.html"
        rows = [
            ("size of the page", f"{page.stat().st_size / 1e6:.2f} MB", "5 MB"),
            ("built, whole process", f"{statistics.median(wall for wall, _ in built):.2f} s", "5 s"),
            ("  its processor time", f"{statistics.median(cpu for _, cpu in built):.2f} s", ""),
        ]
        if MISSING:
            return [*rows, ("in Chromium", MISSING, "")]
        with chromium() as browser:
            seen = [spent_in_page(browser, page) for _ in range(runs)]
            opened = [browser.execute_async_script(_OPEN, f"a{attempts // 2 + at:04d}") for at in range(runs)]
            filtered = [browser.execute_async_script(_FILTER) for _ in range(runs)]
        return [
            *rows,
            ("interactive", f"{statistics.median(wall for wall, _ in seen):.2f} s", "1.5 s"),
            ("  its main thread", f"{statistics.median(cpu for _, cpu in seen):.2f} s", ""),
            ("open attempt", f"{statistics.median(opened):.0f} ms", ""),
            ("search", f"{statistics.median(filtered):.0f} ms", ""),
        ]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--attempts", type=int, default=1000)
    parser.add_argument("--runs", type=int, default=3)
    options = parser.parse_args()
    with contextlib.redirect_stderr(io.StringIO()):
        rows = measure(options.attempts, options.runs)
    load, cores = os.getloadavg()[0], os.cpu_count()
    print(f"{options.attempts} attempts, median of {options.runs}; load {load:.1f} on {cores} cores\n")
    for name, value, target in rows:
        print(f"{name:<22} {value:>12}   {f'target {target}' if target else ''}")


if __name__ == "__main__":
    main()
