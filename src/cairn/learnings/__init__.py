"""AGENT.md: the numbered learnings of a project, read tolerantly and written strictly."""
