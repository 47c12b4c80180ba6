"""The catalog: a content-addressed tree per subdir, under one small head that is swapped.

``head`` → ``commit`` and ``tree`` → ``leaf`` → entries.  Everything but the head is immutable,
named by the SHA-256 of its bytes, and written before the head that refers to it.
"""
