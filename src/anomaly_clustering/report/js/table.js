// Rows of a table in; the text of a CSV file that any spreadsheet opens, and in which none finds a formula, out; and back.

import { t } from "report/texts.js";

// Where a spreadsheet would begin to compute, see FORMULA in tables.py: an apostrophe goes there.
const FORMULA = /(?:^|(?<=[;\t\r\n]))(?=[' \t\r\n]*[=+\-@\uff1d\uff0b\uff0d\uff20]|'*[\t\r\n])/g;
const WRITTEN = new RegExp(`${FORMULA.source}'`, "g");
// Of columns, as spreadsheets of different countries write them; the first where there is one column alone.
const SEPARATORS = [",", ";", "\t"];
const QUOTED = /"[^"]*(?:"|$)/g;  // A cell of the head in which a separator is none; it may go on on the next line.
const TOLD = /^sep=([,;\t])\s*$/i;  // The first line by which Excel is told what separates the columns.

export function csvOf(rows) {
  return [Object.keys(rows[0]), ...rows.map(Object.values)].map((row) => `${row.map(cellOf).join(",")}\n`).join("");
}

// A text in which no spreadsheet finds a formula.
export const withoutFormulas = (text) => text.replace(FORMULA, "'");

function cellOf(value) {
  if (typeof value === "number") return String(value);
  const text = withoutFormulas(value);
  return /[",\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
}

// Each row with the number of the line on which it begins, and its cells by the names of the columns, in small letters,
// whatever separator a spreadsheet wrote; without rows that it left empty. tables.py does the same.
export function rowsOf(text) {
  const plain = text.replace(/^\ufeff/, ""), [head = ""] = /.*\S.*/.exec(plain) ?? [], told = TOLD.exec(head);
  const bare = head.replace(QUOTED, ""), often = SEPARATORS.map((separator) => bare.split(separator).length);
  const separator = told ? told[1] : SEPARATORS[often.indexOf(Math.max(...often))];
  const filled = cellsOf(plain, separator).filter(({ cells }) => cells.some((cell) => cell.trim()));
  const [{ cells: names } = { cells: [] }, ...rows] = filled.slice(told ? 1 : 0);
  const columns = names.map((name) => name.trim().toLowerCase());
  const twice = columns.find((name, c) => name && columns.indexOf(name) !== c);
  if (twice) throw new Error(t("same_columns", { name: twice }));
  return rows.map(({ line, cells }) => ({ line, row: Object.fromEntries(columns.map((name, c) => [name, cells[c] ?? ""])) }));
}

// A quote within quotes is written twice; a line may end within quotes.
function cellsOf(text, separator) {
  const rows = [{ line: 1, cells: [""] }];
  let quoted = false, line = 1;
  for (let i = 0; i < text.length; i += 1) {
    const character = text[i], row = rows.at(-1).cells, ends = character === "\n" || (character === "\r" && text[i + 1] !== "\n");
    if (ends) line += 1;
    if (quoted && character === '"' && text[i + 1] === '"') {
      row[row.length - 1] += '"';
      i += 1;
    } else if (character === '"' && (quoted || row.at(-1) === "")) quoted = !quoted;
    else if (quoted) row[row.length - 1] += character;
    else if (character === separator) row.push("");
    else if (ends) rows.push({ line, cells: [""] });
    else if (character !== "\r") row[row.length - 1] += character;
  }
  return rows.map((row) => ({ ...row, cells: row.cells.map((cell) => cell.replace(WRITTEN, "")) }));
}
