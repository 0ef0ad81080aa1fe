"""From invoice lines to vectors, and the registered model that does it."""
