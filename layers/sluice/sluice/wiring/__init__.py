"""Wires each Lambda function to S3 and SQS, as its settings say.

One module per function: a function imports nothing that only another one needs.
"""
