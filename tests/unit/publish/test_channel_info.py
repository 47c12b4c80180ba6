"""What index files say of the channel."""

from __future__ import annotations

from msgspec import structs

from sluice.catalog.tree import EMPTY_TREE, Node, NodeExtras
from sluice.channel_config import DEFAULT_CONFIG, ChannelConfig, Relations, Revision
from sluice.publish.channel_info import V3Summary, channel_info

NONE = V3Summary(0, None, None)
SOME = V3Summary(2, 10, 20)


def node(special: NodeExtras | None) -> Node:
    """A name with something special about it."""
    return Node(
        leaf=b"",
        shard=None,
        listing=b"",
        records=1,
        rejects=0,
        extractor=1,
        oldest=None,
        newest=None,
        extras=special,
    )


def test_by_default_there_is_nothing_to_say() -> None:
    assert channel_info(EMPTY_TREE, DEFAULT_CONFIG, NONE) == {}


def test_what_an_index_before_sluice_said_is_said_on_until_it_is_configured() -> None:
    before = {"base_url": "../old/", "channel_relations": {"base": "../old"}, "x": 1}
    tree = structs.replace(EMPTY_TREE, info=before)
    assert channel_info(tree, DEFAULT_CONFIG, NONE) == before
    configured = ChannelConfig(base_url="../new/", channel_relations=Relations(overrides="../over"))
    assert channel_info(tree, configured, NONE) == {
        "base_url": "../new/",
        "channel_relations": {"overrides": "../over"},
        "x": 1,
    }
    assert tree.info == before


def test_revision_3_is_counted_and_dated_where_it_holds_records() -> None:
    told = {"v3": {"n_packages": 2, "oldest": 10, "newest": 20}}
    assert channel_info(EMPTY_TREE, DEFAULT_CONFIG, SOME) == {"repodata_revisions": told}


def test_a_revision_that_is_configured_is_told_of_even_while_it_is_empty() -> None:
    config = ChannelConfig(repodata_revisions=(Revision(revision="v3", message="soon"),))
    told = {"v3": {"message": "soon", "n_packages": 0}}
    assert channel_info(EMPTY_TREE, config, NONE) == {"repodata_revisions": told}


def test_a_message_of_before_stays_until_there_is_another() -> None:
    tree = structs.replace(EMPTY_TREE, info={"repodata_revisions": {"v3": {"message": "old"}}})
    silent = ChannelConfig(repodata_revisions=(Revision(revision="v3"),))
    loud = ChannelConfig(repodata_revisions=(Revision(revision="v3", message="new"),))
    messages = [
        channel_info(tree, config, NONE)["repodata_revisions"]["v3"]["message"]
        for config in (DEFAULT_CONFIG, silent, loud)
    ]
    assert messages == ["old", "old", "new"]


def test_a_tree_is_summarised_by_what_its_nodes_say() -> None:
    names = {
        "a": node(NodeExtras(visible_records=3, v3=2, v3_oldest=5, v3_newest=9, warnings=0)),
        "b": node(NodeExtras(visible_records=1, v3=1, v3_oldest=None, v3_newest=None, warnings=0)),
        "c": node(None),
        "d": node(NodeExtras(visible_records=1, v3=1, v3_oldest=4, v3_newest=4, warnings=0)),
    }
    assert V3Summary.from_tree(structs.replace(EMPTY_TREE, names=names)) == V3Summary(4, 4, 9)


def test_detectors_of_before_stay_until_they_are_configured() -> None:
    before = {"virtual_package_detectors": {"old-detect": ["__old"]}}
    tree = structs.replace(EMPTY_TREE, info=before)
    assert channel_info(tree, DEFAULT_CONFIG, NONE) == before
    assert channel_info(tree, ChannelConfig(virtual_package_detectors={}), NONE) == {}
    detectors: dict[str, tuple[str, ...]] = {"new-detect": ("__new",)}
    told = channel_info(tree, ChannelConfig(virtual_package_detectors=detectors), NONE)
    assert told == {"virtual_package_detectors": detectors}
