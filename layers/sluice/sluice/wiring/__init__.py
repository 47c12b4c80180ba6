"""The wiring of each Lambda function to S3 and SQS, from its settings.

One module per function, so that a function imports only its own dependencies.
"""
