"""What fits and predicts."""
