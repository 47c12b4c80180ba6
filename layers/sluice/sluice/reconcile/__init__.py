"""Reconcile: finds what events missed, and has it repaired.

It decides nothing but how much may be removed at once (``removals``).  It feeds packages to
UploadQueue, stages removals and asks for merges.  Extract and merge look again before they believe
any of it, so whatever it got wrong, or what changed while it was looking, is harmless.
"""
