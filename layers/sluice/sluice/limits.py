"""The bounds on what sluice reads, loops over or keeps, with units in their names."""

from __future__ import annotations

KIB = 1024
MIB = 1024 * KIB

# --- names (CEP 26) -----------------------------------------------------------------------
NAME_CHARS_MAX = 64
"""Characters in a package name, in a version and in a build string."""
FILENAME_CHARS_MAX = 211
CHANNEL_COMPONENT_CHARS_MAX = 400
"""Characters in a channel's path, percent-encoded.  S3 keys end at 1,024 bytes, and a staging key
holds the channel, the subdir, a filename and an id."""

CHANNEL_DEPTH_MAX = 8
"""Components of a channel's path.  Real ones have one to three.  Publishers whose policy has a
wildcard can make up subdirs in deeper folders; each subdir has an index and merges of its own."""

# --- stored objects of ours ---------------------------------------------------------------
STORED_OBJECT_BYTES_MAX = 1024 * MIB
"""Bytes of one tree, leaf or index file after decompression.  Far above any real one; stops a
decompression bomb."""
PACKED_LEAVES_MIN = 17
"""Leaves of one commit from which on they are written into packs.  Up to here a merge sends all of
them at once and waits no longer.  Single uploads, which are most commits, leave no packs."""
PACK_BYTES_MAX = 4 * MIB
"""Bytes of one pack: some 4,000 usual leaves.  As much is read where a part of it does not hold."""
PACKED_LEAF_BYTES_MAX = PACK_BYTES_MAX // 16
"""Bytes of a leaf above which it is an object of its own.  One more request costs little beside
such a leaf, and no pack keeps it when its name changes."""
PACKS_AT_ONCE_MAX = 4
"""Packs that one draft has in memory while they are written, beside the one that it fills."""
PACK_GAP_BYTES_MAX = 256 * KIB
"""Bytes between two leaves of a pack that are read along, because one request for both is faster: 4
ms, where a request takes 15."""
LEAF_BYTES_MAX = 256 * MIB
"""Bytes of one leaf before compression.  A leaf of 100,000 usual packages has a third of it; one
publisher can reach it with a thousand of the largest records."""

# --- merge --------------------------------------------------------------------------------
MERGE_BATCH_RECORDS_MAX = 1000
"""Staging records per commit: one page of LIST."""
CHANNEL_NOTES_MAX = 64
"""Notes from subdirs that a merge of their channel applies at once.  One note may name every
package."""
UNEXPLAINED_SET_ASIDE_MAX = 10
"""Staging records that one merge sets aside because it fails with each of them alone, for an
unforeseen reason.  If there are more, the reason is something else."""
MERGE_BATCH_BYTES_MAX = 64 * MIB
"""Bytes of staging records in memory at once."""
KEYS_PER_PAGE = 1000
"""Keys in one page of LIST."""
HEADS_PER_PAGE_MAX = 8
"""HEAD requests that may replace one page of LIST.  Where a batch would need more, its objects are
listed.  A page costs as much as twelve HEADs and takes as long as three or four."""
LISTINGS_AT_ONCE = 8
"""Concurrent listings of one folder, each of a part of it."""
NAMES_AT_ONCE = 256
"""Package names whose leaves are in memory together while they are read or written."""
FILES_AT_ONCE = 10_000
"""Files of these names together, unless one name has more: some 30 MB, and seconds of CPU."""
TREES_CACHED_MAX = 4
"""Trees that a merge environment caches: some 10 MB each, in subdirs of half a million packages."""
LEAVES_CACHED_MAX = 4096
"""Leaves that one merge caches."""
FILES_CACHED_MAX = 100_000
"""Files in these leaves: some 300 MB."""
MERGE_ATTEMPTS_MAX = 10
"""Attempts to read or to swap a head (or another versioned object) that other writers change each
time."""
WRITE_ATTEMPTS_MAX = 5
"""Attempts of one conditional write, each after reading the object back."""
EXTRACT_ATTEMPTS_MAX = 3
"""Attempts to read a package that is overwritten during the read."""
MERGE_TIME_RESERVE_MS = 60_000
"""Time that must be left before its function is stopped for a merge to start a further batch.  The
rest is for publishing; a large subdir is given more (``take_over_steps.publish_reserve_ms``)."""
TAKE_OVER_IN_STEPS_RECORDS_MIN = 20_000
"""Records of an existing index from which on it is taken over in steps, if time runs short.  A
smaller one takes seconds: ten where each package has a name of its own."""
TAKE_OVER_ATTEMPTS_MAX = 3
"""Attempts at one take-over, of ``SWAP_SECONDS_MAX`` each.  Then its merges fail until a day later:
a function that is too slow must not work on it forever."""
PUBLISHED_NAMES_PER_SECOND = 500
"""Leaves that the first publication of a subdir reads in a second, at least."""
PUBLISHED_FILES_PER_SECOND = 20_000
"""Records that it renders in a second, at least."""
PUBLISH_TIME_RESERVE_MS_MAX = 120_000
"""Time that is kept for that beside ``MERGE_TIME_RESERVE_MS``, at most: the rest is for merging."""
CONCURRENT_REQUESTS_MAX = 32
"""Concurrent requests of one function."""

