/** hipctl ping: echo requests through the overlay, with path and round-trip time. */
import type { Command } from "commander";
import { type PingReply, pingReply } from "../../runtime/control-convert.ts";
import { CommandFailure, contextOf, LONGEST_WAIT, orFail, timeSpan, wholeNumber } from "../context.ts";
import { EXIT } from "../exit.ts";
import { type Io, jsonLine, millis } from "../output.ts";
import { pathText } from "../views.ts";

interface PingOptions {
  readonly count?: string;
  readonly interval: string;
  readonly size: string;
  readonly timeout: string;
}

export function addPing(program: Command, io: Io): void {
  program
    .command("ping <peer>")
    .description("send echo requests to a peer through the overlay")
    .option("-c, --count <number>", "how many (default: until interrupted)")
    .option("-i, --interval <time>", "time between two: 1s, 200ms", "1s")
    .option("-s, --size <bytes>", "bytes of payload", "56")
    .option("-W, --timeout <time>", "how long to wait for the association, and for each reply", "5s")
    .action(async (peer: string, options: PingOptions, command: Command) => {
      const context = contextOf(command, io);
      const request = {
        peer,
        count: options.count === undefined ? 0 : wholeNumber("--count", 1, 1_000_000_000)(options.count),
        intervalMillis: timeSpan("--interval", 10, LONGEST_WAIT)(options.interval),
        bytes: wholeNumber("--size", 8, 65_000)(options.size),
        timeoutMillis: timeSpan("--timeout", 10, LONGEST_WAIT)(options.timeout),
      };
      const summary = new PingSummary(peer);
      const received = await context.withClient(async (client) => {
        const stream = client.stream<Record<string, unknown>>("Ping", request, (message) => {
          const reply = pingReply(message);
          if (reply === undefined) return;
          summary.add(reply);
          io.out(context.json ? jsonLine(reply) : pingText(reply, summary.name, request.bytes));
        });
        let interrupted = false;
        const restore = io.onInterrupt(() => {
          interrupted = true;
          stream.cancel();
        });
        const ended = await stream.done;
        restore();
        if (interrupted) {
          const done = summary.done();
          io.out(context.json ? jsonLine(done) : `\n${pingText(done, summary.name, request.bytes)}`);
        } else orFail(ended);
        return summary.received;
      });
      if (received === 0) throw new CommandFailure(EXIT.failed, `${summary.name} did not answer`);
    });
}

/** Counts along, so that an interrupted ping has its last lines too. */
export class PingSummary {
  name: string;
  received = 0;
  #lost = 0;
  #sum = 0;
  #min = Number.POSITIVE_INFINITY;
  #max = 0;

  constructor(name: string) {
    this.name = name;
  }

  add(reply: PingReply): void {
    if (reply.type === "ping-start") this.name = reply.name;
    else if (reply.type === "ping-lost") this.#lost++;
    else if (reply.type === "ping-reply") {
      this.received++;
      this.#sum += reply.rttMillis;
      this.#min = Math.min(this.#min, reply.rttMillis);
      this.#max = Math.max(this.#max, reply.rttMillis);
    }
  }

  done(): Extract<PingReply, { type: "ping-done" }> {
    const some = this.received > 0;
    return {
      type: "ping-done",
      sent: this.received + this.#lost,
      received: this.received,
      minMillis: some ? this.#min : null,
      meanMillis: some ? this.#sum / this.received : null,
      maxMillis: some ? this.#max : null,
    };
  }
}

export function pingText(reply: PingReply, name: string, size: number): string {
  switch (reply.type) {
    case "ping-start": {
      const addresses = [reply.hit, ...(reply.lsi === null ? [] : [reply.lsi])].join(", ");
      const exchange =
        reply.exchangeMillis === null ? "" : `, association made in ${millis(reply.exchangeMillis)}`;
      return `ping ${reply.name} (${addresses}), ${size} bytes${exchange}\n`;
    }
    case "ping-reply":
      return `${reply.sequence}: ${millis(reply.rttMillis)} over ${pathText(reply.path) || "an unknown path"}\n`;
    case "ping-lost":
      return `${reply.sequence}: no answer\n`;
    case "ping-done": {
      const { sent, received, minMillis, meanMillis, maxMillis } = reply;
      const lost = sent === 0 ? 0 : Math.round((100 * (sent - received)) / sent);
      const times =
        meanMillis === null
          ? ""
          : `; least/mean/most ${millis(minMillis)} / ${millis(meanMillis)} / ${millis(maxMillis)}`;
      return `${name}: ${sent} sent, ${received} answered, ${lost} % lost${times}\n`;
    }
  }
}
