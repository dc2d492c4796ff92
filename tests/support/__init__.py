"""What tests share: servers to run on, the invariants, the oracle, ways to move time."""
