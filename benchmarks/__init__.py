"""How fast and how small: `python -m benchmarks [--quick]`. What is measured and why: docs/performance.md."""
