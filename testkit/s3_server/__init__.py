"""An S3 in memory over HTTP that counts its requests, for tests and benchmarks."""
