"""Rounds: a batch of variants judged together, the files of its directory, and what is kept of it."""
