"""Reconcile: finds what events missed, and requests its repair.

Its only decision is how much may be removed at once (``removals``).  It sends packages to
UploadQueue, stages removals and requests merges.  Extract and merge check each of these again.  So
errors of reconcile, and changes during its run, do no harm.
"""
