/** Open connections of real applications live through everything that happens to addresses, paths and daemons. */
import { expect, it } from "vitest";
import { at, type Movers, withMovers } from "./mobile.ts";
import { KINDS, type Session } from "./sessions.ts";
import { suite } from "./support.ts";

const missing = KINDS.filter((kind) => kind.missing !== undefined);
const present = KINDS.filter((kind) => kind.missing === undefined);

interface Event {
  readonly name: string;
  happen(movers: Movers): Promise<unknown>;
}

/** In this order: each begins where the last one ended. */
const EVENTS: readonly Event[] = [
  {
    name: "another address",
    happen: ({ a }) => a.breakAndMake(at(0, "ipv4", 3)),
  },
  {
    name: "IPv4 to IPv6",
    happen: ({ a }) => a.breakAndMake(at(0, "ipv6", 4)),
  },
  {
    name: "IPv6 to IPv4 on two cables",
    happen: ({ a }) => a.breakAndMake(at(0, "ipv4", 5), at(1, "ipv4", 5)),
  },
  {
    name: "both ends at once",
    happen: ({ a, b }) =>
      Promise.all([
        a.breakAndMake(at(0, "ipv4", 6), at(1, "ipv4", 6)),
        b.change({ del: [at(0, "ipv6", 2)], add: [at(0, "ipv6", 7)] }),
      ]),
  },
  {
    name: "kill -9 and restart of the client's daemon",
    happen: async ({ a }) => {
      await a.daemon.kill();
      await a.daemon.start();
    },
  },
  {
    name: "kill -9 and restart of the server's daemon",
    happen: async ({ b }) => {
      await b.daemon.kill();
      await b.daemon.start();
    },
  },
  {
    name: "kill -9 of both at once",
    happen: async ({ a, b }) => {
      await Promise.all([a.daemon.kill(), b.daemon.kill()]);
      await Promise.all([a.daemon.start(), b.daemon.start()]);
    },
  },
  {
    name: "a black hole on the first cable",
    happen: ({ router }) =>
      router.nft(`table inet hole {
        chain forward {
          type filter hook forward priority 0;
          iifname "a0" drop
          oifname "a0" drop
        }
      }`),
  },
  {
    name: "a NAT that appears, rebinds and is never told of",
    happen: ({ router }) =>
      router.nft(`delete table inet hole
      table ip nat {
        chain translate {
          type nat hook postrouting priority 100;
          oifname "b0" udp sport 10500 snat to 198.51.100.1:40001
        }
        chain forget {
          type filter hook prerouting priority -300;
          ct zone set 7
        }
      }`),
  },
];

suite("open sessions", () => {
  for (const kind of missing) it.skip(`of ${kind.name} (${kind.missing})`, () => {});

  it(`of ${present.map((kind) => kind.name).join(", ")} survive all that happens`, {
    timeout: 150_000,
  }, async () => {
    await withMovers({ b: [at(0, "ipv4", 2), at(0, "ipv6", 2)] }, async (movers) => {
      const { a, b, lab } = movers;
      const sessions: Session[] = [];
      for (const kind of present) {
        const address = kind.name === "PostgreSQL" ? await a.daemon.lsi("b") : b.daemon.hit;
        sessions.push(await kind.open(a.namespace, b.namespace, address, lab.folder));
      }
      await Promise.all(sessions.map((session) => session.say()));
      const backends = new Set<string>();
      for (const event of EVENTS) {
        const begun = performance.now();
        await event.happen(movers);
        const happened = performance.now();
        const answers = await Promise.all(
          sessions.map((session) =>
            session.say(30_000).catch((error: unknown) => {
              throw new Error(`after ${event.name}: ${error instanceof Error ? error.message : error}`);
            }),
          ),
        );
        for (const answer of answers) {
          const backend = /^PostgreSQL-\d+-(\d+)$/.exec(answer)?.[1];
          if (backend !== undefined) backends.add(backend);
        }
        const [took, waited] = [happened - begun, performance.now() - happened];
        console.log(`${event.name}: took ${took.toFixed(0)} ms, answers after ${waited.toFixed(0)} ms`);
      }
      expect(backends.size).toBeLessThanOrEqual(1);
    });
  });
});
