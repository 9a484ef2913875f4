/** What the control API asks of the daemon. */
import type { Result } from "../core/types.ts";
import type { ControlReply, ControlRequest } from "../overlay/control.ts";
import type { MetadataView, Problem, ReloadReport } from "./control-convert.ts";
import type { NamesBackend } from "./control-names.ts";
import type { Identities } from "./identities.ts";

/** The composition root supplies it. */
export interface ControlBackend extends NamesBackend {
  /** As `Driver.request`. */
  request(request: ControlRequest, reply: (reply: ControlReply, last: boolean) => void): () => void;
  /** The carrier of peers that do not say. */
  readonly carrier: "udp" | "none";
  readonly identities: Pick<Identities, keyof Identities>;
  reload(): Result<ReloadReport, Problem>;
  /** For so many seconds, a stop hands over to the next daemon; until then, packets are for who listens at the socket `carrier`. */
  announceTakeover(carrier?: string): Result<{ readonly seconds: number }, Problem>;
  /** Whether an exchange with this host would be answered at once. */
  readonly ready: boolean;
  /** The poller of the cloud's metadata service; undefined: it is never asked. */
  metadata?(): MetadataView | undefined;
}
