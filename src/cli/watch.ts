/** `--watch`: the same answer again whenever something happens that may change it. */
import type { Result } from "../core/types.ts";
import type { ClientError } from "../runtime/control-client.ts";
import { eventFrom } from "../runtime/control-convert.ts";
import { type Context, orFail } from "./context.ts";
import { jsonLine, styled } from "./output.ts";

export const WATCH_FLAG = "--watch";
export const WATCH_HELP = "again whenever something changes, until interrupted";

export interface Watched<T> {
  readonly method: string;
  readonly request?: unknown;
  readonly text: (value: T) => string;
  /** Events after which the answer may look different; by default all. */
  readonly events?: ReadonlySet<string>;
}

/** Shows the answer once, or with `again` until interrupted: to programs one JSON value a line, to people each with its time. */
export async function show<T>(context: Context, watched: Watched<T>, again: boolean): Promise<void> {
  const { io } = context;
  if (!again) {
    const value = await context.call<T>(watched.method, watched.request);
    context.print(value, () => watched.text(value));
    return;
  }
  const print = (value: T): void => {
    const time = styled(new Date(io.now()).toISOString(), "dim", io.color);
    io.out(context.json ? jsonLine(value) : `${time}\n${watched.text(value)}\n`);
  };
  await context.withClient(async (client) => {
    let asking = false;
    let due = false;
    let ended = false;
    let failure: Result<unknown, ClientError> | undefined;
    // Many events may belong together: one answer is awaited before the next is asked for.
    const refresh = async (): Promise<void> => {
      due = true;
      if (asking) return;
      asking = true;
      while (due && !ended) {
        due = false;
        const value = await client.call<T>(watched.method, watched.request ?? {});
        if (ended) break;
        if (value.ok) print(value.value);
        else {
          failure = value;
          stop();
        }
      }
      asking = false;
    };
    const stream = client.stream<Record<string, unknown>>("WatchEvents", {}, (message) => {
      if (watched.events?.has(eventFrom(message).name) !== false) void refresh();
    });
    const stop = (): void => {
      ended = true;
      stream.cancel();
    };
    const restore = io.onInterrupt(stop);
    // Listening begins first, so that nothing is missed after the first answer.
    await stream.started;
    await refresh();
    const result = await stream.done;
    restore();
    if (failure !== undefined) orFail(failure);
    if (!ended) orFail(result);
  });
}
