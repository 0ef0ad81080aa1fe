"""From a registered version to `champion`, and back."""
