/** What a check found, for people and for programs: doctor, netcheck and why speak in these. */
import { type Style, styled } from "./output.ts";

export const VERDICTS = ["ok", "info", "warning", "problem", "not-checked"] as const;
/** "info": neither good nor bad. "not-checked": it could not, or was not to be, looked at. */
export type Verdict = (typeof VERDICTS)[number];

export interface Finding {
  /** One or two words: what was looked at. */
  readonly check: string;
  readonly verdict: Verdict;
  readonly text: string;
  /** What to do about it. */
  readonly remedy: string | null;
}

const STYLES: Readonly<Record<Verdict, Style>> = {
  ok: "green",
  info: "dim",
  warning: "yellow",
  problem: "red",
  "not-checked": "dim",
};

export function finding(
  check: string,
  verdict: Verdict,
  text: string,
  remedy: string | null = null,
): Finding {
  return { check, verdict, text, remedy };
}

export function verdictText(verdict: Verdict): string {
  return verdict.replace("-", " ");
}

/** `ok  route  text` lines; a remedy stands below its finding, in one line to be copied. Lines of a text after the first are indented as the first. */
export function findingsText(
  findings: readonly Finding[],
  color: boolean,
  width = Number.POSITIVE_INFINITY,
): string {
  const verdicts = Math.max(0, ...findings.map(({ verdict }) => verdict.length));
  const checks = Math.max(0, ...findings.map(({ check }) => check.length));
  const margin = " ".repeat(verdicts + checks + 4);
  return findings
    .map(({ check, verdict, text, remedy }) => {
      const label = styled(verdictText(verdict).padEnd(verdicts), STYLES[verdict], color);
      const lines = text
        .split("\n")
        .flatMap((line) => wrapped(line, width - margin.length))
        .join(`\n${margin}`);
      const cure = remedy === null ? "" : `${margin}${styled("->", "bold", color)} ${remedy}\n`;
      return `${label}  ${check.padEnd(checks)}  ${lines}\n${cure}`;
    })
    .join("");
}

/** Narrower columns than this are not worth it. */
const LEAST_WIDTH = 24;

/** Lines of whole words. */
function wrapped(text: string, width: number): readonly string[] {
  if (text.length <= width || width < LEAST_WIDTH) return [text];
  const lines: string[] = [];
  let line = "";
  for (const word of text.split(" ")) {
    if (line !== "" && line.length + 1 + word.length > width) {
      lines.push(line);
      line = word;
    } else line = line === "" ? word : `${line} ${word}`;
  }
  return [...lines, line];
}

/** The worst that was found. */
export function worst(findings: readonly Finding[]): Verdict {
  for (const verdict of ["problem", "warning", "not-checked"] as const) {
    if (findings.some((each) => each.verdict === verdict)) return verdict;
  }
  return "ok";
}
