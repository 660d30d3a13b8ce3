"""What fits on rows and gives probabilities."""
