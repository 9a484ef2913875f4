/** How a check puts its verdict. */
import { instanceOfFile } from "../../runtime/overlay-instance.ts";
import { type Finding, finding as make, type Verdict } from "../verdict.ts";

export interface Say {
  ok(text: string): Finding;
  /** Neither good nor bad. */
  info(text: string): Finding;
  /** Works, but not as well as it could, or not for sure. */
  warning(text: string, remedy?: string): Finding;
  /** Does not work. */
  problem(text: string, remedy?: string): Finding;
  /** `text` says why it could not be looked at. */
  notChecked(text: string, remedy?: string): Finding;
}

export function say(check: string): Say {
  const finding =
    (verdict: Verdict) =>
    (text: string, remedy?: string): Finding =>
      make(check, verdict, text, remedy);
  return {
    ok: finding("ok"),
    info: finding("info"),
    warning: finding("warning"),
    problem: finding("problem"),
    notChecked: finding("not-checked"),
  };
}

/** `a, b and 3 more` */
export function some(names: readonly string[], most = 3): string {
  const shown = names.slice(0, most);
  const more = names.length - shown.length;
  return more > 0 ? `${shown.join(", ")} and ${more} more` : shown.join(", ");
}

/** What to do about a lack of rights. */
export const AS_ROOT = "run it as root: sudo hipctl doctor";

/** The unit whose configuration this is: `hipd@NAME` for /etc/hipd/NAME.toml. */
export function unitName(configFile: string): string {
  const instance = instanceOfFile(configFile);
  return instance === undefined ? "hipd.service" : `hipd@${instance}.service`;
}
