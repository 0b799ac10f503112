"""What the pipeline needs of the world, as contracts.

Every obligation that code relies on is stated here; the suites in `tests/ports` hold each fake and each real adapter
to them. All methods may be cancelled; none leaves half of its effect behind.
"""
