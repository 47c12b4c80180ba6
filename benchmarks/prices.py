"""List prices of AWS in us-east-1, as data: each with where it was read, and when."""

from __future__ import annotations

from dataclasses import dataclass

REGION = "us-east-1"
_S3 = ("aws.amazon.com/s3/pricing", "2026-10-01")
_SQS = ("cloudburn.io/blog/amazon-sqs-pricing, and a study of SQS that cites AWS", "2026-09")
_LAMBDA = ("AWS Price List API", "2026-09")
_EVENTBRIDGE = ("cloudburn.io/blog/amazon-eventbridge-pricing", "2026-03")


@dataclass(frozen=True, slots=True)
class Price:
    """What so many of something cost."""

    what: str
    usd: float
    per: int
    unit: str
    source: str
    read: str
    """When: a day, or a month where the source tells no more."""

    @property
    def each(self) -> float:
        """Dollars for one."""
        return self.usd / self.per


@dataclass(frozen=True, slots=True)
class Allowance:
    """What AWS gives away each month, once for a whole account."""

    prices: tuple[Price, ...]
    """What it is taken from, in this order; empty where nothing that we count costs it."""
    amount: float
    told: str
    source: str
    read: str


S3_WRITE = Price("S3 PUT, COPY, POST, LIST", 0.005, 1000, "requests", *_S3)
S3_READ = Price("S3 GET, HEAD and others", 0.0004, 1000, "requests", *_S3)
S3_DELETE = Price("S3 DELETE", 0, 1, "request", *_S3)
S3_STORAGE = Price("S3 Standard storage", 0.023, 1, "GB-month", *_S3)
SQS_STANDARD = Price("SQS, standard queue", 0.40, 1_000_000, "requests", *_SQS)
SQS_FIFO = Price("SQS, FIFO queue", 0.50, 1_000_000, "requests", *_SQS)
LAMBDA_REQUEST = Price("Lambda requests", 0.20, 1_000_000, "requests", *_LAMBDA)
LAMBDA_GB_S = Price("Lambda, arm64", 0.0000133334, 1, "GB-second", *_LAMBDA)
EVENTBRIDGE_EVENT = Price("EventBridge events", 1.00, 1_000_000, "events", *_EVENTBRIDGE)

PRICES = (
    S3_WRITE,
    S3_READ,
    S3_DELETE,
    S3_STORAGE,
    SQS_STANDARD,
    SQS_FIFO,
    LAMBDA_REQUEST,
    LAMBDA_GB_S,
    EVENTBRIDGE_EVENT,
)

ALLOWANCES = (
    Allowance((SQS_STANDARD, SQS_FIFO), 1_000_000, "1,000,000 requests to SQS", *_SQS),
    Allowance((LAMBDA_REQUEST,), 1_000_000, "1,000,000 requests to Lambda", *_LAMBDA),
    Allowance((LAMBDA_GB_S,), 400_000, "400,000 GB-seconds of Lambda", *_LAMBDA),
    Allowance((), 14_000_000, "14,000,000 starts by EventBridge Scheduler", *_EVENTBRIDGE),
)
