"""A scripted model on loopback: real coding assistants talk to it, and it says what a test told it to say.

turns.py        what a test writes: scenarios, replies, actions, faults
responses.py    how they look on the wire for clients of the Responses API
server.py       the server: picks scenarios, counts turns, keeps a record
codex_home.py   a throw-away home for the real Codex client, pointed at the server
"""
