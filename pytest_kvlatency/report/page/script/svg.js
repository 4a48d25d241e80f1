// What all pictures share: elements, axes with round numbers, and a plot's frame.
const SVG = "http://www.w3.org/2000/svg";

function svg(name, attributes = {}, ...children) {
  const made = document.createElementNS(SVG, name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  made.append(...children);
  return made;
}

const short = (value) => Math.round(value * 10) / 10;

// Round numbers from 0 to at least `highest`, four or five of them.
function ticks(highest) {
  const rough = Math.max(highest, 1e-6) / 4;
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = power * [1, 2, 2.5, 5, 10].find((factor) => power * factor >= rough * 0.999);
  return Array.from({ length: Math.ceil((highest / step) * 0.999) + 1 }, (_, index) => Number((index * step).toPrecision(6)));
}

const MARGIN = { left: 52, right: 18, top: 34, bottom: 40 };

// As wide as the view of a pair will be: texts keep their size on a phone.
function frame(height) {
  const width = Math.max(320, Math.min(772, window.innerWidth - 32));
  return { width, height, x0: MARGIN.left, x1: width - MARGIN.right, y0: height - MARGIN.bottom, y1: MARGIN.top };
}

function picture(box, title, look) {
  const root = svg("svg", { viewBox: `0 0 ${box.width} ${box.height}`, role: "img", "aria-label": title, class: `plot ${look}` });
  return root;
}

function label(x, y, text, anchor = "middle", look = "axis") {
  const made = svg("text", { x: short(x), y: short(y), "text-anchor": anchor, class: look });
  made.textContent = text;
  return made;
}

const line = (x1, y1, x2, y2, look) => svg("line", { x1: short(x1), y1: short(y1), x2: short(x2), y2: short(y2), class: look });

function yAxis(root, box, values, at, unit) {
  for (const value of values) {
    root.append(line(box.x0, at(value), box.x1, at(value), "grid"), label(box.x0 - 8, at(value) + 4, String(value), "end"));
  }
  root.append(label(box.x0 - 8, box.y1 - 14, unit, "end"));
}
