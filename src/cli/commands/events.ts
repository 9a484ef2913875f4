/** hipctl events: what happens, as it happens. */
import type { Command } from "commander";
import type { OverlayEvent } from "../../overlay/control.ts";
import { eventFrom } from "../../runtime/control-convert.ts";
import { readableDetail } from "../../runtime/event-detail.ts";
import { contextOf, orFail, wholeNumber } from "../context.ts";
import { type Io, jsonLine, type Style, styled } from "../output.ts";

const STYLES: Readonly<Record<string, Style>> = {
  "association-established": "green",
  "association-failed": "red",
  "authentication-failed": "red",
  "clone-detected": "red",
  "exchange-refused": "yellow",
  handover: "green",
  "handover-failed": "red",
  "locator-unreachable": "yellow",
  "peer-away": "yellow",
  "association-state": "dim",
};

export function addEvents(program: Command, io: Io): void {
  program
    .command("events")
    .description("show events as they happen, until interrupted")
    .option("--since <number>", "begin with remembered events from this number on (1: all of them)")
    .option("-n, --count <number>", "end after so many")
    .action(async (options: { since?: string; count?: string }, command: Command) => {
      const context = contextOf(command, io);
      const since =
        options.since === undefined
          ? undefined
          : wholeNumber("--since", 0, Number.MAX_SAFE_INTEGER)(options.since);
      const limit =
        options.count === undefined
          ? Number.POSITIVE_INFINITY
          : wholeNumber("--count", 1, 1e9)(options.count);
      await context.withClient(async (client) => {
        let shown = 0;
        let ended = false;
        const stream = client.stream<Record<string, unknown>>("WatchEvents", { since }, (message) => {
          if (shown >= limit) return;
          const event = eventFrom(message);
          io.out(context.json ? jsonLine(event) : eventText(event, io.color));
          if (++shown < limit) return;
          ended = true;
          stream.cancel();
        });
        const restore = io.onInterrupt(() => {
          ended = true;
          stream.cancel();
        });
        const result = await stream.done;
        restore();
        if (!ended) orFail(result);
      });
    });
}

/** `12:34:56.789  association-established  db1  2001:22:...  suite=AES-GCM-16` */
export function eventText(event: OverlayEvent, color: boolean): string {
  const detail = Object.entries(readableDetail(event.detail)).map(([name, value]) => {
    const text = String(value);
    return `${name}=${/^[^\s"]+$/.test(text) ? text : JSON.stringify(text)}`;
  });
  const who = [event.peer, event.hit].filter((part) => part !== null);
  const name = styled(event.name, STYLES[event.name], color);
  return `${[event.time.slice(11, 23), name, ...who, ...detail].join("  ")}\n`;
}
