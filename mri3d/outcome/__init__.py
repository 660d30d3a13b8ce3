"""What is predicted: classes or a measure."""
