// The page of one package: how to install it, and every build of every version.

import { fetchBuilds, hex } from "./channel.js";
import { asDate, copyable, element, inBytes, inNumber, webLink } from "./dom.js";
import { compareVersions } from "./version.js";

const NAME = /^[a-z0-9_][a-z0-9._-]*$/i;

/** What stands above the builds, which takes no fetching. */
export function packageHead(one, channelUrls) {
  const facts = [one.license, one.subdirs.join(", "), asDate(one.timestamp)];
  const links = [
    [one.home, "Home"],
    [one.doc, "Documentation"],
    [one.dev, "Development"],
    [one.source, "Source"],
  ].filter(([address]) => address);
  return element(
    "header",
    { class: "package-head" },
    element(
      "h1",
      { tabindex: "-1" },
      element("span", { class: "name" }, one.name),
      " ",
      element("span", { class: "version" }, one.version),
    ),
    one.summary ? element("p", { class: "summary" }, one.summary) : null,
    element(
      "p",
      { class: "facts" },
      ...facts.filter(Boolean).map((fact) => element("span", {}, fact)),
      ...links.map(([address, label]) => element("span", {}, webLink(address, label))),
    ),
    NAME.test(one.name) ? installation(one.name, channelUrls) : null,
  );
}

/** The commands of each client, for the URL that is chosen. */
function installation(name, channelUrls) {
  const list = element("div", { class: "commands" }, ...commands(name, channelUrls[0]));
  if (channelUrls.length === 1) return list;
  const choices = channelUrls.map((url, i) => {
    const input = element("input", { type: "radio", name: "channel-url" });
    input.checked = i === 0;
    input.addEventListener("change", () => list.replaceChildren(...commands(name, url)));
    return element("label", {}, input, url);
  });
  const legend = element("legend", {}, "Read the channel from");
  return element("div", {}, element("fieldset", { class: "urls" }, legend, ...choices), list);
}

function commands(name, url) {
  const channel = shellWord(url);
  const found = [
    ["pixi", `pixi workspace channel add ${channel} && pixi add ${name}`],
    ["conda", `conda install -c ${channel} ${name}`],
    ["mamba", `mamba install -c ${channel} ${name}`],
    ["rattler-build", `rattler-build build -c ${channel} -r recipe.yaml`],
  ];
  // mamba reads no s3://.
  const able = found.filter(([client]) => client !== "mamba" || !url.startsWith("s3://"));
  return able.map(([client, command]) =>
    element(
      "div",
      { class: "command" },
      element("span", { class: "client" }, client),
      copyable(command, `the ${client} command`),
    ),
  );
}

/** As a shell takes it for one word. */
export function shellWord(text) {
  return /^[\w.,:/@%+~-]+$/.test(text) ? text : `'${text.replace(/'/g, "'\\''")}'`;
}

/**
 * Every version with its builds, newest first. What cannot be had of one subdir is said, and takes
 * nothing from the others. `known` tells which names are packages of this channel.
 */
export async function packageBuilds(one, folder, known) {
  const told = await Promise.allSettled(
    one.subdirs.map((subdir) => fetchBuilds(folder, subdir, one.name)),
  );
  const builds = told.flatMap(({ value = [] }) => value);
  const problems = told.flatMap(({ reason }, i) =>
    reason ? [element("p", { class: "problem" }, `${one.subdirs[i]}: ${reason.message}`)] : [],
  );
  if (!builds.length && !problems.length) {
    problems.push(element("p", { class: "problem" }, "The package is no longer in the channel."));
  }
  const versions = byVersion(builds);
  const heading = element(
    "h2",
    {},
    `${inNumber(versions.length, "version")}, ${inNumber(builds.length, "build")}`,
  );
  return [
    ...problems,
    ...(builds.length ? [heading] : []),
    ...versions.map(([version, its], i) => versionOf(version, its, known, i === 0)),
  ];
}

function byVersion(builds) {
  const found = new Map();
  for (const build of builds) {
    const version = String(build.record.version);
    found.set(version, [...(found.get(version) || []), build]);
  }
  const versions = [...found].sort(([a], [b]) => compareVersions(b, a));
  for (const [, its] of versions) its.sort(newestFirst);
  return versions;
}

function newestFirst(a, b) {
  return (
    (b.record.build_number || 0) - (a.record.build_number || 0) ||
    a.subdir.localeCompare(b.subdir) ||
    b.filename.localeCompare(a.filename, "en", { numeric: true })
  );
}

function versionOf(version, builds, known, open) {
  const newest = Math.max(...builds.map(({ record }) => record.timestamp || 0));
  const subdirs = [...new Set(builds.map(({ subdir }) => subdir))].sort();
  return lazily(
    "version-of",
    [
      element("span", { class: "version" }, version),
      element("span", { class: "subdirs" }, subdirs.join(", ")),
      element("span", { class: "count" }, inNumber(builds.length, "build")),
      element("time", {}, asDate(newest)),
    ],
    () => builds.map((build) => buildOf(build, known)),
    open,
  );
}

function buildOf({ subdir, filename, address, record }, known) {
  return lazily(
    "build",
    [
      element("span", { class: "subdir" }, subdir),
      element("span", { class: "build-string" }, String(record.build)),
      element("span", { class: "size" }, inBytes(record.size)),
      element("time", {}, asDate(record.timestamp)),
    ],
    () => [
      element(
        "dl",
        {},
        ...row("Depends on", specs(record.depends, known)),
        ...row("Constrains", specs(record.constrains, known)),
        ...row("License", record.license),
        ...row("Indexed", asDate(record.indexed_timestamp)),
        ...row("SHA-256", record.sha256 && copyable(hex(record.sha256), "the SHA-256")),
        ...row("MD5", record.md5 && element("code", {}, hex(record.md5))),
        ...row("File", webLink(address, filename)),
      ),
    ],
  );
}

function row(label, content) {
  return content ? [element("dt", {}, label), element("dd", {}, content)] : [];
}

/** Match specs, each with a link where it is about a package of this channel. */
function specs(texts, known) {
  if (!Array.isArray(texts) || !texts.length) return null;
  const items = texts.map((spec) => {
    const text = String(spec);
    const name = (text.match(/^[^\s=<>!~[;|,]+/) || [""])[0].toLowerCase();
    if (!known(name)) return element("li", {}, element("code", {}, text));
    const link = element("a", { href: addressOf(name) }, text.slice(0, name.length));
    return element("li", {}, element("code", {}, link, text.slice(name.length)));
  });
  return element("ul", { class: "specs" }, ...items);
}

/** Something to unfold, whose content is made when that happens. */
function lazily(kind, summary, make, open = false) {
  const details = element("details", { class: kind }, element("summary", {}, ...summary));
  const fill = () => {
    if (details.open && details.childElementCount === 1) details.append(...make());
  };
  details.addEventListener("toggle", fill);
  details.open = open;
  fill();
  return details;
}

/** Where in this page a package is. */
export function addressOf(name) {
  return `#/package/${encodeURIComponent(name)}`;
}
