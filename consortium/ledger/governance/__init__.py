"""How the members decide: proposals, ballots, and what follows from them, the same on every node."""