REBIND_EXAMPLES_MAX = 20
"""Example files of each kind that rebind names per subdir.  The counts include all files."""
EVIDENCE_PACKAGES_MAX = 20
"""Packages of one subdir that are checked to tell a bucket from a copy of it."""

# --- reconcile ----------------------------------------------------------------------------
RECONCILE_TIME_RESERVE_MS = 300_000
"""Time that must be left before its function is stopped for a step of reconcile to begin further
work.  Work in progress can end in this time, including the listing of a million objects."""
KEYS_PER_STOP_CHECK = 1000
"""Keys after which a walk through a bucket checks whether to stop: one page of LIST."""
PROVISIONAL_REJECT_HOURS = 20
"""Age of a provisional reject after which its package is tried again.  Every daily run does so, but
two runs in a row do not."""
RECONCILE_STEP_SILENCE_SECONDS_MAX = 2 * 60 * 60
"""Age of the last step's report after which a run does not go on by itself any more.  A step that
is killed each time is tried five times, each 16 minutes (ReconcileQueue's visibility timeout) after
the one before."""
REPORT_EXAMPLES_MAX = 20
"""Filenames per subdir and kind of difference in a report."""
REPORT_SUBDIRS_MAX = 100
"""Subdirs per step in a report.  The counts include all subdirs."""
MISPLACED_EXAMPLES_MAX = 10
"""Examples of misplaced files per channel.  The counts include all files."""
MISPLACED_CHANNELS_MAX = 100
"""Presumed channels whose misplaced files are counted apart; all others are counted together."""
MISPLACED_KEY_CHARS_MAX = 300
"""Characters of a misplaced file's key, and of the reason.  A key may have a KiB, and Lambda limits
a response to 6 MB."""

# --- the check of digests that uploaders state ----------------------------------------------
DIGEST_CHECK_PACKAGES_MAX = 100
"""Packages of one subdir that reconcile hashes per day (UTC): 100 GET requests, $0.00004."""
DIGEST_CHECK_BYTES_MAX = 1024 * MIB
"""Bytes of one subdir that reconcile hashes per day.  At the 75 MB/s of one connection they take 14
s of a function of 1,769 MB, $0.0004.  A thousand subdirs of which much is unchecked then take four
hours of the day until the next run.  Only the day's first package may be larger."""
DIGEST_CHECK_PACKAGE_BYTES_MAX = 4 * DIGEST_CHECK_BYTES_MAX
"""Size above which a package is not checked.  In a time of ``RECONCILE_TIME_RESERVE_MS`` it can be
read at 15 MB/s.  A hash cannot be continued by the next step."""
DIGEST_CHECKS_AT_ONCE = 10
"""Packages that are hashed together, each in chunks of ``STREAM_CHUNK_BYTES``.  If the process is
killed, these are hashed again."""
DIGEST_LOOKS_MAX = 1000
"""Packages of one subdir whose leaves one run reads to tell which of them must be hashed."""
DIGEST_CHECKS_REMEMBERED_MAX = 500_000
"""Packages of one subdir that are checked, the youngest: eight bytes are remembered of each, 4 MB.
Older ones beyond that are not checked."""

