"""A one-node Ceph with its S3 gateway (RGW), all data in memory: ready within half a minute.

``python -m testkit.real_s3.ceph`` installs it from Debian's packages, where it is not there yet.
"""

from __future__ import annotations

import os
import subprocess
import sys
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from shutil import which
from tempfile import TemporaryDirectory

from testkit.http1 import LOOPBACK
from testkit.real_s3.server import (
    ACCESS_KEY,
    SECRET_KEY,
    Daemon,
    RealServer,
    ServerError,
    daemons,
    free_ports,
    wait_until,
)

PACKAGES = ("ceph-mon", "ceph-mgr", "ceph-osd", "ceph-common", "radosgw")
"""Debian's packages."""
PROGRAMS = (
    *("ceph", "ceph-authtool", "ceph-mgr", "ceph-mon", "ceph-osd", "monmaptool"),
    *("radosgw", "radosgw-admin"),
)
CANNOT_INSTALL = "Ceph is not installed, and installing it takes root and apt-get"
_REGION = "default"
_MON, _MGR, _GATEWAY = "mon.", "mgr.x", "client.rgw.a"
_CAPABILITIES: Mapping[str, tuple[str, ...]] = {
    _MON: ("mon", "allow *"),
    "client.admin": ("mon", "allow *", "osd", "allow *", "mgr", "allow *"),
    _MGR: ("mon", "allow profile mgr", "osd", "allow *"),
    _GATEWAY: ("mon", "allow rw", "osd", "allow rwx", "mgr", "allow rw"),
}
"""What each may do, by name."""
_CONFIG = """\
[global]
fsid = {fsid}
mon_initial_members = a
mon_host = {monitors}
public_network = 127.0.0.0/8
public_addr = 127.0.0.1
cluster_addr = 127.0.0.1
auth_cluster_required = cephx
auth_service_required = cephx
auth_client_required = cephx
osd_pool_default_size = 1
osd_pool_default_min_size = 1
osd_pool_default_pg_num = 8
osd_pool_default_pgp_num = 8
osd_pool_default_pg_autoscale_mode = off
mon_allow_pool_size_one = true
mon_warn_on_pool_no_redundancy = false
mon_data_avail_warn = 1
mon_data_avail_crit = 1
mon_max_pg_per_osd = 1000
osd_crush_chooseleaf_type = 0
osd_objectstore = memstore
memstore_device_bytes = 4294967296
memstore_page_set = false
osd_max_object_name_len = 2048
run_dir = {folder}/run
admin_socket = {folder}/run/$cluster-$name.asok
pid_file = {folder}/run/$name.pid
log_file = {folder}/run/$name.log
crash_dir = {folder}/run
keyring = {folder}/keyring
mon_data = {folder}/mon
mgr_data = {folder}/mgr
osd_data = {folder}/osd
[client.rgw.a]
rgw_frontends = beast endpoint=127.0.0.1:{port}
rgw_thread_pool_size = 64
"""


def install() -> None:
    """Install Ceph from Debian's packages, unless it is there; raises ``ServerError``."""
    if not _missing_programs():
        return
    apt_get = which("apt-get")
    if os.geteuid() != 0 or apt_get is None:
        raise ServerError(CANNOT_INSTALL)
    print(f"Installing {', '.join(PACKAGES)} ...", flush=True)
    subprocess.run([apt_get, "update", "-qq"], check=True)
    subprocess.run(
        [apt_get, "install", "-qq", "--yes", "--no-install-recommends", *PACKAGES],
        check=True,
        env={**os.environ, "DEBIAN_FRONTEND": "noninteractive"},
        stdout=subprocess.DEVNULL,
    )


@contextmanager
def run_ceph() -> Iterator[RealServer]:
    """Run a cluster while in the context; it ends even if this process is killed.

    Raises ``ServerError``.
    """
    if missing := _missing_programs():
        raise ServerError(f"{', '.join(missing)} cannot be run; make ceph installs Ceph")
    with TemporaryDirectory(prefix="ceph-") as name, daemons(Path(name)) as start:
        cluster = _Cluster(Path(name))
        server = RealServer("Ceph", cluster.prepare(), _REGION)
        running: list[Daemon] = []

        def run(*command: str) -> None:
            running.append(start([*command[:1], "-f", *cluster.options, *command[1:]]))

        run("ceph-mon", "-i", "a")
        run("ceph-mgr", "-i", _MGR.removeprefix("mgr."))
        osd = cluster.add_osd()
        run("ceph-osd", "-i", osd)
        wait_until(cluster.is_osd_up, "its OSD", running)
        cluster.add_user()
        cluster.create_storage_class()
        run("radosgw", "-n", _GATEWAY)  # reads its storage classes once, as it starts
        server.wait_until_ready(running)
        yield server


