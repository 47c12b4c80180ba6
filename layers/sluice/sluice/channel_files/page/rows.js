// A list of any length, of which only the rows in sight exist. Rows are used again as it scrolls.

const SPARE_ROWS = 6; // above and below what is in sight

/**
 * A listbox whose options are links. `make` gives an empty row, and `fill` has it show an item.
 * The focus stays in the search box, which is told with `onActive` which option is the active one.
 */
export class Rows {
  constructor(list, { make, fill, onActive }) {
    this.list = list;
    this.make = make;
    this.fill = fill;
    this.onActive = onActive;
    this.items = [];
    this.pool = [];
    this.active = -1;
    this.height = 0; // of a row, once one has been measured
    const redraw = () => {
      if (this.frame) return;
      this.frame = requestAnimationFrame(() => {
        this.frame = 0;
        this.draw();
      });
    };
    addEventListener("scroll", redraw, { passive: true });
    addEventListener("resize", () => this.measure() && redraw(), { passive: true });
  }

  /** Have other items, to be drawn. */
  show(items) {
    this.items = items;
    this.active = -1;
    for (const row of this.pool) row.place = -1;
    if (this.height || this.measure()) this.stretch();
  }

  /** Look how high a row is; false where none can be seen. */
  measure() {
    if (!this.pool.length) this.grow(1);
    this.pool[0].element.hidden = false;
    this.height = this.pool[0].element.offsetHeight;
    for (const row of this.pool) row.place = -1;
    if (this.height) this.stretch();
    return this.height > 0;
  }

  stretch() {
    this.list.style.height = `${this.items.length * this.height}px`;
  }

  /** Draw what is in sight. */
  draw() {
    if (!this.height && !this.measure()) return;
    const above = Math.max(0, -this.list.getBoundingClientRect().top);
    const first = Math.max(0, Math.floor(above / this.height) - SPARE_ROWS);
    const count = Math.ceil(innerHeight / this.height) + 2 * SPARE_ROWS;
    if (this.pool.length < count) this.grow(count);
    const last = Math.min(this.items.length, first + this.pool.length);
    // A place always has the same row, so one step changes one row and no other.
    const free = new Set(this.pool);
    for (let place = first; place < last; place++) {
      const row = this.pool[place % this.pool.length];
      free.delete(row);
      this.put(row, place);
    }
    for (const row of free) {
      row.place = -1;
      row.element.hidden = true;
    }
    this.onActive(last > this.active && this.active >= first ? this.idOf(this.active) : "");
  }

  put(row, place) {
    if (row.place !== place) {
      row.place = place;
      row.element.id = this.idOf(place);
      row.element.hidden = false;
      row.element.style.transform = `translateY(${place * this.height}px)`;
      row.element.setAttribute("aria-posinset", place + 1);
      this.fill(row.element, this.items[place]);
    }
    row.element.setAttribute("aria-setsize", this.items.length);
    row.element.setAttribute("aria-selected", place === this.active);
  }

  idOf(place) {
    return `row-${place}`;
  }

  grow(count) {
    while (this.pool.length < count) {
      const row = this.make();
      row.setAttribute("role", "option");
      row.tabIndex = -1;
      this.list.append(row);
      this.pool.push({ element: row, place: -1 });
    }
    for (const row of this.pool) row.place = -1;
  }

  /** Make another option the active one, `by` rows away, and have it in sight below `covered`. */
  move(by, covered) {
    const last = this.items.length - 1;
    if (last < 0) return;
    const next = this.active < 0 ? (by > 0 ? by - 1 : -1) : this.active + by;
    this.active = Math.min(last, next);
    if (this.active < 0) {
      this.active = -1; // up from the first: back to the query
      scrollTo(0, 0);
    } else {
      const top = this.list.getBoundingClientRect().top + this.active * this.height;
      if (top < covered) scrollBy(0, top - covered);
      const below = top + this.height - innerHeight;
      if (below > 0) scrollBy(0, below);
    }
    this.draw();
  }

  get activeItem() {
    return this.items[this.active];
  }
}
