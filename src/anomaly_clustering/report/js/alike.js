// The images that are most like each one, the most alike first, out of the bytes that the page holds.

import { bytesOf } from "report/bytes.js";
import { run } from "report/run.js";

const { width, bytes, base64 } = run.alike ?? { width: 0, bytes: 2, base64: "" };
const packed = bytesOf(base64);

export const hasAlike = width > 0;

export function alikeOf(image) {
  const row = packed.subarray(image * width * bytes, (image + 1) * width * bytes);
  return Array.from({ length: row.length / bytes }, (_, k) => {
    let number = 0;
    for (let b = bytes - 1; b >= 0; b -= 1) number = 256 * number + row[k * bytes + b];
    return number;
  });
}
