// What the page knows of its channel, all of it from files that lie beside the page.

import { unpack } from "./msgpack.js";
import { unzstd } from "./zstd.js";

const LISTING_FORMAT = 1;
const ARCHIVES = ["conda", "tar.bz2"];

export class Unavailable extends Error {}

/** The folder that a page lies in, as an address with a slash at its end. */
export function folderOf(location) {
  const url = new URL(location);
  url.hash = url.search = "";
  // Some servers show index.html at the folder's address without sending for the slash.
  if (!/(\/|\.html?)$/.test(url.pathname)) url.pathname += "/";
  return new URL(".", url).href;
}

/** The channel's own name, and the folders above it; at the root it is named after the server. */
export function nameOf(folder) {
  const url = new URL(folder);
  const folders = decodeURIComponent(url.pathname).split("/").filter(Boolean);
  return { own: folders.pop() || url.host, above: folders.join("/") };
}

/** All packages by name, and the channel's s3:// URL, if it is known: `{packages, subdirs, s3}`. */
export async function fetchListing(folder) {
  const response = await get(new URL("page.json.gz", folder));
  if (!response) throw new Unavailable("The list of packages is not published.");
  const document = await new Response(await gunzipped(await response.blob())).json();
  if (document.format !== LISTING_FORMAT) {
    throw new Unavailable("The list of packages has another format than this page. Reload the page.");
  }
  const packages = document.packages.map(
    ([name, version, timestamp, places, summary = "", license = "", ...links]) => {
      const subdirs = places.map((place) => document.subdirs[place]);
      const [home = "", dev = "", doc = "", source = ""] = links;
      return { name, version, timestamp, subdirs, summary, license, home, dev, doc, source };
    },
  );
  const s3 = typeof document.s3 === "string" && document.s3.startsWith("s3://") ? document.s3 : "";
  return { packages, subdirs: document.subdirs, s3 };
}

/** The builds of a package in one subdir: `[{subdir, filename, address, record}]`. */
export async function fetchBuilds(folder, subdir, name) {
  const here = new URL(`${subdir}/`, folder);
  const found = (await fromShards(here, name)) || (await fromRepodata(here, name));
  if (!found) throw new Unavailable(`${subdir} has no index.`);
  return [...buildsIn(found.content)].map(({ filename, record }) => ({
    subdir,
    filename,
    record,
    address: addressIn(found.baseUrl, here, filename),
  }));
}

/** Where a package lies (CEP 15); nothing where the base is no address. */
function addressIn(baseUrl, here, filename) {
  try {
    // A plus would be a space for S3.
    return new URL(encodeURIComponent(filename), new URL(withSlash(baseUrl || "./"), here)).href;
  } catch {
    return "";
  }
}

/** `null` where the subdir has no shards. */
async function fromShards(here, name) {
  let problem;
  for (const cache of ["default", "reload"]) {
    const index = await get(new URL("repodata_shards.msgpack.zst", here), cache);
    if (!index) return null;
    const { info, shards } = unpack(unzstd(await bytesOf(index)));
    const digest = shards[name];
    if (!digest) return { content: {}, baseUrl: info.base_url };
    const folder = new URL(withSlash(info.shards_base_url || "./"), here);
    const address = new URL(`${hex(digest)}.msgpack.zst`, folder);
    const shard = await get(address, cache);
    if (!shard) {
      // The index that the browser has kept is older than what is kept of its shards.
      problem = "The index has changed. Reload the page.";
      continue;
    }
    const bytes = await bytesOf(shard);
    if (await hasSha256(bytes, hex(digest))) {
      return { content: unpack(unzstd(bytes)), baseUrl: info.base_url };
    }
    problem =
      `${address.pathname} does not match its SHA-256 in the index. Reload the page. ` +
      "If the error persists, the file on the server is damaged.";
  }
  throw new Unavailable(problem);
}

/**
 * Whether `bytes` have the digest. Browsers compute it only in secure contexts, which are HTTPS and
 * localhost. Elsewhere nothing is checked: plain HTTP protects neither the index nor this script.
 */
async function hasSha256(bytes, digest) {
  if (!crypto.subtle) return true;
  return hex(new Uint8Array(await crypto.subtle.digest("SHA-256", bytes))) === digest;
}

async function fromRepodata(here, name) {
  const response = await get(new URL("repodata.json", here));
  if (!response) return null;
  const document = await response.json();
  const ofName = (records = {}) =>
    Object.fromEntries(Object.entries(records).filter(([, record]) => record.name === name));
  const content = {
    packages: ofName(document.packages),
    "packages.conda": ofName(document["packages.conda"]),
    v3: Object.fromEntries(
      Object.entries(document.v3 || {}).map(([bucket, records]) => [bucket, ofName(records)]),
    ),
  };
  return { content, baseUrl: document.info && document.info.base_url };
}

function* buildsIn(content) {
  for (const part of ["packages.conda", "packages"]) {
    for (const [filename, record] of Object.entries(content[part] || {})) {
      yield { filename, record };
    }
  }
  for (const bucket of ARCHIVES) {
    for (const [stem, record] of Object.entries((content.v3 || {})[bucket] || {})) {
      yield { filename: `${stem}.${bucket}`, record };
    }
  }
}

/** `null` where there is no such file; a bucket that nobody may list answers 403 then. */
async function get(url, cache = "default") {
  const response = await fetch(url, { cache });
  if (response.status === 404 || response.status === 403) return null;
  if (!response.ok) throw new Unavailable(`${url.pathname}: ${response.status}`);
  return response;
}

async function bytesOf(response) {
  return new Uint8Array(await response.arrayBuffer());
}

/** Some servers say of a .gz that it is encoded so, and the browser has unpacked it already. */
async function gunzipped(blob) {
  const [first, second] = new Uint8Array(await blob.slice(0, 2).arrayBuffer());
  if (first !== 0x1f || second !== 0x8b) return blob;
  return blob.stream().pipeThrough(new DecompressionStream("gzip"));
}

function withSlash(path) {
  return path.endsWith("/") ? path : `${path}/`;
}

/** Bytes as they stand in names of files; a digest that is text already stays so. */
export function hex(bytes) {
  if (typeof bytes === "string") return bytes;
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
}
