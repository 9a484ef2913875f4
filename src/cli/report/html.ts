/** HTML and SVG from templates: whatever is put into one is escaped, unless it came out of one itself. */

/** Markup that may stand in a page as it is. Only `html` makes it. */
export class Markup {
  readonly text: string;

  constructor(text: string) {
    this.text = text;
  }
}

export type Value = Markup | string | number | null | undefined | false | readonly Value[];

const ENTITIES: Readonly<Record<string, string>> = {
  "&": "&amp;",
  "<": "&lt;",
  ">": "&gt;",
  '"': "&quot;",
  "'": "&#39;",
};

/** For text between tags and in quoted attributes. Control characters, which HTML does not have, become U+FFFD. */
export function escaped(text: string): string {
  return [...text].map((char) => ENTITIES[char] ?? (isControl(char) ? "\ufffd" : char)).join("");
}

/** What is neither tab nor line break but below a space, DEL, C1, or turns the direction of writing around. */
function isControl(char: string): boolean {
  const code = char.codePointAt(0) as number;
  if (code === 0x09 || code === 0x0a) return false;
  return (
    code < 0x20 ||
    (code >= 0x7f && code < 0xa0) ||
    (code >= 0x202a && code <= 0x202e) ||
    (code >= 0x2066 && code <= 0x2069) ||
    (code >= 0xd800 && code <= 0xdfff)
  );
}

/** Every attribute in a template must be in double quotes. */
export function html(strings: TemplateStringsArray, ...values: readonly Value[]): Markup {
  let text = strings[0] ?? "";
  for (const [i, value] of values.entries()) text += render(value) + (strings[i + 1] ?? "");
  return new Markup(text);
}

function render(value: Value): string {
  if (value === null || value === undefined || value === false) return "";
  if (value instanceof Markup) return value.text;
  if (typeof value === "string") return escaped(value);
  if (typeof value === "number") return number(value);
  return value.map(render).join("");
}

/** Coordinates need no more than hundredths. */
function number(value: number): string {
  return Number.isFinite(value) ? String(Math.round(value * 100) / 100) : "0";
}
