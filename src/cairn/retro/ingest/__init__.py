"""Readers: one source in, one document of facts and notes out. They never raise on what a file holds."""