# --- the brake on removals ------------------------------------------------------------------
BRAKE_PACKAGES_MIN = 50
"""Packages in an index from which on a comparison may not remove more than half of them at once.  A
few intended deletions can empty a smaller index."""
BRAKE_DAYS = 3
"""Days that such a removal waits: the template's default."""
MISSING_CHECKS_MAX = 20
"""Missing objects that are checked one by one before a listing is trusted.  If half of the missing
objects exist, twenty checks miss that once in a million times; if one in ten does, once in
eight."""
LISTING_ATTEMPTS_MAX = 3
"""Listings of one subdir, where each leaves out objects that were created after it."""

# --- indexing without functions -----------------------------------------------------------
INDEX_MAX_AGE_SECONDS = 60
"""Seconds that clients may cache an index file of a channel without a stack: the template's
default."""
INDEX_COMMIT_RECORDS_MAX = 5000
"""Packages that ``sluice index`` reads between two commits.  If the process is killed, the next run
reads at most this many again."""
INDEX_COMMIT_SECONDS = 60
"""Seconds between two commits, for packages that take long to read."""
INDEX_TIME_LEFT_MS = 24 * 60 * 60 * 1000
"""Time left that merges and comparisons see outside Lambda, where no function is stopped."""
INDEX_SUBDIRS_AT_ONCE = 4
"""Subdirs that are compared with the catalog at once.  The listing of half a million packages takes
some 200 MB."""
READ_AHEAD_PACKAGES_MAX = 32
"""Small packages whose requests one process of ``sluice index`` has under way at once.  At 15 ms
per request it reads 2,000 in a second, which is about what a core can judge."""
READ_AHEAD_ALL_MAX = 512
"""The same of all processes together."""
READ_AHEAD_BYTES_MAX = 256 * KIB
"""Size up to which a package is small: its bytes wait in the buffers of its connection."""
INDEX_PROCESSES_PACKAGES_MIN = 3000
"""Packages above which they are read in separate processes, which take a second to start."""

# --- watching -----------------------------------------------------------------------------
WATCH_POLL_SECONDS = 300
"""Seconds between two listings of ``sluice watch``, if events arrive as well."""
WATCH_POLL_UNNOTIFIED_SECONDS = 30
"""The same if nothing is notified."""
WATCH_POLL_SECONDS_MIN = 1
WATCH_DEBOUNCE_SECONDS = 10
"""Seconds of a window, in which the uploads of a burst share a merge: the template's default."""
WATCH_RETRY_SECONDS_MIN = 5
"""Seconds until a listing is repeated that failed.  Twice as long after each further failure."""
WATCH_FULL_LISTING_SECONDS = 24 * 60 * 60
"""Seconds after which a channel is compared with its catalog though nothing has changed: to collect
garbage, and to read again each day what could not be read."""
WATCH_WAITING_LISTING_SECONDS = 60 * 60
"""The same while removals wait for some days."""
WATCH_HINTS_MAX = 100_000
"""Objects of one channel that events have named and that are not read yet.  Beyond it, a listing
finds the others."""
WATCH_NOTIFICATION_BYTES_MAX = MIB
"""Bytes of the body of one notification."""
WATCH_STOP_SECONDS = 12
"""Seconds for which work under way may go on after SIGTERM.  The process ends within 20."""
WATCH_STACK_TRACE_SECONDS = 8 * 24 * 60 * 60
"""Age of the last run of a stack's reconcile up to which the stack counts as alive: a weekly
schedule and a day."""
LEASE_RENEWAL_SECONDS = 15
LEASE_SILENCE_SECONDS = 45
"""Seconds without a renewal after which a standby takes a lease over."""

# --- verifying ----------------------------------------------------------------------------
VERIFY_ATTEMPTS_MAX = 3
"""Attempts to verify a subdir that merges change meanwhile."""

