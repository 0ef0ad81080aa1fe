"""The world outside: Spark, MLflow, files, the terminal; nothing of retail."""
