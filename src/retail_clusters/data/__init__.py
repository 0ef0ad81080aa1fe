"""Invoice lines: found, checked, reduced."""