@dataclass(frozen=True, slots=True)
class _Cluster:
    """The files and the settings of a cluster."""

    folder: Path

    @property
    def options(self) -> list[str]:
        """What each program has to know."""
        return ["-c", str(self.folder / "ceph.conf")]

    @property
    def _keyring(self) -> str:
        return str(self.folder / "keyring")

    def prepare(self) -> int:
        """Write what the monitor starts with; the port of the gateway."""
        for name in ("run", "mon", "mgr", "osd"):
            (self.folder / name).mkdir()
        v2, v1, port = free_ports(3)
        monitors = f"[v2:{LOOPBACK}:{v2},v1:{LOOPBACK}:{v1}]"
        fsid = str(uuid.uuid4())
        config = _CONFIG.format(fsid=fsid, monitors=monitors, folder=self.folder, port=port)
        (self.folder / "ceph.conf").write_text(config)
        _run("ceph-authtool", "--create-keyring", self._keyring)
        for name, capabilities in _CAPABILITIES.items():
            pairs = zip(capabilities[::2], capabilities[1::2], strict=True)
            caps = [word for pair in pairs for word in ("--cap", *pair)]
            _run("ceph-authtool", self._keyring, "--gen-key", "-n", name, *caps)
        monmap = str(self.folder / "monmap")
        _run("monmaptool", "--create", "--fsid", fsid, "--addv", "a", monitors, monmap)
        made_of = ("--monmap", monmap, "--keyring", self._keyring)
        _run("ceph-mon", *self.options, "--mkfs", "-i", "a", *made_of)
        return port

    def add_osd(self) -> str:
        """Register the others with the monitor, and make the files of an OSD; its number.

        The monitor creates ``client.admin`` from the keyring that it was made of.
        """
        self._ceph("auth", "import", "-i", self._keyring)
        osd_uuid = str(uuid.uuid4())
        osd = self._ceph("osd", "new", osd_uuid).strip()
        caps = ("mon", "allow profile osd", "mgr", "allow profile osd", "osd", "allow *")
        key = self._ceph("auth", "get-or-create", f"osd.{osd}", *caps)
        with Path(self._keyring).open("a") as keyring:
            keyring.write(key)
        _run("ceph-osd", *self.options, "-i", osd, "--mkfs", "--osd-uuid", osd_uuid)
        return osd

    def is_osd_up(self) -> bool:
        """Whether the OSD takes requests."""
        return " 1 up" in self._ceph("osd", "stat")

    def add_user(self) -> None:
        """Create the user of the S3 gateway."""
        keys = (f"--access-key={ACCESS_KEY}", f"--secret-key={SECRET_KEY}")
        user = ("--uid=sluice", "--display-name=sluice", *keys)
        self._radosgw_admin("user", "create", *user)

    def create_storage_class(self) -> None:
        """Create the storage class GLACIER, which is only a name here: reads go on."""
        placement = ("--placement-id=default-placement", "--storage-class=GLACIER")
        pool = "--data-pool=default.rgw.buckets.data"
        self._radosgw_admin("zonegroup", "placement", "add", "--rgw-zonegroup=default", *placement)
        self._radosgw_admin("zone", "placement", "add", "--rgw-zone=default", *placement, pool)

    def _radosgw_admin(self, *arguments: str) -> None:
        _run("radosgw-admin", *self.options, "-n", _GATEWAY, *arguments)

    def _ceph(self, *arguments: str) -> str:
        return _run("ceph", *self.options, "--connect-timeout", "60", *arguments)


def _run(*command: str) -> str:
    """Run a program to its end, and return what it prints; raises ``ServerError``."""
    ended = subprocess.run(command, capture_output=True, text=True, check=False)
    if ended.returncode:
        raise ServerError(f"{' '.join(command)}: exit code {ended.returncode}\n{ended.stderr}")
    return ended.stdout


def _missing_programs() -> list[str]:
    return [program for program in PROGRAMS if which(program) is None]


if __name__ == "__main__":
    try:
        install()
    except ServerError as error:
        sys.exit(str(error))
