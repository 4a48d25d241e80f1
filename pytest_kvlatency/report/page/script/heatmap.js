// The heat maps stand in the page: here their cells become links, and the metric switches.
function startHeatmaps() {
  for (const article of document.querySelectorAll("[data-heat]")) {
    const cells = [...article.querySelectorAll("td[data-pair]")];
    if (!cells.length) continue;
    for (const cell of cells) linkCell(cell, data.entries[cell.dataset.pair]);
    // One stop for the tabulator; the arrows go from cell to cell.
    const first = cells.find((cell) => !/^(h|d)\d/.test(cell.className)) ?? cells[0];
    first.firstChild.tabIndex = 0;
    article.addEventListener("keydown", walkCells);
  }
  for (const input of document.querySelectorAll("#metric input")) input.addEventListener("change", () => showMetric(input.value));
}

function linkCell(cell, entry) {
  const link = element("a", { href: `#${entry.id}`, tabindex: -1 }, ...cell.childNodes);
  nameCell(link, entry, cell.classList.contains("mirror"));
  cell.append(link);
}

function nameCell(link, entry, isMirror) {
  const parts = [entry.pair, `${link.textContent} (${outcomeOf(entry).word})`];
  if (entry.reason) parts.push(entry.what ?? entry.reason);
  if (isMirror) parts.push("measured in this direction only");
  link.title = parts.join(": ");
  link.setAttribute("aria-label", link.title);
}

function showMetric(metric) {
  for (const article of document.querySelectorAll("[data-heat]")) {
    const heat = data.heats[article.dataset.heat];
    const shown = heat.metrics[metric] ?? heat.metrics.max;
    const places = new Map(heat.pairs.map((index, place) => [index, place]));
    for (const cell of article.querySelectorAll("td[data-pair]")) {
      const [text, look] = shown.cells[places.get(Number(cell.dataset.pair))];
      const isMirror = cell.classList.contains("mirror");
      cell.className = isMirror ? `${look} mirror` : look;
      cell.firstChild.textContent = text;
      nameCell(cell.firstChild, data.entries[cell.dataset.pair], isMirror);
    }
    const name = document.querySelector(`#metric input[value="${metric}"]`).nextElementSibling.textContent;
    const caption = article.querySelector("caption");
    if (caption) caption.textContent = `${name}; row: source, column: target`;
    const legend = article.querySelector(".legend");
    if (legend) legend.replaceChildren(...shown.legend.map(([look, text]) => element("li", {}, element("span", { class: `swatch ${look}` }), text)));
  }
}

const ARROWS = { ArrowLeft: [0, -1], ArrowRight: [0, 1], ArrowUp: [-1, 0], ArrowDown: [1, 0] };

function walkCells(event) {
  const link = event.target.closest("td[data-pair] > a");
  if (!link || !ARROWS[event.key]) return;
  event.preventDefault();
  const [down, right] = ARROWS[event.key];
  const table = link.closest("table");
  let row = link.parentNode.parentNode.rowIndex + down;
  let column = link.parentNode.cellIndex + right;
  while (table.rows[row]?.cells[column]) {
    const next = table.rows[row].cells[column].querySelector("a");
    if (next) {
      link.tabIndex = -1;
      next.tabIndex = 0;
      next.focus();
      return;
    }
    row += down;
    column += right;
  }
}
