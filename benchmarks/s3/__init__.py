"""An S3 in memory over HTTP, which counts: the one that both subjects are measured on."""
