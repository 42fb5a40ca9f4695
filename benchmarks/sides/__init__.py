"""The systems that the benchmarks compare: each side trains the same job in a process of its own."""