# --- garbage ------------------------------------------------------------------------------
GARBAGE_AGE_SECONDS = 24 * 60 * 60
"""Age below which nothing is garbage.  Far more than the sum of ``SWAP_SECONDS_MAX``, the 15
minutes for which S3 accepts a signed request, and the error of clocks."""
SWAP_SECONDS_MAX = 60 * 60
"""Time from the first write that a new head refers to until the swap of that head.  A process that
slept longer, for example in a closed laptop, begins again, because garbage collection may have
deleted what it wrote.  No merge takes that long: the time limit of a function is a quarter of
it."""
GARBAGE_AT_ONCE_MAX = 50_000
"""Objects that one run deletes per subdir.  That takes a minute or two; the next run continues."""
MARKS_MAX = 1000
"""Marks that are kept per subdir.  A daily run needs one per day of RetentionDays."""

RECONCILE_SILENCE_SECONDS_MAX = 45 * 60
"""Time that a client which follows a run waits for its next step.  A failing step is tried five
times."""

# --- AWS ----------------------------------------------------------------------------------
ATTEMPTS_MAX = 4
"""Attempts of one request by the S3 client.  After that the queue retries the whole message."""
RETRY_WAIT_SECONDS_MAX = 20
"""Wait between two attempts of one request, at most."""
CONNECT_TIMEOUT_SECONDS = 5
CONNECT_TIMEOUT_ELSEWHERE_SECONDS = 2
"""The same for an S3-compatible server: a person who mistypes its address waits for this."""
UNREACHABLE_ATTEMPTS_MAX = 2
"""Attempts of a request if there is no connection to a server that has not answered before."""
SNIFF_SECONDS = 0.5
"""Wait for an answer in plain HTTP of a server that does not answer a TLS handshake."""
READ_TIMEOUT_SECONDS = 20
"""Wait for the next piece of a response, not for all of it."""
INVOCATION_SECONDS_MAX = 910
"""Time that a client waits for a Lambda invocation: longer than Lambda lets a function run."""
STREAM_CHUNK_BYTES = MIB
SINGLE_PUT_BYTES_MAX = 64 * MIB
"""Size up to which an object is written in one request."""
PUT_BYTES_MAX = 5 * 1024 * MIB
"""Size of one PutObject: S3's own limit.  Only servers without conditional multipart uploads get
more than ``SINGLE_PUT_BYTES_MAX`` in one request."""
PART_BYTES = 32 * MIB
"""Size of each part of a multipart upload.  S3 accepts 5 MiB to 5 GiB."""
CONCURRENT_COMPRESS_BYTES_MIN = SINGLE_PUT_BYTES_MAX
"""Size from which an index file is uploaded while its compressed form is made."""
PRERENDER_BYTES_MAX = 4 * MIB
"""Size of the last ``.zst`` up to which the next one is made before its generation is committed.
That is 40,000 records or more, which Python reads and renders in less than a tenth of a second.
All other threads stop for that long."""
LEADING_EDGE_WAIT_MS_MAX = 2000
"""Time from the send of a merge request to its first receipt up to which it is merged early.  A
request that waits longer waited for another merge of its subdir, or for a function."""
PUBLISHING_SECONDS_MAX = 15 * 60
"""Time for which staging records may wait for their merge without anything being wrong: a debounce
of five minutes, and a merge that is killed once."""
LEADING_INDEX_BYTES_MAX = 16 * MIB
"""Size of ``repodata.json`` up to which an early merge publishes all files, some 20,000 records.
From a larger index it publishes the shards alone, and leaves seconds of work to the merge that is
due."""
PARTS_AT_ONCE = 4
"""Parts of one upload sent at once.  One connection to S3 is slower than a function's network."""
KEYS_PER_DELETE_MAX = 1000
"""Keys per request: the limit of S3's DeleteObjects."""
INVALIDATION_PATHS_MAX = 3000
"""Paths of one CloudFront invalidation.  So many paths without wildcards may be in progress for a
distribution at a time.
https://docs.aws.amazon.com/AmazonCloudFront/latest/DeveloperGuide/InvalidationLimits.html"""
DEDUPLICATION_IDS_CACHED_MAX = 1000
"""Merge requests that one execution environment of extract remembers, so as not to send them
again."""
MESSAGES_PER_BATCH_MAX = 10
"""Messages per request: the limit of SQS's SendMessageBatch."""

