"""The state machine: the same log gives the same blocks, states and roots on every node, on every day."""
