// The page as it was written, before any script has changed it.

export const pristine = `<!doctype html>\n${document.documentElement.outerHTML}\n`;
