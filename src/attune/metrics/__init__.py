"""Pure scores of answers against the truth, and how sure the test set lets one be of them; numpy only."""
