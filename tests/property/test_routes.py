"""A key is the same subject on every route: S3's notifications, EventBridge, looks, LIST, commands.

Servers write keys in different ways, and no event says in which.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any
from urllib.parse import quote, quote_plus

import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st

from sluice.admin.session.address import Address
from sluice.conda.names import NO_NAME, package_name
from sluice.errors import Misused
from sluice.extract.handler import ConfigChange, route_event
from sluice.layout import (
    PackageKey,
    Subdir,
    config_key,
    is_package_file,
    parse_package_key,
    parse_subdir_folder,
)
from sluice.messages.s3_event import (
    ObjectEvent,
    parse_s3_event,
    parse_s3_event_body,
    upload_message,
)
from tests.property.test_keys import CHANNELS, FILENAMES, SUBDIR_NAMES

BUCKET = "channel"


def _notification(key: str) -> dict[str, Any]:
    return {"Records": [{"s3": {"bucket": {"name": BUCKET}, "object": {"key": key}}}]}


def _eventbridge(key: str) -> dict[str, Any]:
    detail = {"bucket": {"name": BUCKET}, "object": {"key": key}}
    return {"source": "aws.s3", "detail": detail}


ROUTES: Mapping[str, Callable[[str], Any]] = {
    "AWS's notification": lambda key: _notification(quote_plus(key, safe="/")),
    "MinIO's notification": lambda key: _notification(quote_plus(key, safe="")),
    "Ceph's and MiniStack's notification": _notification,
    "EventBridge, as it is": _eventbridge,
    "EventBridge, encoded": lambda key: _eventbridge(quote(key)),
    "a look by hand": lambda key: {
        "format": 1,
        "sluice": "look",
        "bucket": BUCKET,
        "key": key,
        "size": None,
    },
}
KEYS = st.one_of(
    st.builds(Subdir.file_key, st.builds(Subdir, CHANNELS, SUBDIR_NAMES), FILENAMES),
    st.text(max_size=60),
    st.builds("{}/{}".format, CHANNELS, FILENAMES),
    CHANNELS.map(config_key),
)


def subjects(key: str) -> dict[str, ConfigChange | PackageKey | None]:
    """What each route makes of an object with this key."""
    return {
        route: route_event(parse_s3_event(write(key))[0], bucket=BUCKET)
        for route, write in ROUTES.items()
    }


def by_listing(key: str) -> PackageKey | None:
    """What reconcile makes of it, which lists folder by folder."""
    folder, _, filename = key.rpartition("/")
    subdir = parse_subdir_folder(folder)
    if not subdir or not is_package_file(filename) or package_name(filename) == NO_NAME:
        return None
    return PackageKey(subdir, filename)


@given(KEYS)
@example("team/linux-64/torch-2.1+cpu-0.conda")
@example("a!b/noarch/x-1!2+3-0.conda")
def test_all_routes_agree_on_what_a_key_is_about(key: str) -> None:
    assume(" " not in key and "%" not in key)
    found = subjects(key)
    assert len(set(found.values())) == 1, found
    (subject,) = set(found.values())
    if not isinstance(subject, ConfigChange):
        assert subject == parse_package_key(key) == by_listing(key)


@given(KEYS, st.sampled_from(" %"), st.data())
@example("team/linux-64/x-1-0.conda", "%", None)
def test_no_route_leads_to_a_key_with_a_space_or_a_percent_sign(
    key: str, refused: str, data: st.DataObject | None
) -> None:
    at = data.draw(st.integers(0, len(key))) if data else 2
    bad = key[:at] + refused + key[at:]
    assert parse_package_key(bad) is None
    assert by_listing(bad) is None
    for route, subject in subjects(bad).items():
        # A server that encodes nothing, or a space as a plus, may seem to name another object,
        # which extract then looks at.
        led_to = subject.key if isinstance(subject, PackageKey) else None
        assert led_to != bad, route
        assert " " not in (led_to or ""), route
        assert "%" not in (led_to or ""), route
    if refused == "%" or " " in bad:
        exact = subjects(bad)["EventBridge, encoded"]
        assert exact is None, "an encoder that is no form encoder shows what the key is"


@given(CHANNELS)
def test_an_address_on_the_command_line_names_the_channel_that_events_name(channel: str) -> None:
    subdir = parse_subdir_folder(Subdir(channel, "noarch").prefix[:-1])
    written = f"s3://{BUCKET}/{quote(channel)}"
    if subdir is None:
        with pytest.raises(Misused):
            Address.parse(written)
    else:
        assert Address.parse(written).path == channel
        assert Address.parse(f"s3://{BUCKET}/{channel}").path == channel


@given(KEYS)
def test_a_look_that_sluice_sends_comes_back_as_it_was(key: str) -> None:
    package = parse_package_key(key)
    if package:
        event = ObjectEvent(BUCKET, package.key, None)
        assert parse_s3_event_body(upload_message(event)) == [event]
