/** The path itself, not encrypted: what there is to lose. */
import { machine } from "../machine.ts";
import { type Site, UNDERLAY } from "../site.ts";
import { type Contestant, plainStream, type Running } from "./contestant.ts";

export const bare: Contestant = {
  name: "bare",
  what: "the bare path, not encrypted",
  carries: "packets",
  packages: [],
  missing: () => undefined,
  version: async () => `Linux ${machine().kernel}`,
  async start(site: Site): Promise<Running> {
    return {
      targets: [{ name: "bare", what: bare.what, address: site.server.address }],
      pids: [],
      device: UNDERLAY,
      stream: plainStream,
      stop: async () => {},
    };
  },
};