# --- reading packages ---------------------------------------------------------------------
SMALL_PACKAGE_BYTES_MAX = 4 * MIB
"""Size up to which one GET of the whole package is cheaper than several of its parts."""
CONDA_TAIL_BYTES = 256 * KIB
"""Bytes of the first ranged GET of a .conda.  They must exceed the 64 KiB that a zip comment may
have.  The rest is room for the info member, which usually comes last, so that a second GET is
rarely needed."""
ZIP_MEMBERS_MAX = 64
"""Members of a .conda.  A real one has three."""
ZIP_LOCAL_HEADER_BYTES_MAX = 30 + 2 * (64 * KIB - 1)
"""Bytes of a local file header: a fixed part, a name and an extra field."""
INFO_PACKED_BYTES_MAX = 16 * MIB
"""Bytes of the info member of a .conda, held in memory.  Real ones have kilobytes."""
INFO_UNPACKED_BYTES_MAX = 256 * MIB
"""Bytes of the info member after decompression, which is streamed.  Recipes and test data make some
large."""
ZSTD_WINDOW_BYTES_MAX = 128 * MIB
"""Window that zstd decoders accept by default, and that level 22 declares.  With a smaller limit,
packages that clients can read would be rejected.  Memory is only used as data fills it."""
ZSTD_INPUT_CHUNK_BYTES = 512
"""Compressed bytes per call of zstd.  They may decompress to 16 MiB; usually it is a few KiB."""
UNPACK_CHUNK_BYTES = 64 * KIB
"""Bytes per call of bzip2, for input and output."""
BZ2_STREAMS_MAX = 10_000
"""Streams in the part of a .tar.bz2 that is read.  Parallel compressors start one per 900 kB; an
empty one takes a third of a millisecond."""
TAR_BZ2_INDEX_BYTES_MAX = 64 * MIB
"""Bytes of a .tar.bz2 that are decompressed in search of info/index.json, which builders put first:
3 s of CPU.  A file of 1 MiB can hold a hundred times as much of something else."""
TAR_BZ2_UNPACKED_BYTES_MAX = 320 * MIB
"""Bytes that are decompressed for all of info/, as for a .conda."""
PACKAGE_CPU_SECONDS_MAX = 20
"""CPU time in which the info files of one package must be unpacked.  Real packages take less than a
second."""
FIRST_READ_INDEX_BYTES_MAX = 2 * MIB
"""Bytes that the first lane unpacks in search of info/index.json.  rattler-build and conda-build
put it into the first KiB.  Old .conda files have the list of all files in front of it: 30,000 files
fit here."""
FIRST_READ_CPU_SECONDS_MAX = 0.25
"""CPU time in which the first lane must unpack the info files.  Real packages take a hundredth of
that; bzip2 unpacks some 5 MiB in it."""
FIRST_READ_WHOLE_BYTES_MAX = 256 * MIB
"""Size up to which the first lane reads a whole object to hash it: half a second of CPU.
Larger packages usually come with digests of the uploader or of S3."""
TAR_HEADERS_MAX = 250_000
"""Headers of one tar archive that are read: seconds of work."""
TAR_EXTENDED_HEADERS_BYTES_MAX = 16 * MIB
"""Bytes of long names and pax headers in one tar archive: seconds of work."""
INDEX_JSON_BYTES_MAX = MIB
ABOUT_JSON_BYTES_MAX = MIB
RUN_EXPORTS_JSON_BYTES_MAX = 256 * KIB
PATHS_JSON_BYTES_MAX = 8 * MIB
"""Bytes of paths.json: some 30,000 files.  A larger one is left out, because its entries take a
multiple of that in memory."""
JSON_DEPTH_MAX = 32
"""Nesting depth of index.json.  Real ones have three levels.  Far below the limit of recursive
parsers."""
CHANNELDATA_FIELD_BYTES_MAX = 16 * KIB
"""Bytes of one field of about.json.  A larger field is left out."""

