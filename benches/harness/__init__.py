"""What `scripts/bench` runs: gateways in front of a provider that costs next to nothing, compared by CPU time."""
