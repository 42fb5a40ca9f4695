"""What a post-norm encoder layer is made of, compiled for the CPU (`fused`) and in plain torch (`plain`), alike."""
