"""A channel that is configured before anything lies in it, and one that is configured later."""

from __future__ import annotations

import json

from sluice.layout import config_key
from testkit.channel import conda
from testkit.system import System

CHANNEL = "team"
APP = conda({"name": "app", "version": "1", "build": "0", "build_number": 0, "subdir": "linux-64"})


def test_notices_that_were_configured_before_the_first_package_are_published_with_it() -> None:
    sluice = System(1_750_000_000_000)
    notices = b'[index-config]\nnotices = [{ id = "one", message = "Welcome" }]\n'
    sluice.upload({config_key(CHANNEL): notices, f"{CHANNEL}/{APP.path}": APP.body})
    assert sluice.merger.config_broadcast.notify_all(CHANNEL) == []
    sluice.extract(f"{CHANNEL}/{APP.path}")
    sluice.run_until_idle()
    published = json.loads(sluice.channel.body(f"{CHANNEL}/notices.json"))["notices"]
    assert [(notice["id"], notice["message"]) for notice in published] == [("one", "Welcome")]


def subdirs(sluice: System) -> list[str]:
    listed: list[str] = json.loads(sluice.channel.body(f"{CHANNEL}/channeldata.json"))["subdirs"]
    return listed


def test_an_empty_noarch_is_one_of_the_subdirs_of_a_channel() -> None:
    sluice = System(1_750_000_000_000)
    key = f"{CHANNEL}/{APP.path}"
    configured = b"[sluice]\nchanneldata = true\nrss = true\n"
    sluice.upload({config_key(CHANNEL): configured, key: APP.body})
    sluice.notify(key)
    sluice.run_until_idle()
    assert subdirs(sluice) == ["linux-64", "noarch"]
    sluice.remove(key)
    sluice.notify(key)
    sluice.run_until_idle()
    assert subdirs(sluice) == ["linux-64", "noarch"]


def test_an_empty_noarch_is_listed_too_where_channeldata_is_turned_on_later() -> None:
    sluice = System(1_750_000_000_000)
    key = f"{CHANNEL}/{APP.path}"
    sluice.upload({key: APP.body})
    sluice.notify(key)
    sluice.run_until_idle()
    sluice.upload({config_key(CHANNEL): b"[sluice]\nchanneldata = true\n"})
    sluice.notify(config_key(CHANNEL))
    sluice.run_until_idle()
    assert subdirs(sluice) == ["linux-64", "noarch"]
