"""The way of a record, one module a step: submit, seal, order, apply, prove, read."""
