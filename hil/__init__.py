"""Benches for hardware in the loop, and the checks that every driver must pass on any of them."""
