/** The control API's method about names. */
import { err, ok } from "../core/types.ts";
import type { Unary } from "./control-locators.ts";
import type { NamesStatus } from "./dns/names.ts";

export interface NamesBackend {
  /** Undefined: this daemon has none (in tests). */
  names?(): Promise<NamesStatus> | undefined;
}

export function namesMethods(backend: NamesBackend): Readonly<Record<string, Unary>> {
  return {
    GetNames: (_fields, answer) => {
      const status = backend.names?.();
      if (status === undefined) {
        answer(err({ code: "failed", message: "this hipd answers no names" }));
        return;
      }
      void status.then((value) => answer(ok(value)));
    },
  };
}
