"""Every bound that sluice puts on what it reads, loops over or keeps; units in the names."""

from __future__ import annotations

KIB = 1024
MIB = 1024 * KIB

# --- names (CEP 26) -----------------------------------------------------------------------
NAME_CHARS_MAX = 64
"""Of a package name, a version and a build string each."""
FILENAME_CHARS_MAX = 211
CHANNEL_COMPONENT_CHARS_MAX = 400
"""Of a channel's path, percent-encoded.  S3 keys end at 1,024 bytes; a staging key holds the
channel, the subdir, a filename and an id."""

# --- stored objects of ours ---------------------------------------------------------------
STORED_OBJECT_BYTES_MAX = 1024 * MIB
"""Of one tree, leaf or index file after decompression: far above any real one; stops a bomb."""

# --- merge --------------------------------------------------------------------------------
MERGE_BATCH_RECORDS_MAX = 1000
"""Staging records per commit: one page of LIST."""
CHANNEL_NOTES_MAX = 64
"""Notes of subdirs that a merge of their channel folds at once; one may be of every name."""
MERGE_BATCH_BYTES_MAX = 64 * MIB
"""Of staging records held in memory at once."""
KEYS_PER_PAGE = 1000
"""Of a LIST."""
HEADS_PER_PAGE_MAX = 8
"""Beyond so many HEADs in the place of one page of LIST, the objects of a batch are listed.  A page
costs as much as twelve HEADs, and takes as long as three or four."""
LISTINGS_AT_ONCE = 8
"""Of one folder, each of a part of it."""
NAMES_AT_ONCE = 256
"""Package names whose leaves are held in memory together while they are read or written."""
TREES_CACHED_MAX = 4
"""Trees that an environment of merge keeps: some 10 MB each, in subdirs of half a million."""
LEAVES_CACHED_MAX = 4096
"""Leaves that one merge keeps in memory."""
MERGE_ATTEMPTS_MAX = 10
"""How often a batch is tried again after another merge won the head."""
WRITE_ATTEMPTS_MAX = 5
"""How often one conditional write is settled by looking and trying again."""
EXTRACT_ATTEMPTS_MAX = 3
"""How often a package is read again that was overwritten while it was read."""
MERGE_TIME_RESERVE_MS = 60_000
"""A merge starts no further batch with less than this left before its function is stopped:
what remains is for publishing."""
CONCURRENT_REQUESTS_MAX = 32
"""Requests of one function under way at once."""

REBIND_EXAMPLES_MAX = 20
"""Files of each kind that rebind names per subdir; the counts are of all."""
EVIDENCE_PACKAGES_MAX = 20
"""Packages of one subdir that are looked at to tell a bucket from a copy of it."""

# --- reconcile ----------------------------------------------------------------------------
RECONCILE_TIME_RESERVE_MS = 300_000
"""A step begins nothing further with less than this left before its function is stopped: what has
been begun ends meanwhile, the listing of a million objects included."""
KEYS_PER_STOP_CHECK = 1000
"""Keys after which the walk through a bucket lets a step stop: a page of LIST."""
PROVISIONAL_REJECT_HOURS = 20
"""A package that could not be read is tried again when its reject is older: by every daily run,
and not by two runs in a row."""
REPORT_EXAMPLES_MAX = 20
"""Filenames per subdir and kind of difference in a report."""
REPORT_SUBDIRS_MAX = 100
"""Subdirs per step in a report; the counts are of all."""

# --- the brake on removals ------------------------------------------------------------------
BRAKE_PACKAGES_MIN = 50
"""Packages in an index from which on a comparison may not remove more than half of them at once.
A smaller index can be emptied by a few deletions on purpose."""
BRAKE_DAYS = 3
"""For which such a removal waits: the default of the template."""
MISSING_CHECKS_MAX = 20
"""Missing objects that are looked at one by one before a listing is believed.  If half of them are
there, twenty looks overlook that once in a million times; if one in ten is, once in eight."""
LISTING_ATTEMPTS_MAX = 3
"""How often a subdir is listed again because objects came to be there after it was listed."""

