"""Which skill does a real model wake for each prompt of tests/triggers? Costs the user's quota, so it is run by hand.

    python benchmarks/triggers.py --client claude --runs 3 --yes
    python benchmarks/triggers.py --client codex --limit 10 --yes

Install the pack in the client first (docs/install.md). Each prompt goes to a fresh session in an empty repository, in
read-only or plan mode; the skill that is loaded first counts. A prompt passes when at least half of its runs wake the
right skill (none, for a near miss). Prints a table and the rates; without --yes it only says what it would start.
"""

import argparse
import json
import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path

import yaml

PROMPTS = Path(__file__).resolve().parent.parent / "tests" / "triggers" / "prompts.yaml"
NAMES = ("hill-climb", "record-learnings", "retrospective", "advise")
TIMEOUT_S = 180
COMMANDS = {
    "claude": ["claude", "-p", "{}", "--output-format", "stream-json", "--verbose", "--permission-mode", "plan"],
    "codex": ["codex", "exec", "--json", "--sandbox", "read-only", "{}"],
}


def woken(client: str, prompt: str) -> str:
    """The skill that the client loads first for a prompt, `none`, or `failed`."""
    with tempfile.TemporaryDirectory(prefix="cairn-trigger-") as folder:
        subprocess.run(["git", "init", "--quiet", folder], check=True)
        command = [part.replace("{}", prompt) for part in COMMANDS[client]]
        try:
            done = subprocess.run(
                command,
                cwd=folder,
                capture_output=True,
                text=True,
                timeout=TIMEOUT_S,
                stdin=subprocess.DEVNULL,
                check=False,
            )
        except subprocess.TimeoutExpired:
            return "failed"
    if done.returncode:
        return "failed"
    return first_skill(done.stdout.splitlines())


def first_skill(lines: Sequence[str]) -> str:
    """The first skill named by a skill tool, or whose SKILL.md a command reads, in a client's events."""
    for line in lines:
        try:
            event = json.loads(line)
        except ValueError:
            continue
        if event.get("subtype") == "init":  # lists every skill there is
            continue
        text = json.dumps(event)
        for name in NAMES:
            if f"cairn:{name}" in text or f"skills/{name}/SKILL.md" in text:
                return name
    return "none"


def main() -> None:
    """Run the set and print what happened."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--client", choices=sorted(COMMANDS), required=True)
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--limit", type=int, help="only the first prompts of each skill")
    parser.add_argument("--yes", action="store_true", help="really spend the quota")
    options = parser.parse_args()
    rows = yaml.safe_load(PROMPTS.read_text(encoding="utf-8"))
    if options.limit:
        rows = [row for row in rows if [r for r in rows if r["skill"] == row["skill"]].index(row) < options.limit]
    if not options.yes:
        print(f"would start {options.client} {len(rows) * options.runs} times; add --yes")
        return
    passed = 0
    for row in rows:
        answers = [woken(options.client, row["prompt"]) for _ in range(options.runs)]
        good = 2 * answers.count(row["skill"]) >= options.runs
        passed += good
        print(
            f"{'ok' if good else 'NO':3} {row['skill']:17} {','.join(answers):40} {row['prompt'][:70]!r}",
            flush=True,
        )
    print(f"{options.client}: {passed} of {len(rows)} prompts, {options.runs} runs each")


if __name__ == "__main__":
    main()
