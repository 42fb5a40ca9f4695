"""The loop and its parts. It knows no concrete task and prints nothing."""
