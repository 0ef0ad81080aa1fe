"""From weighted rows to a clustering that was chosen for a reason."""
