"""Retrospectives: find what was tried, so that a model can say what was learned."""
