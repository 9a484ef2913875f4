/** All parameters that this implementation knows, by type. */
import type { Parameter } from "./parameter.ts";
import * as hipd from "./private.ts";
import * as base from "./rfc7401.ts";
import * as esp from "./rfc7402.ts";
import * as registration from "./rfc8003.ts";
import * as rendezvous from "./rfc8004.ts";
import * as mobility from "./rfc8046.ts";
import * as nat from "./rfc9028.ts";

/** In ascending order of type. */
export const KNOWN_PARAMETERS: readonly Parameter<unknown>[] = [
  ...declaredIn(base),
  ...declaredIn(esp),
  ...declaredIn(registration),
  ...declaredIn(rendezvous),
  ...declaredIn(mobility),
  ...declaredIn(nat),
  ...declaredIn(hipd),
].sort((a, b) => a.type - b.type);

const byType: ReadonlyMap<number, Parameter<unknown>> = new Map(
  KNOWN_PARAMETERS.map((parameter) => [parameter.type, parameter]),
);

export function knownParameter(type: number): Parameter<unknown> | undefined {
  return byType.get(type);
}

function declaredIn(module: object): Parameter<unknown>[] {
  return Object.values(module).filter(isParameter);
}

function isParameter(value: unknown): value is Parameter<unknown> {
  return typeof value === "object" && value !== null && "critical" in value && "decode" in value;
}
