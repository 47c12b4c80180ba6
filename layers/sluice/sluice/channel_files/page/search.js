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

  /** The same, with those first that were built last. */
  findNewest(query) {
    if (!query.trim()) return this.newest;
    const found = new Set(this.find(query));
    return this.newest.filter((place) => found.has(place));
  }
}

function rank(name, wanted, words) {
  if (name === wanted) return 0;
  if (name.startsWith(wanted)) return 1;
  return words.every((word) => name.includes(word)) ? 2 : 3;
}
