"""The command line: opens a channel, calls ``sluice.admin``, shows the result.

Never imported by the functions; its dependencies come with ``sluice[cli]``.
"""
