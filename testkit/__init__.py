"""What tests and benchmarks share: packages, servers, and clients of what is deployed."""
