/** The control API's methods about locators and paths. */
import { err, ok, type Result } from "../core/types.ts";
import type { ControlReply, ControlRequest } from "../overlay/control.ts";
import { parseLocator } from "./config-values.ts";
import type { Problem } from "./control-convert.ts";

export type Fields = Record<string, unknown>;
export type Unary = (fields: Fields, answer: (result: Result<unknown, Problem>) => void) => void;
/** Makes a method of the request that it builds and the answer that it picks out of the reply. */
export type Ask = (
  build: (fields: Fields) => Result<ControlRequest, Problem>,
  pick: (reply: ControlReply) => unknown,
) => Unary;

const HANDOVER_MILLIS = 5_000;

export function locatorMethods(ask: Ask): Readonly<Record<string, Unary>> {
  const whole = (reply: ControlReply): unknown => reply;
  const optional = (value: unknown): string | undefined => (typeof value === "string" ? value : undefined);
  return {
    ListLocators: ask((fields) => ok({ type: "locator-list", peer: optional(fields["peer"]) }), whole),
    AddLocator: ask((fields) => {
      const locator = parseLocator(String(fields["locator"]));
      if (!locator.ok) return err({ code: "invalid", message: locator.error });
      return ok({ type: "locator-add", locator: locator.value });
    }, whole),
    RemoveLocator: ask((fields) => ok({ type: "locator-remove", address: String(fields["address"]) }), whole),
    PreferLocator: ask(
      (fields) => ok({ type: "locator-prefer", address: optional(fields["address"]) }),
      whole,
    ),
    Away: ask((fields) => ok({ type: "away", seconds: Number(fields["seconds"]) }), whole),
    Handover: ask(
      (fields) =>
        ok({
          type: "handover",
          peer: String(fields["peer"]),
          to: optional(fields["to"]),
          from: optional(fields["from"]),
          timeoutMillis: Number(fields["timeoutMillis"]) || HANDOVER_MILLIS,
        }),
      whole,
    ),
  };
}
