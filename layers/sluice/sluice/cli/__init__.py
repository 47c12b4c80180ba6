"""The command line: opens a channel, calls ``sluice.admin``, shows the result.

Never imported by the functions, and not in their layer: only this needs cyclopts and rich.
"""
