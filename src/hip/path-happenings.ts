/** What happens to addresses and paths, in every state. */
import type { Path } from "../core/types.ts";
import { announceAway } from "./away.ts";
import type { Stay } from "./checks.ts";
import { type Context, type Step, step } from "./context.ts";
import { moveByHand, pathDown, pathRtt, reconcile, sourceMoved } from "./mobility.ts";
import type { Open, State } from "./states.ts";

export type PathHappening =
  | { readonly type: "locators" }
  | { readonly type: "away"; readonly seconds: number }
  | { readonly type: "path-down" | "moved"; readonly path: Path }
  | { readonly type: "path-rtt"; readonly path: Path; readonly millis: number }
  | { readonly type: "handover"; readonly local: string | undefined; readonly remote: string | undefined };

export function pathHappens(state: State, what: PathHappening, cx: Context): Step {
  if (state.name !== "R2-SENT" && state.name !== "ESTABLISHED") {
    return what.type === "locators" ? unbound(state, cx) : step(state);
  }
  const done = openPathHappens(state, what, cx);
  return step(done.next, done.out);
}

function openPathHappens(state: Open, what: PathHappening, cx: Context): Stay {
  switch (what.type) {
    case "locators":
      return reconcile(state, cx);
    case "away":
      return announceAway(state, what.seconds, cx);
    case "path-down":
      return pathDown(state, what.path, cx);
    case "path-rtt":
      return pathRtt(state, what.path, what.millis, cx);
    case "moved":
      return sourceMoved(state, what.path, cx);
    case "handover":
      return moveByHand(state, what.local, what.remote, cx);
  }
}

/** Packets that are repeated in other states leave from whatever address the kernel chooses once theirs is gone. */
function unbound(state: State, cx: Context): Step {
  const gone = ({ local }: Path): boolean =>
    !(cx.own ?? []).some((one) => one.local && one.address === local.address);
  const free = (path: Path): Path => ({ ...path, local: { ...path.local, address: "" } });
  const usable = (path: Path): Path => (gone(path) ? free(path) : path);
  if (state.name === "I2-SENT") {
    const fallback = state.fallback === undefined ? undefined : usable(state.fallback);
    return step({ ...state, path: usable(state.path), fallback });
  }
  if (state.name === "CLOSED") return step(gone(state.path) ? { ...state, path: free(state.path) } : state);
  if (state.name === "CLOSING" && gone(state.session.path))
    return step({ ...state, session: { ...state.session, path: free(state.session.path) } });
  return step(state);
}