# --- indexing without functions -----------------------------------------------------------
INDEX_MAX_AGE_SECONDS = 60
"""How long clients may keep an index file that no stack publishes: the default of the template."""
INDEX_COMMIT_RECORDS_MAX = 5000
"""Packages that are read before what was read is committed: so many are read again by the next run
where this one is killed."""
INDEX_COMMIT_SECONDS = 60
"""The same in time, for packages that take long."""
INDEX_TIME_LEFT_MS = 24 * 60 * 60 * 1000
"""What a merge or a comparison is told that it has: no function is stopped here."""
INDEX_SUBDIRS_AT_ONCE = 4
"""Subdirs that are compared with the catalog at once; a listing of half a million packages takes
some 200 MB."""
INDEX_PROCESSES_PACKAGES_MIN = 3000
"""From here on packages are read in processes of their own, which take a second to start."""

# --- verifying ----------------------------------------------------------------------------
VERIFY_ATTEMPTS_MAX = 3
"""How often a subdir is looked at again that merges have changed meanwhile."""

# --- garbage ------------------------------------------------------------------------------
GARBAGE_AGE_SECONDS = 24 * 60 * 60
"""Nothing younger is garbage.  Far more than the sum of ``SWAP_SECONDS_MAX``, of the 15 minutes for
which S3 takes a request after it was signed, and of what clocks may be wrong by."""
SWAP_SECONDS_MAX = 60 * 60
"""From the first write that a new head refers to until that head is swapped.  A process that slept
for longer, with the lid of its laptop closed say, begins again: the collector may have deleted what
it wrote.  No merge takes that long; the limit of a function is a quarter of it."""
GARBAGE_AT_ONCE_MAX = 50_000
"""Objects that one run deletes per subdir: a minute or two; the rest waits for the next run."""
MARKS_MAX = 1000
"""Marks that are kept per subdir; a daily run needs one per day of RetentionDays."""

RECONCILE_SILENCE_SECONDS_MAX = 45 * 60
"""For which whoever follows a run waits for its next step: one that fails is tried five times."""

# --- AWS ----------------------------------------------------------------------------------
ATTEMPTS_MAX = 4
"""Of one request, by the SDK; then the queue retries the whole message."""
RETRY_WAIT_SECONDS_MAX = 20
"""Between two tries of one request."""
CONNECT_TIMEOUT_SECONDS = 5
READ_TIMEOUT_SECONDS = 20
"""Between two pieces of an answer, not for the whole of it."""
INVOCATION_SECONDS_MAX = 910
"""For which a person's machine waits for an invocation: longer than Lambda lets any run."""
STREAM_CHUNK_BYTES = MIB
SINGLE_PUT_BYTES_MAX = 64 * MIB
"""Up to here an object is written with one request."""
PUT_BYTES_MAX = 5 * 1024 * MIB
"""Of one PutObject: S3's own limit.  Only servers whose uploads in parts are not conditional get
more than ``SINGLE_PUT_BYTES_MAX`` at once."""
PART_BYTES = 32 * MIB
"""Of a larger one, per request; S3 takes 5 MiB to 5 GiB."""
CONCURRENT_COMPRESS_BYTES_MIN = SINGLE_PUT_BYTES_MAX
"""From here on an index file is sent while its compressed form is made."""
PRERENDER_BYTES_MAX = 4 * MIB
"""Of the last ``.zst``, up to which the next one is made before its generation is committed.
That is 40,000 records or more, which Python reads and renders in less than a tenth of a second; all
else in it stands still for that long."""
PARTS_AT_ONCE = 4
"""Of one upload; a connection to S3 carries less than a function's network does."""
KEYS_PER_DELETE_MAX = 1000
"""What S3's DeleteObjects takes."""
INVALIDATION_PATHS_MAX = 3000
"""Paths of one CloudFront invalidation: so many, without wildcards, may be in progress for a
distribution at a time.
https://docs.aws.amazon.com/AmazonCloudFront/latest/DeveloperGuide/InvalidationLimits.html"""
DEDUPLICATION_IDS_CACHED_MAX = 1000
"""Merges that one execution environment of extract has asked for, and need not ask for again."""
MESSAGES_PER_BATCH_MAX = 10
"""What SQS's SendMessageBatch takes."""

