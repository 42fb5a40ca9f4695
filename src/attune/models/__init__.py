"""What learns: checkpoints, families, and the token stream they run on."""
