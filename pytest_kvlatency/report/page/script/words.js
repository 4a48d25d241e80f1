// Numbers and outcomes in words; and elements whose texts are texts, whatever a guest wrote.
const OUTCOMES = {
  failed: { word: "failed", look: "bad", rank: 0 },
  error: { word: "error", look: "bad", rank: 1 },
  notrun: { word: "not run", look: "bad", rank: 2 },
  xpassed: { word: "xpassed", look: "odd", rank: 3 },
  xfailed: { word: "xfailed", look: "odd", rank: 4 },
  skipped: { word: "skipped", look: "odd", rank: 5 },
  passed: { word: "passed", look: "good", rank: 6 },
};
const outcomeOf = (entry) => OUTCOMES[entry.outcome] ?? { word: entry.outcome, look: "odd", rank: 3 };

const isKnown = (value) => value !== undefined && value !== null;
const exceeds = (value, limit) => isKnown(value) && isKnown(limit) && value > limit;

// Whether a number broke its limit: of a migration, whose own loss and late replies break none, the document's word.
const isBroken = (measured, key, value, limit) => (measured.broken ? isKnown(limit) && measured.broken.includes(key) : exceeds(value, limit));

// Milliseconds with about three digits, never finer than a microsecond.
function milliseconds(nanoseconds) {
  if (!isKnown(nanoseconds)) return "";
  const value = nanoseconds / 1e6;
  const digits = value < 0.0995 ? 3 : value < 9.995 ? 2 : value < 99.95 ? 1 : 0;
  return value.toFixed(digits);
}

// A gap, as all reports show it: rounded up, so that it never looks shorter than it was.
const gapMilliseconds = (nanoseconds) => (isKnown(nanoseconds) ? String(Math.ceil(nanoseconds / 1e6)) : "");

const percent = (value) => (isKnown(value) ? String(Number(value.toPrecision(3))) : "");
const plural = (count, noun, many = `${noun}s`) => `${count} ${count === 1 ? noun : many}`;
// A limit, as it would be typed.
const rounded = (nanoseconds) => `${Number((nanoseconds / 1e6).toPrecision(6))} ms`;
const signed = (value) => `${value > 0 ? "+" : ""}${value.toFixed(1)}`;

function element(name, attributes = {}, ...children) {
  const made = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) {
    if (isKnown(value) && value !== false) made.setAttribute(key, value === true ? "" : value);
  }
  made.append(...children.filter(isKnown));
  return made;
}