# --- reading packages ---------------------------------------------------------------------
SMALL_PACKAGE_BYTES_MAX = 4 * MIB
"""Up to here one GET of everything is cheaper than several of parts."""
CONDA_TAIL_BYTES = 256 * KIB
"""First ranged GET of a .conda.  Must exceed the 64 KiB that a zip comment may have; the rest is
room for the info member, which usually comes last, so that a second GET is rarely needed."""
ZIP_MEMBERS_MAX = 64
"""A .conda has three."""
ZIP_LOCAL_HEADER_BYTES_MAX = 30 + 2 * (64 * KIB - 1)
"""A fixed part, a name and an extra field."""
INFO_PACKED_BYTES_MAX = 16 * MIB
"""Of the info member of a .conda, held in memory; real ones have kilobytes."""
INFO_UNPACKED_BYTES_MAX = 256 * MIB
"""Of the same, unpacked in passing; recipes and test data in it make some large."""
ZSTD_WINDOW_BYTES_MAX = 128 * MIB
"""What zstd decoders accept by default, and what level 22 declares: not less, or packages that
clients can read would be rejected.  The memory is only used as far as data fills it."""
ZSTD_INPUT_CHUNK_BYTES = 512
"""Fed to zstd at once: it may unpack to 16 MiB, and ordinarily does to a few KiB."""
UNPACK_CHUNK_BYTES = 64 * KIB
"""Fed to bzip2, and taken from it, at once."""
BZ2_STREAMS_MAX = 100_000
"""Of one .tar.bz2.  Parallel compressors start one per 900 kB; a million empty ones are an
attack."""
TAR_BZ2_UNPACKED_BYTES_MAX = 2048 * MIB
"""Unpacked in passing until info/index.json and its neighbours were found; builders put
them first.  At 22 MB/s on a whole CPU, of which extract has half, a larger archive of something
else would be killed by the timeout, again every day, instead of being rejected for good."""
TAR_HEADERS_MAX = 250_000
"""ObjectHeaders of one tar archive that are looked at; seconds of work."""
TAR_EXTENDED_HEADERS_BYTES_MAX = 16 * MIB
"""Long names and pax headers of one tar archive together; seconds of work."""
INDEX_JSON_BYTES_MAX = MIB
ABOUT_JSON_BYTES_MAX = MIB
RUN_EXPORTS_JSON_BYTES_MAX = 256 * KIB
PATHS_JSON_BYTES_MAX = 8 * MIB
"""Some 30,000 files.  A larger one is left out, for its entries take a multiple in memory."""
JSON_DEPTH_MAX = 32
"""Of index.json; real ones have three levels.  Far below what recursive parsers survive."""
CHANNELDATA_FIELD_BYTES_MAX = 16 * KIB
"""Of one field of about.json; a larger one is left out."""

# --- configuration and patches -------------------------------------------------------------
CONFIG_BYTES_MAX = 64 * KIB
"""Of one sluice.toml."""
CONFIG_DOTS_MAX = 256
"""Of one of its lines: for a key of n parts tomllib takes time and memory that grow with n²."""
REVISION_MESSAGE_BYTES_MAX = 8192
"""CEP 48."""

PATCH_PACKAGE_BYTES_MAX = 64 * MIB
"""Of a patch package, held in memory; conda-forge's has a few MiB."""
PATCH_INSTRUCTIONS_BYTES_MAX = 256 * MIB
"""Of one patch_instructions.json; conda-forge's largest has some 30 MB."""
PATCH_UNPACKED_BYTES_MAX = 1024 * MIB
"""Of all that is in a patch package."""

# --- records ------------------------------------------------------------------------------
RECORD_BYTES_MAX = 256 * KIB
"""Of one record as JSON.  Every client downloads every record."""
REJECT_PROBLEMS_MAX = 8
"""In the sentence of one reject."""
PROBLEM_VALUE_CHARS_MAX = 80
"""Of a value quoted in that sentence."""
REJECT_SENTENCE_CHARS_MAX = 4096
"""Of a whole sentence: a zip may hold names of 64 KiB, and sentences are stored and logged."""

CURRENT_REPODATA_CHECKS_MAX = 10_000_000
"""Clauses of match specs that are held against a version for one ``current_repodata.json``: about
a minute of a CPU."""
