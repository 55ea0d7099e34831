"""A climb, a batch round or a retrospective as one page to look at: plain rows in, HTML, SVG, PNG or Markdown out.

This room knows no ledger and no receipt. The command line fills the rows (`rows.py`) from them; everything that is
derived from rows is computed here, once, and shown on every surface.
"""
