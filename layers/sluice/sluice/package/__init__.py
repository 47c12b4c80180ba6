"""Reads conda packages in a bucket, without downloading them whole if possible.

``reader.py`` decides which requests to make; ``conda_zip.py`` and ``tar_bz2.py`` read the two
archive formats (CEP 35), ``tar_stream.py`` the tar stream inside both, ``tar_sparse.py`` its sparse
members, and ``info_files.py`` the JSON of ``info/`` (CEP 34).  ``digest_sources.py`` finds the
checksums.  ``patch_package.py`` reads packages with repodata patches.

The input is hostile until proven otherwise.  Member names are only compared, nothing is ever
written to disk, and every loop and buffer has a bound in ``limits.py``.  Every problem of a
package is one ``BadPackage`` with a stable code:

=========================  ==================================================================
archived                   in an archive storage class, must be restored first
empty-file                 zero bytes
zip-invalid                no zip file, damaged, truncated, or contradicting itself
zip-too-many-members       far more members than a .conda has
zip-member-compressed      CEP 35 forbids it, and clients cannot read it
zip-member-encrypted       clients cannot read it
zip-member-duplicate       clients would disagree about which one counts
zip-members-overlap        one member's bytes inside another's: a zip bomb
conda-member-missing       no info- or no pkg- member
conda-member-misnamed      info- or pkg- member of another package: a renamed file
zstd-invalid               the info- member is not zstd, is damaged, or needs too much memory
bz2-invalid                the .tar.bz2 is not bzip2, or damaged
tar-invalid                damaged or contradicting tar headers
tar-too-many-members       a tar bomb
truncated                  the archive ends too early
info-too-large             too many unpacked bytes before the info files: a bomb
info-member-duplicate      a file of info/ occurs twice: clients would disagree
info-member-not-a-file     a link, directory or device in place of a file of info/
index-json-missing         no info/index.json
index-json-too-large       larger than any real one
index-json-invalid         not JSON, not UTF-8, no object, NaN, a key given twice
index-json-too-deep        nested deeper than any real one
member-too-large           patch instructions larger than any real ones
patch-too-large            a patch package larger than any real one
patch-invalid              a patch that cannot be applied, or whose result clients cannot read
=========================  ==================================================================
"""
