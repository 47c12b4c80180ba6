// The order of versions (CEP 33), as sluice itself has it in version.py.

/** Compare two versions as `sort` wants it: the older one first. */
export function compareVersions(one, other) {
  const left = parseVersion(one);
  const right = parseVersion(other);
  return (
    left.epoch - right.epoch ||
    compareSegments(left.main, right.main) ||
    compareSegments(left.local, right.local)
  );
}

function parseVersion(text) {
  const lower = text.toLowerCase();
  const mark = lower.lastIndexOf("!");
  const epoch = lower.slice(0, Math.max(mark, 0));
  const rest = lower.slice(mark + 1);
  const plus = rest.indexOf("+");
  return {
    epoch: /^\d+$/.test(epoch) ? Number(epoch) : 0,
    main: segments(plus < 0 ? rest : rest.slice(0, plus)),
    local: plus < 0 || plus === rest.length - 1 ? [] : segments(rest.slice(plus + 1)),
  };
}

function segments(text) {
  // openssl's 1.0.1_ is older than 1.0.1a: an underscore at the end belongs to what it follows.
  const tail = text.endsWith("_") ? "_" : "";
  const parts = text.slice(0, text.length - tail.length).split(/[._-]/);
  parts[parts.length - 1] += tail;
  return parts.map((part) => {
    const components = (part.match(/\d+|[^\d]+/g) || []).map(component);
    // What begins with a letter is behind a zero, to keep numbers and strings in phase.
    return /^\d/.test(part) ? components : [ZERO, ...components];
  });
}

/** Rank, number, text. */
function component(run) {
  if (/^\d/.test(run)) return [2, BigInt(run), ""]; // dates may be longer than a number holds
  if (run === "post") return [3, 0n, ""];
  return run === "dev" ? [0, 0n, ""] : [1, 0n, run];
}

const ZERO = [2, 0n, ""];

function compareSegments(one, other) {
  for (let i = 0; i < Math.max(one.length, other.length); i++) {
    const left = one[i] || [ZERO];
    const right = other[i] || [ZERO];
    for (let k = 0; k < Math.max(left.length, right.length); k++) {
      const a = left[k] || ZERO;
      const b = right[k] || ZERO;
      for (let part = 0; part < 3; part++) {
        if (a[part] !== b[part]) return a[part] < b[part] ? -1 : 1;
      }
    }
  }
  return 0;
}
