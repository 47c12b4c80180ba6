// What is shown, by the address behind the #: all packages (#/), what is new (#/new), or one
// package (#/package/NAME). A search stands in it, too (#/?q=words), so that it can be sent on.

import { fetchListing, folderOf, nameOf } from "./channel.js";
import { asDate, copyable, element, inNumber } from "./dom.js";
import { addressOf, packageBuilds, packageHead } from "./package.js";
import { Rows } from "./rows.js";
import { Search } from "./search.js";

const PAGE_ROWS = 10;

const find = (id) => document.getElementById(id);
const query = find("query");
const status = find("status");
const list = find("packages");
const listView = find("list-view");
const packageView = find("package-view");
const folder = folderOf(location.href);
const channel = nameOf(folder);
let urls = [folder.replace(/\/$/, "")]; // of the channel, for its clients

let search = null;
let byName = new Map();
let shown = null; // the package, or null for the list
let lastList = "#/"; // where Escape leads back to
let scrolledTo = 0;

const rows = new Rows(list, {
  make: () =>
    element(
      "a",
      { class: "row" },
      element("span", { class: "name" }),
      element("span", { class: "version" }),
      element("time", {}),
      element("span", { class: "summary" }),
      element("span", { class: "subdirs" }),
    ),
  fill: (row, place) => {
    const one = search.packages[place];
    const [name, version, time, summary, subdirs] = row.children;
    row.href = addressOf(one.name);
    name.textContent = one.name;
    version.textContent = one.version;
    time.textContent = asDate(one.timestamp);
    summary.textContent = one.summary || "No summary";
    summary.classList.toggle("none", !one.summary);
    subdirs.textContent = one.subdirs.join(" ");
  },
  onActive: (id) => {
    if (id) query.setAttribute("aria-activedescendant", id);
    else query.removeAttribute("aria-activedescendant");
  },
});

/** What the address asks for. */
function route() {
  const [path, words = ""] = location.hash.replace(/^#/, "").split("?q=");
  const name = path.match(/^\/package\/(.+)$/);
  return { name: name && decoded(name[1]), newest: path === "/new", words: decoded(words) };
}

function decoded(text) {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}

function showRoute() {
  const { name, newest, words } = route();
  for (const [id, current] of [
    ["all", name === null && !newest],
    ["new", newest],
  ]) {
    if (current) find(id).setAttribute("aria-current", "page");
    else find(id).removeAttribute("aria-current");
  }
  if (name !== null) showPackage(name);
  else showList(words, newest);
}

function showList(words, newest) {
  document.title = channel.own;
  lastList = location.hash || "#/";
  if (query.value.trim() !== words.trim()) query.value = words;
  const back = shown !== null;
  shown = null;
  packageView.hidden = true;
  packageView.replaceChildren();
  listView.hidden = false;
  const places = newest ? search.findNewest(words) : search.find(words);
  list.hidden = !places.length;
  rows.show(places);
  find("nothing").hidden = places.length > 0;
  find("nothing").replaceChildren(
    search.packages.length
      ? `No package has “${words.trim()}” in its name or summary.`
      : "This channel has no packages yet.",
    ...(places.length ? [] : suggestions(words)),
  );
  const all = inNumber(search.packages.length, "package");
  status.textContent = words.trim() ? `${places.length.toLocaleString("en")} of ${all}` : all;
  scrollTo(0, back ? scrolledTo : 0);
  rows.draw();
}

/** Links to packages whose names are like one that there is not. */
function suggestions(name) {
  const links = search
    .nearest(name)
    .map((place) => search.packages[place].name)
    .map((other) => element("a", { href: addressOf(other) }, other));
  if (!links.length) return [];
  return [" Did you mean ", ...links.flatMap((link, i) => (i ? [", ", link] : [link])), "?"];
}

function showPackage(name) {
  if (shown === null) scrolledTo = scrollY;
  shown = name;
  listView.hidden = true;
  packageView.hidden = false;
  status.textContent = "";
  const one = byName.get(name);
  document.title = `${name} · ${channel.own}`;
  scrollTo(0, 0);
  if (!one) {
    const heading = element("h1", { tabindex: "-1" }, name);
    const why = "This channel has no package with this name.";
    const all = element("a", { href: "#/" }, "All packages");
    packageView.replaceChildren(
      heading,
      element("p", { class: "problem" }, why, ...suggestions(name)),
      element("p", {}, all),
    );
    heading.focus();
    return;
  }
  const waiting = element("p", { class: "waiting" }, "Loading builds …");
  packageView.replaceChildren(packageHead(one, urls), waiting);
  packageView.querySelector("h1").focus({ preventScroll: true });
  packageBuilds(one, folder, (other) => byName.has(other)).then(
    (parts) => waiting.replaceWith(...parts),
    (error) => (waiting.textContent = `Cannot show the builds: ${error.message}`),
  );
}

/** Keep the words in the address without a step of history for each letter. */
function searchFor(words) {
  const path = route().newest ? "#/new" : "#/";
  const hash = words.trim() ? `${path}?q=${encodeURIComponent(words)}` : path;
  if (shown === null) {
    history.replaceState(null, "", hash);
    showRoute();
  } else {
    location.hash = hash; // the package stays a step back
  }
}

function onKey(event) {
  if (event.ctrlKey || event.metaKey || event.altKey || event.isComposing) return;
  const inQuery = event.target === query;
  const up = Math.max(0, rows.active);
  const covered = find("bar").getBoundingClientRect().bottom;
  if (event.key === "/" && !inQuery) query.select();
  else if (event.key === "Escape" && shown !== null && !inQuery) location.hash = lastList;
  else if (event.key === "Escape" && inQuery && query.value) searchFor((query.value = ""));
  else if (event.key === "Escape" && inQuery) query.blur();
  else if (shown !== null || !inQuery) return;
  else if (event.key === "ArrowDown") rows.move(1, covered);
  else if (event.key === "ArrowUp") rows.move(-1, covered);
  else if (event.key === "PageDown") rows.move(PAGE_ROWS, covered);
  else if (event.key === "PageUp") rows.move(-Math.min(PAGE_ROWS, up), covered);
  else if (event.key === "Enter") {
    const place = rows.activeItem ?? (query.value.trim() ? rows.items[0] : undefined);
    if (place !== undefined) location.hash = addressOf(search.packages[place].name);
  } else return;
  event.preventDefault();
}

async function start() {
  find("loading").hidden = false;
  document.title = channel.own;
  find("channel").replaceChildren(
    element("span", { class: "own" }, channel.own),
    element("span", { class: "above-it" }, channel.above),
  );
  try {
    const { packages, s3 } = await fetchListing(folder);
    if (s3) urls.push(s3);
    search = new Search(packages);
    byName = new Map(packages.map((one) => [one.name, one]));
  } catch (error) {
    find("loading").textContent = `Cannot show the packages: ${error.message}`;
    find("loading").classList.add("problem");
    return;
  }
  find("loading").remove();
  find("address").append(...urls.map((url) => copyable(url, url.replace(/:.*/, " address"))));
  query.disabled = false;
  query.addEventListener("input", () => searchFor(query.value));
  find("search").addEventListener("submit", (event) => event.preventDefault());
  document.addEventListener("keydown", onKey);
  find("skip").addEventListener("click", (event) => {
    event.preventDefault(); // what stands behind the # is ours
    find("main").focus();
  });
  addEventListener("hashchange", showRoute);
  showRoute();
  if (route().name === null && matchMedia("(hover: hover) and (pointer: fine)").matches) query.focus();
}

start();