# --- configuration and patches -------------------------------------------------------------
CONFIG_BYTES_MAX = 64 * KIB
"""Bytes of one sluice.toml."""
CONFIG_DOTS_MAX = 256
"""Dots in one line of sluice.toml: for a key of n parts, tomllib's time and memory grow with n²."""
CONFIG_WARNINGS_MAX = 20
"""Warnings about one sluice.toml."""
DETECTORS_MAX = 64
"""Packages that detect virtual packages in one channel (conda/ceps#192): with more, clients use
none."""
DETECTED_PACKAGES_MAX = 16
"""Virtual packages that one of these reports (conda/ceps#192)."""
REVISION_MESSAGE_BYTES_MAX = 8192
"""Bytes of a revision's message (CEP 48)."""

PATCH_PACKAGE_BYTES_MAX = 64 * MIB
"""Bytes of a patch package, held in memory.  conda-forge's has a few MiB."""
PATCH_INSTRUCTIONS_BYTES_MAX = 256 * MIB
"""Bytes of one patch_instructions.json.  conda-forge's largest has some 30 MB."""
PATCH_UNPACKED_BYTES_MAX = 1024 * MIB
"""Bytes of a whole patch package after decompression."""

# --- records ------------------------------------------------------------------------------
SHARD_BYTES_WARNED = 16 * MIB
"""Bytes of one shard without compression above which there is a warning: conda refuses it.
``ZSTD_MAX_SHARD_SIZE`` in ``conda/_private/shards/shards.py`` of https://github.com/conda/conda,
read at 26.7.1 and 0f64223fb8.  conda 26.5.3 has the same number, but the length in the header of a
zstd frame, which shards have, takes precedence there."""
RECORD_BYTES_MAX = 256 * KIB
"""Bytes of one record as JSON.  Every client downloads every record."""
LARGE_RECORD_BYTES_MIN = 4 * KIB
"""Bytes of a record as JSON from which it is large.  Usual ones have 600."""
LARGE_RECORDS_BYTES_MAX = 64 * MIB
"""Bytes of all large records of one subdir.  Without this bound 4,000 uploads could make an index
of 1 GiB, which neither merge nor a client can hold."""
REJECT_PROBLEMS_MAX = 8
"""Problems that the sentence of one reject names."""
PROBLEM_VALUE_CHARS_MAX = 80
"""Characters of a value that the sentence quotes."""
REJECT_SENTENCE_CHARS_MAX = 512
"""Characters of a whole sentence: room for the longest filename twice.  A zip may hold names of
64 KiB, and sentences are stored and logged."""
REJECT_SENTENCES_PER_NAME_MAX = 1000
"""Rejects of one package name that keep their sentences.  All others keep their codes only, so that
a leaf of all the rejects that a subdir keeps is read in half a second."""
REJECTS_PER_SUBDIR_MAX = 50_000
"""Rejects that the catalog of one subdir keeps.  Anybody who may upload can make as many as they
like, and each merge reads the tree.  A further file that cannot be indexed is not noted."""
REQUEUED_BEYOND_REJECTS_MAX = 200
"""Unknown files of a subdir that is full of rejects that one step of reconcile has read."""
REJECTS_LISTED_MAX = 1000
"""Rejects, and as many warnings, that the document of one subdir lists.  It counts the others."""
REJECTS_LISTED_PER_NAME_MAX = 100
"""Of these, those of one package name, if not all can be listed."""
REJECTS_LISTED_BYTES_MAX = 900 * KIB
"""Bytes of all items of that document.  With its head it stays below 1 MiB."""

RETIRE_EXAMPLES_MAX = 3
"""Packages that the sentence names about a channel that cannot be retired because of them."""
SUGGESTION_HEADS_MAX = 5_000
"""Heads of a state that are listed to suggest a channel instead of one that it does not know."""
SUGGESTIONS_LISTED_MAX = 8
"""Channels or subdirs that such a sentence lists."""

CURRENT_REPODATA_CHECKS_MAX = 10_000_000
"""Comparisons of a match spec clause with a version for one ``current_repodata.json``: about a
minute of CPU."""
