"""A whole consortium on one machine, for the demo, the tests and the benchmark. Never imported by a node."""
