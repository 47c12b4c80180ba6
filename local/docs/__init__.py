"""The documentation: its links as a site, and the pages that are made from the source."""
