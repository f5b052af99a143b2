// Rows of a table in; the text of a CSV file that any spreadsheet opens, and in which none finds a formula, out; and back.

// Where a spreadsheet would begin to compute, see FORMULA in tables.py: an apostrophe goes there.
const FORMULA = /(?:^|(?<=[;\t\r\n]))(?=[' \t\r\n]*[=+\-@\uff1d\uff0b\uff0d\uff20]|'*[\t\r\n])/g;
const WRITTEN = new RegExp(`${FORMULA.source}'`, "g");
// Of columns, as spreadsheets of different countries write them; the first where there is one column alone.
const SEPARATORS = [",", ";", "\t"];

export function csvOf(rows) {
  return [Object.keys(rows[0]), ...rows.map(Object.values)].map((row) => `${row.map(cellOf).join(",")}\n`).join("");
}

function cellOf(value) {
  if (typeof value === "number") return String(value);
  const text = value.replace(FORMULA, "'");
  return /[",\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
}

// By the names of the columns, in small letters, whatever separator a spreadsheet wrote; without empty lines.
export function rowsOf(text) {
  const plain = text.replace(/^\ufeff/, ""), [head] = plain.split("\n", 1);
  const often = SEPARATORS.map((separator) => head.split(separator).length);
  const separator = SEPARATORS[often.indexOf(Math.max(...often))];
  const [names = [], ...rows] = cellsOf(plain, separator).filter((row) => row.length > 1 || row[0] !== "");
  const columns = names.map((name) => name.trim().toLowerCase());
  return rows.map((row) => Object.fromEntries(columns.map((name, c) => [name, row[c] ?? ""])));
}

// A quote within quotes is written twice; a line may end within quotes.
function cellsOf(text, separator) {
  const rows = [[""]];
  let quoted = false;
  for (let i = 0; i < text.length; i += 1) {
    const character = text[i], row = rows.at(-1);
    if (quoted && character === '"' && text[i + 1] === '"') {
      row[row.length - 1] += '"';
      i += 1;
    } else if (character === '"' && (quoted || row.at(-1) === "")) quoted = !quoted;
    else if (quoted) row[row.length - 1] += character;
    else if (character === separator) row.push("");
    else if (character === "\n") rows.push([""]);
    else if (character !== "\r" || text[i + 1] !== "\n") row[row.length - 1] += character;
  }
  return rows.map((row) => row.map((cell) => cell.replace(WRITTEN, "")));
}
