// Where keys are text: in fields that are typed in and in lists, which go to what is typed. There they do nothing else.

const SELECTOR = "select, textarea, input:not([type=range], [type=checkbox], [type=file])";

export const takesLetters = (element) => element.matches(SELECTOR);

// Whether a field holds more than what it tells of the decisions, which is its default; other fields tell nothing of them.
export const isTypedIn = (field) => !field.matches(".naming, #k-number") || field.value.trim() !== field.defaultValue;
