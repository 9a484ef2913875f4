/** Paths and locators of an association as others see them. */
import { type Endpoint, type Path, sameEndpoint, samePath } from "../core/types.ts";
import type { PathDetails, PeerLocatorDetails } from "./io.ts";
import { isActive, pathIn } from "./mobility-state.ts";
import { type State, sessionOf } from "./states.ts";

/** Every pair that answered once, and the one in use, which comes first. */
export function pathsOf(state: State): readonly PathDetails[] {
  const session = sessionOf(state);
  if (session === undefined) return [];
  const { mobility, path: current } = session;
  const of = (path: Path): PathDetails => {
    const known = pathIn(mobility, path);
    const here = samePath(path, current);
    const answers = known === undefined ? here : known.downSince === undefined;
    return {
      path,
      current: here,
      verified: answers && isActive(mobility, path.remote),
      rttMillis: known?.rttMillis,
      heardAt: known?.heardAt,
    };
  };
  return [of(current), ...mobility.paths.map(({ path }) => of(path)).filter((one) => !one.current)];
}

export function peerLocatorsOf(state: State): readonly PeerLocatorDetails[] {
  return sessionOf(state)?.mobility.locators ?? [];
}

/**
 * Where the peer was last, best first, for the next exchange with it: where it answered, where it says that it is, where it
 * was before. What is a mere guess from a packet's source is left out. So is where an I2 came from until
 * the peer shows that it has the R2: it may have left before, and what was known then is not to be forgotten for it.
 */
export function lastLocatorsOf(state: State): readonly Endpoint[] {
  const session = sessionOf(state);
  if (session === undefined || state.name === "R2-SENT") return [];
  const rank = { ACTIVE: 0, UNVERIFIED: 1, DEPRECATED: 2 } as const;
  const rest = session.mobility.locators
    .filter(({ source, status }) => source !== "observed" || status === "ACTIVE")
    .toSorted((a, b) => rank[a.status] - rank[b.status] || b.since - a.since);
  const all = [session.path.remote, ...rest.map(({ endpoint }) => endpoint)];
  return all.filter((one, at) => all.findIndex((other) => sameEndpoint(one, other)) === at);
}

/** Whether anything that the functions above tell is different. */
export function pathsChanged(before: State, after: State): boolean {
  const [old, now] = [sessionOf(before), sessionOf(after)];
  if (now === undefined) return old !== undefined;
  return (
    old === undefined ||
    (before.name === "R2-SENT") !== (after.name === "R2-SENT") ||
    !samePath(old.path, now.path) ||
    old.mobility.paths !== now.mobility.paths ||
    old.mobility.locators !== now.mobility.locators
  );
}
