"""The extract function: from an event about one object to a staging record and a merge request."""
