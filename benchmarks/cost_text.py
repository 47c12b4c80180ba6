"""``docs/cost.md`` without its numbers."""

from __future__ import annotations

PAGE = """\
# What it costs

Written by `make bench-report` (`python -m benchmarks.cost`) from
[benchmarks/results.json](../benchmarks/results.json), which `make bench` and `make coldstart`
measure, and from the list prices in [benchmarks/prices.py](../benchmarks/prices.py). Nothing was
measured on AWS, and no bill was seen: requests, bytes and seconds are those of the
[benchmarks](../benchmarks/README.md), in channels that are made up, on an S3 with {latency} ms
added to each request, and the prices are multiplied by them. Medians throughout.

## List prices

AWS in {region}, without tax.

{prices}

Each month AWS gives away, once per account: {allowances}.

## A thousand uploads

{uploads}

*alone*: every upload pays for a merge of its own. *cold*: both functions start for it, as they do
for the first upload in a while. *in a burst*: a thousand at once; the cost is that of the whole
burst. "After each upload" is a CI job for each; "once after a burst" is a single one for all of
them. rattler-index's compute is priced as if it ran on Lambda; in CI it is minutes of a runner
instead, whose price depends on the runner (so none is given) and comes on top of its S3 requests.
"MB": memory that the process that publishes is priced with.{too_long}

What that is made of, for one upload:

{quantities}

## A month

One subdir, and what happens to it in a month:

{scenarios}

{months}
{not_reconciled}
## What is assumed

- **S3.** PUT, COPY, POST and LIST are one class, every request of a multipart upload among them;
  GET and HEAD the other. Deleting is free, also many at once (DeleteObjects). Traffic between S3
  and Lambda, or a runner, in the same region is free; a runner elsewhere pays for what it
  downloads. The upload of the package itself costs both sides the same and is not in it.
- **SQS.** {standard} requests to the standard queue per upload: the event (S3 charges nothing for
  it that we know of; its arrival at the queue is counted), receive and delete. In FIFO queues: what
  the functions were seen to send, and {fifo} per merge, receive and delete.
- **Idle polling.** Lambda keeps {pollers} connections at each of the three queues, each asking
  every {poll} seconds, also while it is busy.
- **Lambda.** Memory as in the template (extract {extract} MB, merge and reconcile {merge} MB), or
  the measured peak and a quarter more where that is larger; arm64 as fast as the machine that
  measured; below {cpu} MB, which is one CPU, CPU time takes longer in proportion and waiting does
  not; seconds are not rounded up to a millisecond. A cold start adds what it takes to import the
  handler and make its clients. All that come alone are cold; a burst starts {started} extracts and
  one merge.
- **Bursts** are of a thousand packages drawn from the whole channel; smaller ones share less. They
  were measured without added latency: for extract, the seconds of one that comes alone stand in,
  and for merge, waiting is missing.
- **Old versions** are for how long they are kept, at most. `repodata.json`, its `.zst` and the
  shard index: {index_days} days, and one old version of each for good. Everything else that an
  upload writes, staged records, catalog, shards and `run_exports.json`: {other_days} days, as if
  all of it were shards (`RetentionDays`, the marks of reconcile, then 30 days as an old version).
  What taking over the channel wrote (catalog and shards) is all kept. rattler-index is charged
  for no old versions, as in a bucket that keeps none.
- **Reconcile** runs once a day, cold, and finds nothing to do.
- **A CI job** takes {setup} seconds before rattler-index begins, and is charged in minutes that
  have begun.
- **What AWS gives away** goes to nothing else in the account, and from SQS to the cheaper queue
  first.

## What is left out

- Packages and the index that is current: they are stored whoever writes them. So is what clients
  download.
- CloudWatch (logs, metrics, alarms) and X-Ray: there is no price with a source for them here, and
  how much is logged was not measured. Logs are kept for 30 days.
- What Lambda takes before Python begins, and `/tmp` (the 512 MB that are free do).
- EventBridge, through which events of a bucket come that existed: at most ${events:.2f} a million.
  The daily start by EventBridge Scheduler is far within what AWS
  gives away.
- A channel's first import, patches, and outputs that are off by default
  ([benchmarks/results.md](../benchmarks/results.md) has their requests and seconds). Retries,
  failures, and packages that have to be read whole.
- What it takes to keep CI jobs from running into each other.

## Again

```console
$ make bench SIZES="{sizes}" && make coldstart   # hours
$ make bench-report
```
"""
