"""A hook for coding assistants: names the skill that a tag at the start of a message calls; silent otherwise.

`<retrospective> ...` and `<advise> ...` are plain text to every assistant. Started on each message of the user with
the event as JSON on stdin, this says which skill is meant. It reads nothing else, writes nothing, never blocks a
message and never fails: whatever it does not understand is none of its business. Standard library only.
"""

import json
import re
import sys

TAG = re.compile(r"\s*<(retrospective|advise)>", re.IGNORECASE)


def context(event):
    """What to add to the conversation for an event, None for nothing."""
    prompt = event.get("prompt") if isinstance(event, dict) else None
    found = TAG.match(prompt) if isinstance(prompt, str) else None
    if found is None:
        return None
    name = found[1].lower()
    return f"The message begins with the tag of cairn's skill `{name}`: load that skill and follow its rules."


def main():
    """Answer one event."""
    try:
        said = context(json.loads(sys.stdin.buffer.read(1_000_000).decode("utf-8", "replace")))
    except ValueError:
        return
    if said is not None:
        output = {"hookEventName": "UserPromptSubmit", "additionalContext": said}
        print(json.dumps({"hookSpecificOutput": output}))


main()
