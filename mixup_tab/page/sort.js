// Sorts a table by the column whose header is pressed: rising, then falling.
"use strict";

function compare(a, b, sign) {
  const [one, two] = [a.dataset.number, b.dataset.number];
  // Cells without a number, and empty ones, stay below whichever way.
  if (one !== undefined && two !== undefined) return sign * (toNumber(one) - toNumber(two)) || 0;
  if (one !== two) return one === undefined ? 1 : -1;
  const [left, right] = [a.textContent.trim(), b.textContent.trim()];
  if (!left || !right) return Number(!left) - Number(!right);
  return sign * left.localeCompare(right, undefined, { numeric: true });
}

function toNumber(text) {
  // Python writes infinities as inf; the largest numbers stand for them, so that they compare.
  return { inf: Number.MAX_VALUE, "-inf": -Number.MAX_VALUE }[text] ?? Number(text);
}

function sortBy(header) {
  const rising = header.getAttribute("aria-sort") !== "ascending";
  for (const other of header.parentNode.children) other.setAttribute("aria-sort", "none");
  header.setAttribute("aria-sort", rising ? "ascending" : "descending");
  const body = header.closest("table").tBodies[0];
  const rows = Array.from(body.rows);
  const column = header.cellIndex;
  rows.sort((a, b) => compare(a.cells[column], b.cells[column], rising ? 1 : -1));
  body.append(...rows);
}

for (const button of document.querySelectorAll("th > button"))
  button.addEventListener("click", () => sortBy(button.parentNode));

// What is folded belongs on paper too.
const folded = new Set();
addEventListener("beforeprint", () => {
  for (const part of document.querySelectorAll("details:not([open])")) {
    folded.add(part);
    part.open = true;
  }
});
addEventListener("afterprint", () => {
  for (const part of folded) part.open = false;
  folded.clear();
});
