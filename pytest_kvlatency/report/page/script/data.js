// The document's data, parsed once; transcripts, which are long, only when one is shown.
const data = JSON.parse(document.getElementById("data").textContent);
data.entries.forEach((entry, index) => { entry.index = index; });
const entryById = new Map(data.entries.map((entry) => [entry.id, entry]));

let transcriptTexts = null;
function transcriptOf(measured) {
  if (measured.transcript === undefined) return null;
  transcriptTexts ??= JSON.parse(document.getElementById("transcripts").textContent);
  return transcriptTexts[measured.transcript];
}

const limitsOf = (entry) => (entry.limits === undefined ? {} : data.limits[entry.limits]);
const networkOf = (measured) => (measured.network === undefined ? "" : data.networks[measured.network]);
const samplesOf = (measured) => (measured.samples ?? []).map((value) => value * data.unit);

// Each reply with the number of its ping, from 0: replies are kept in the order of sending, without the lost ones.
function repliesOf(measured) {
  const lost = new Set(measured.lost ?? []);
  const replies = [];
  let number = 0;
  for (const value of samplesOf(measured)) {
    while (lost.has(number)) number += 1;
    replies.push({ number, value });
    number += 1;
  }
  return replies;
}

// Of several attempts at an item the last one counts.
const lastAttempts = new Map(data.entries.map((entry) => [entry.nodeid, entry]));
const isLast = (entry) => lastAttempts.get(entry.nodeid) === entry;
