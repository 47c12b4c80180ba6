"""Object stores and queues: protocols, and their implementations on S3 and SQS."""
