"""S3 servers that others make, each started on free ports of the loopback interface for tests."""
