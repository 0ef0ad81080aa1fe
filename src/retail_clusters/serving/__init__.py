"""Files that arrive, scored by a model that follows its alias."""
