"""The files of a whole channel: ``channeldata.json``, ``rss.xml``, ``notices.json`` and the page.

A subdir's merge never waits for another's, so none of them writes these files.  Each writes a
*note* of its changes (``note``).  A separate merge, in a group of its own, folds the notes into the
state of the channel (``state``) and publishes it (``merge``).
"""
