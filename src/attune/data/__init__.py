"""Rows: read unchanged, given roles, examined, grouped by likeness, split and described; no torch in here."""
