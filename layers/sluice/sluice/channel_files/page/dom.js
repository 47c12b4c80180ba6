// Making elements. What packages say only ever becomes text: nothing here takes markup.

/** An element with attributes and children, of which strings become text. */
export function element(tag, attributes = {}, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (value !== undefined) made.setAttribute(name, value);
  }
  made.append(...children.filter((child) => child !== null));
  return made;
}

/** A link to the web, or, where the address is none, what it would have said. */
export function webLink(address, label) {
  let url;
  try {
    url = new URL(address);
  } catch {
    return document.createTextNode(label);
  }
  if (url.protocol !== "https:" && url.protocol !== "http:") {
    return document.createTextNode(label);
  }
  return element("a", { href: url.href, rel: "noopener noreferrer" }, label);
}

/** A line that can be copied with one press. */
export function copyable(text, what) {
  const button = element("button", { type: "button", "aria-label": `Copy ${what}` }, "Copy");
  const code = element("code", {}, text);
  button.addEventListener("click", async () => {
    try {
      await navigator.clipboard.writeText(text);
      button.textContent = "Copied";
    } catch {
      // No clipboard without TLS: select it, so that the keyboard can.
      getSelection().selectAllChildren(code);
      button.textContent = "Selected";
    }
    setTimeout(() => (button.textContent = "Copy"), 2000);
  });
  return element("div", { class: "copyable" }, code, button);
}

/** 1536 as "1.5 KiB". */
export function inBytes(size) {
  if (!Number.isFinite(size)) return "";
  const units = ["B", "KiB", "MiB", "GiB", "TiB"];
  let place = 0;
  while (size >= 1024 && place < units.length - 1) {
    size /= 1024;
    place += 1;
  }
  return `${place && size < 10 ? size.toFixed(1) : Math.round(size)} ${units[place]}`;
}

/** Seconds or milliseconds since the epoch as a date; nothing where it is none. */
export function asDate(timestamp) {
  if (!timestamp || !Number.isFinite(timestamp)) return "";
  // conda has had both: as seconds this is the end of the year 9999.
  const date = new Date(timestamp > 253402300799 ? timestamp : timestamp * 1000);
  return Number.isNaN(date.getTime()) ? "" : date.toISOString().slice(0, 10);
}

export function inNumber(count, what) {
  return `${count.toLocaleString("en")} ${what}${count === 1 ? "" : "s"}`;
}
