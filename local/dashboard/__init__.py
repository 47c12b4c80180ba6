"""The picture of the dashboard in ``docs/``: the template's definition, on made-up data."""
