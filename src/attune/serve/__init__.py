"""A finished run behind HTTP: a page to try it on, JSON for programs, requests answered together."""
