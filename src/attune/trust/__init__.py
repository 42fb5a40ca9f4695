"""What is examined beyond the score: baselines, and what drives a prediction."""
