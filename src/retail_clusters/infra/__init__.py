"""The world outside: Spark's session, files at any location, MLflow; it knows nothing of retail."""
