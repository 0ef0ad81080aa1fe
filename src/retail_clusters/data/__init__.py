"""Invoice lines: found, checked, typed."""
