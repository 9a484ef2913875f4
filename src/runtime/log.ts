/** The log: JSON lines for the journal, or a readable form on a terminal. Fields are plain words and numbers; keys cannot get in. */
import { fstatSync, writeSync } from "node:fs";
import { pino } from "pino";
import type { LogEvent } from "./catalogue/log-lines.ts";

export type LogLevel = "debug" | "info" | "warn" | "error";
export type LogField = string | number | boolean | null | undefined | readonly string[];
export type LogFields = Readonly<Record<string, LogField>>;

/** `event` is a stable word for programs, `message` a sentence for people. */
export interface Log {
  debug(event: LogEvent, message: string, fields?: LogFields): void;
  info(event: LogEvent, message: string, fields?: LogFields): void;
  warn(event: LogEvent, message: string, fields?: LogFields): void;
  error(event: LogEvent, message: string, fields?: LogFields): void;
  setLevel(level: LogLevel): void;
}

/** Takes one whole line with its end. */
export interface LineSink {
  write(line: string): void;
}

/** Standard output without a buffer. A reader that does not keep up loses lines, and is told how many. */
export class StdoutSink implements LineSink {
  #lost = 0;

  write(line: string): void {
    try {
      if (this.#lost > 0) writeSync(1, lostLine(this.#lost));
      this.#lost = 0;
      writeSync(1, line);
    } catch {
      this.#lost++;
    }
  }
}

function lostLine(count: number): string {
  const line = { level: "warn", time: new Date().toISOString(), event: "log-lines-lost", count };
  return `${JSON.stringify({ ...line, msg: "whoever reads the log did not keep up" })}\n`;
}

/** Lines with the priority that the journal takes off again (sd-daemon(3)): `journalctl -p warning` finds them. */
export class JournalSink implements LineSink {
  readonly #sink: LineSink;

  constructor(sink: LineSink) {
    this.#sink = sink;
  }

  write(line: string): void {
    const level = /^\{"level":"(\w+)"|^\S+ (\w+) /.exec(line);
    const priority = PRIORITIES[(level?.[1] ?? level?.[2] ?? "").toLowerCase()] ?? PRIORITIES["info"];
    this.#sink.write(`<${priority}>${line}`);
  }
}

/** Those of syslog(3). */
const PRIORITIES: Readonly<Record<string, number>> = { debug: 7, info: 6, warn: 4, error: 3 };

/** Whether standard output goes to the journal: systemd says so by device and inode (systemd.exec(5), JOURNAL_STREAM). */
export function toJournal(stream: string | undefined, output: { dev: number; ino: number }): boolean {
  return stream !== undefined && stream === `${output.dev}:${output.ino}`;
}

/** Standard output, as whoever reads it wants it. */
export function standardOutput(environment: Readonly<Record<string, string | undefined>>): LineSink {
  const sink = new StdoutSink();
  try {
    return toJournal(environment["JOURNAL_STREAM"], fstatSync(1)) ? new JournalSink(sink) : sink;
  } catch {
    return sink;
  }
}

export interface LogOptions {
  readonly level: LogLevel;
  readonly format: "json" | "text";
  /** Colours in the readable form. */
  readonly color: boolean;
}

export function createLog(options: LogOptions, sink: LineSink): Log {
  const target = options.format === "json" ? sink : readable(sink, options.color);
  const logger = pino(
    {
      level: options.level,
      base: null,
      timestamp: () => `,"time":"${new Date().toISOString()}"`,
      formatters: { level: (label) => ({ level: label }) },
    },
    target,
  );
  const write =
    (level: LogLevel) =>
    (event: LogEvent, message: string, fields: LogFields = {}): void => {
      logger[level]({ event, ...clean(fields) }, cleanText(message));
    };
  return {
    debug: write("debug"),
    info: write("info"),
    warn: write("warn"),
    error: write("error"),
    setLevel: (level) => {
      logger.level = level;
    },
  };
}

/** Names that no field may have, whatever its value: `privateKey`, `macKey`, `kij`, `secret`, ... */
const SECRET_NAME = /key$|^key|kij|secret|password|pem$|salt|seed/i;
/** PEM blocks, and hex or base64 long enough to be a key; a HIT has 32 digits at most. */
const SECRET_TEXT = /-----BEGIN [^-]+-----[\s\S]*|[0-9a-fA-F]{40,}|[A-Za-z0-9+/]{43,}={0,2}/g;
/** Longer texts are cut, so that nobody floods the log through a name. */
const MAX_TEXT = 2_000;

/** What is left of the fields when everything that could be a secret, or is no plain value, is gone. */
export function clean(fields: LogFields): Record<string, LogField> {
  const safe: Record<string, LogField> = {};
  for (const [name, value] of Object.entries(fields)) {
    if (value === undefined) continue;
    if (SECRET_NAME.test(name)) safe[name] = "[redacted]";
    else if (typeof value === "string") safe[name] = cleanText(value);
    else if (typeof value === "number" || typeof value === "boolean" || value === null) safe[name] = value;
    else if (Array.isArray(value)) safe[name] = value.map((item) => cleanText(String(item)));
    else safe[name] = "[omitted]";
  }
  return safe;
}

/** Absolute paths look like base64, so they are spared unless one of their parts is long. */
export function cleanText(text: string): string {
  const cut = text.length > MAX_TEXT ? `${text.slice(0, MAX_TEXT)}...` : text;
  return cut.replace(SECRET_TEXT, (match) => (isPath(match) ? match : "[redacted]"));
}

function isPath(text: string): boolean {
  return text.startsWith("/") && text.split("/").every((part) => part.length < 40);
}

const COLORS: Readonly<Record<string, string>> = {
  debug: "\x1b[2m",
  info: "\x1b[32m",
  warn: "\x1b[33m",
  error: "\x1b[31m",
};

function readable(sink: LineSink, color: boolean): LineSink {
  return { write: (line) => sink.write(readableLine(line, color)) };
}

/** `12:34:56.789 INFO  association established peer=db1 hit=2001:22:...` */
export function readableLine(json: string, color: boolean): string {
  const { level, time, event: _event, msg, ...fields } = JSON.parse(json) as Record<string, unknown>;
  const label = String(level).toUpperCase().padEnd(5);
  const words = Object.entries(fields).map(([name, value]) => `${name}=${word(value)}`);
  const at = String(time).slice(11, 23);
  const shown = color ? `${COLORS[String(level)] ?? ""}${label}\x1b[0m` : label;
  return `${[at, shown, String(msg), ...words].join(" ")}\n`;
}

function word(value: unknown): string {
  const text = Array.isArray(value) ? value.join(",") : String(value);
  return /^[^\s"=]+$/.test(text) ? text : JSON.stringify(text);
}
