// Rows of a table in; the text of a CSV file that any spreadsheet opens, and in which none finds a formula, out.

// Where a spreadsheet would begin to compute, see FORMULA in tables.py: an apostrophe goes there.
const FORMULA = /(?:^|(?<=[;\t\r\n]))(?=[' \t\r\n]*[=+\-@\uff1d\uff0b\uff0d\uff20]|'*[\t\r\n])/g;

export function csvOf(rows) {
  return [Object.keys(rows[0]), ...rows.map(Object.values)].map((row) => `${row.map(cellOf).join(",")}\n`).join("");
}

function cellOf(value) {
  if (typeof value === "number") return String(value);
  const text = value.replace(FORMULA, "'");
  return /[",\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
}
