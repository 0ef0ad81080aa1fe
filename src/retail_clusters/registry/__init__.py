"""What MLflow holds: runs, registered models, and the numbers of their clusters."""
