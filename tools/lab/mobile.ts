/**
 * Two hosts that move: each has two cables to one router, with a subnet of each family on every cable. Addresses come and
 * go; packets leave by the cable that their source belongs to. No address here is private, so nothing looks like a NAT.
 */
import type { Lab, Namespace } from "./lab.ts";
import { run } from "./shell.ts";

export type Cable = 0 | 1;
export type Family = "ipv4" | "ipv6";

const TABLE = 100;

/** An address is the number of a host in the subnet of a cable: 2 to 120. */
export class MobileHost {
  readonly namespace: Namespace;
  /** 1 and 2. */
  readonly #site: number;

  constructor(namespace: Namespace, site: number) {
    this.namespace = namespace;
    this.#site = site;
  }

  device(cable: Cable): string {
    return `eth${cable}`;
  }

  /** What the cable's end at the router is called. */
  routerDevice(cable: Cable): string {
    return `${this.namespace.label}${cable}`;
  }

  address(cable: Cable, family: Family, number: number): string {
    // As RFC 5952 wants it: programs print the shortest form.
    if (family === "ipv6") return `2001:db8:${this.#site}${cable === 0 ? "" : `:${cable}`}::${number}`;
    return `${this.#site === 1 ? "192.0.2" : "203.0.113"}.${cable * 128 + number}`;
  }

  gateway(cable: Cable, family: Family): string {
    return this.address(cable, family, 1);
  }

  prefix(cable: Cable, family: Family): string {
    if (family === "ipv6") return `2001:db8:${this.#site}:${cable}::/64`;
    return `${this.#site === 1 ? "192.0.2" : "203.0.113"}.${cable * 128}/25`;
  }

  /** With routes: the kernel forgets them with the last address of a device. */
  adding(cable: Cable, family: Family, number: number): readonly string[] {
    const to = `via ${this.gateway(cable, family)} dev ${this.device(cable)} onlink`;
    const any = family === "ipv4" ? "0.0.0.0/0" : "::/0";
    return [
      `addr add ${this.#full(cable, family, number)}${family === "ipv6" ? " nodad" : ""} dev ${this.device(cable)}`,
      `route replace ${any} ${to} metric ${1000 + cable}`,
      `route replace ${any} ${to} table ${TABLE + cable}`,
    ];
  }

  deleting(cable: Cable, family: Family, number: number): readonly string[] {
    return [`addr del ${this.#full(cable, family, number)} dev ${this.device(cable)}`];
  }

  /** No new connection shall use it; it still works. */
  deprecating(cable: Cable, family: Family, number: number): readonly string[] {
    return [
      `addr change ${this.#full(cable, family, number)} dev ${this.device(cable)} valid_lft 3600 preferred_lft 0`,
    ];
  }

  #full(cable: Cable, family: Family, number: number): string {
    return `${this.address(cable, family, number)}/${family === "ipv4" ? 25 : 64}`;
  }
}

export interface MobilePair {
  readonly lab: Lab;
  readonly router: Namespace;
  readonly a: MobileHost;
  readonly b: MobileHost;
}

/** Hosts without any address yet. */
export async function mobilePair(lab: Lab, mtu = 1500): Promise<MobilePair> {
  const router = await lab.router("router");
  const [a, b] = [new MobileHost(await lab.namespace("a"), 1), new MobileHost(await lab.namespace("b"), 2)];
  for (const host of [a, b]) {
    await host.namespace.sysctl({
      "net.ipv4.conf.all.promote_secondaries": 1,
      "net.ipv4.conf.default.promote_secondaries": 1,
    });
    for (const cable of [0, 1] as const) await connect(lab, host, router, cable, mtu);
  }
  return { lab, router, a, b };
}

async function connect(
  lab: Lab,
  host: MobileHost,
  router: Namespace,
  cable: Cable,
  mtu: number,
): Promise<void> {
  const gateways = [`${host.gateway(cable, "ipv4")}/25`, `${host.gateway(cable, "ipv6")}/64`];
  await lab.link(
    { namespace: host.namespace, device: host.device(cable), addresses: [] },
    { namespace: router, device: host.routerDevice(cable), addresses: gateways },
    mtu,
  );
  for (const family of ["ipv4", "ipv6"] as const) {
    const rule = ["rule", "add", "from", host.prefix(cable, family), "lookup", `${TABLE + cable}`];
    await run(["ip", family === "ipv4" ? "-4" : "-6", "-n", host.namespace.name, ...rule]);
  }
}
