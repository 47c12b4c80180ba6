"""Object stores and queues: two protocols, and their implementations on S3 and SQS."""
