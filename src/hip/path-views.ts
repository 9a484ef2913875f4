/** Paths and locators of an association as others see them. */
import { type Endpoint, type Path, samePath } from "../core/types.ts";
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

/** Where the peer was last, best first: for the next exchange with it. */
export function lastLocatorsOf(state: State): readonly Endpoint[] {
  const session = sessionOf(state);
  if (session === undefined) return [];
  const active = session.mobility.locators.filter(({ status }) => status === "ACTIVE");
  const first = session.path.remote;
  const rest = active.map(({ endpoint }) => endpoint).filter((one) => one !== first);
  return [first, ...rest.filter((one) => one.address !== first.address || one.port !== first.port)];
}

/** Whether anything that `pathsOf` and `peerLocatorsOf` tell is different. */
export function pathsChanged(before: State, after: State): boolean {
  const [old, now] = [sessionOf(before), sessionOf(after)];
  if (now === undefined) return old !== undefined;
  return (
    old === undefined ||
    !samePath(old.path, now.path) ||
    old.mobility.paths !== now.mobility.paths ||
    old.mobility.locators !== now.mobility.locators
  );
}
