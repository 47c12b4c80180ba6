// Finding packages among all of them: one pass over plain strings, a few milliseconds for 30,000.

/** Searches `packages`, which are sorted by name. */
export class Search {
  constructor(packages) {
    this.packages = packages;
    this.names = packages.map((one) => one.name.toLowerCase());
    this.texts = packages.map((one, i) => `${this.names[i]} ${one.summary.toLowerCase()}`);
    this.sorted = null;
  }

  /** Places of all packages, those first that were built last; sorted once somebody asks. */
  get newest() {
    const { packages } = this;
    this.sorted ||= packages
      .map((_, i) => i)
      .sort((a, b) => packages[b].timestamp - packages[a].timestamp || a - b);
    return this.sorted;
  }

  /**
   * Places of the packages that have every word of the query in name or summary: that very name
   * first, then those that begin so, those with it in the name, and the rest.
   */
  find(query) {
    const wanted = query.trim().toLowerCase();
    const words = wanted.split(/\s+/);
    const found = [[], [], [], []];
    for (let i = 0; i < this.names.length; i++) {
      if (!words.every((word) => this.texts[i].includes(word))) continue;
      found[rank(this.names[i], wanted, words)].push(i);
    }
    return found.flat();
  }

  /** Places of the packages whose names are most like one that there is not. */
  nearest(name, count = 5) {
    const wanted = name.trim().toLowerCase();
    const most = Math.max(1, Math.floor(wanted.length / 3));
    const near = [];
    for (let i = 0; i < this.names.length; i++) {
      const other = this.names[i];
      const within = wanted.length > 2 && (other.includes(wanted) || wanted.includes(other));
      const distance = within && other.length > 2 ? 1 : editDistance(wanted, other, most);
      if (distance <= most) near.push([distance, Math.abs(other.length - wanted.length), i]);
    }
    near.sort((a, b) => a[0] - b[0] || a[1] - b[1] || a[2] - b[2]);
    return near.slice(0, count).map(([, , place]) => place);
  }

  /** The same, with those first that were built last. */
  findNewest(query) {
    if (!query.trim()) return this.newest;
    const found = new Set(this.find(query));
    return this.newest.filter((place) => found.has(place));
  }
}

/** How many letters to change, insert, drop or swap; more than `most` is only said to be more. */
function editDistance(a, b, most) {
  if (Math.abs(a.length - b.length) > most) return most + 1;
  let before = [];
  let last = Array.from({ length: b.length + 1 }, (_, i) => i);
  for (let i = 1; i <= a.length; i++) {
    const row = [i];
    for (let j = 1; j <= b.length; j++) {
      const same = a[i - 1] === b[j - 1];
      row[j] = Math.min(last[j] + 1, row[j - 1] + 1, last[j - 1] + (same ? 0 : 1));
      if (i > 1 && j > 1 && a[i - 1] === b[j - 2] && a[i - 2] === b[j - 1]) {
        row[j] = Math.min(row[j], before[j - 2] + 1);
      }
    }
    if (Math.min(...row) > most) return most + 1;
    [before, last] = [last, row];
  }
  return last[b.length];
}

function rank(name, wanted, words) {
  if (name === wanted) return 0;
  if (name.startsWith(wanted)) return 1;
  return words.every((word) => name.includes(word)) ? 2 : 3;
}
