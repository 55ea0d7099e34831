"""The gate for results that other tools measured: what may be learned from, and what may not."""
