"""The files of a whole channel: ``channeldata.json``, ``rss.xml`` and ``notices.json``.

A subdir's merge never waits for another's, so none of them writes these files.  Each leaves a
*note* of what it has changed (``notes``), and a merge of its own, in a group of its own, folds the
notes into what is known of the channel (``state``) and publishes that (``merge``).
"""
