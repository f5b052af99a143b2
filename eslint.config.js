// Rules for the scripts of the report; tests/test_report_scripts.py looks at what they import.

import js from "@eslint/js";

// What the scripts use of a browser. A longer list would also allow `name`, `top` and `event`, which are often slips.
const BROWSER = [
  ...["addEventListener", "atob", "devicePixelRatio", "document", "getComputedStyle", "localStorage", "navigator"],
  ...["clearTimeout", "innerHeight", "print", "requestAnimationFrame", "setTimeout"],
  ...["Blob", "Image", "IntersectionObserver", "Option", "ResizeObserver", "TextDecoder", "URL"],
];

export default [
  js.configs.recommended,
  {
    languageOptions: { globals: Object.fromEntries(BROWSER.map((name) => [name, "readonly"])) },
    linterOptions: { reportUnusedDisableDirectives: "error" },
    rules: {
      eqeqeq: "error",
      "no-duplicate-imports": "error",
      "no-implicit-globals": "error",
      "no-shadow": "error",
      "no-undef": "error",
      "no-unused-expressions": "error",
      "no-unused-vars": "error",
      "no-var": "error",
      "prefer-const": "error",
      "sort-imports": ["error", { ignoreCase: false, ignoreDeclarationSort: true }],
    },
  },
];
