/**
 * Packet filters as a value, whoever wrote them down, and what becomes of a packet in them. A rule whose condition cannot be decided for
 * every packet to our port (an address, an interface, a limit) may apply or not: both ways are followed.
 */

/** Whether a rule's condition fits the packet that is asked about. */
export type Fits = "yes" | "no" | "maybe";

export type Action =
  | { readonly do: "accept" | "drop" | "return" | "nothing" }
  | { readonly do: "jump" | "goto"; readonly chain: string };

export interface Rule {
  readonly fits: Fits;
  readonly action: Action;
  /** For people: "rule 7", "-A INPUT -p udp -j DROP". */
  readonly text: string;
}

export interface Chain {
  readonly name: string;
  readonly rules: readonly Rule[];
  /** Only of chains that the kernel itself enters. */
  readonly base: { readonly hook: Hook; readonly policy: "accept" | "drop" } | undefined;
}

export type Hook = "prerouting" | "input" | "output" | "postrouting";

export interface Table {
  /** `table inet filter`, `iptables table filter`. */
  readonly name: string;
  readonly chains: readonly Chain[];
  /** Whether packets of this family pass it. */
  readonly ipv4: boolean;
  readonly ipv6: boolean;
}

/** What a filter asks about a packet: the first of a new conversation, to or from our port. */
export interface Asked {
  readonly family: "ipv4" | "ipv6";
  readonly hook: Hook;
  readonly port: number;
}

export interface Blocking {
  readonly table: string;
  readonly chain: string;
  /** `policy drop`, or the rule. */
  readonly by: string;
  /** False: only some packets, or perhaps none. */
  readonly certain: boolean;
}

interface Ending {
  readonly what: "accept" | "drop";
  readonly chain: string;
  readonly by: string;
}

/** Chains that jump deeper are a loop, which the kernel refuses. */
const MAX_DEPTH = 32;
/** Different ends of one walk that are kept. */
const MAX_ENDINGS = 64;

/** What every chain of these tables at that hook does that drops such a packet. */
export function blocking(
  tables: readonly Table[],
  { family, hook }: Omit<Asked, "port">,
): readonly Blocking[] {
  return tables
    .filter((table) => table[family])
    .flatMap((table) =>
      table.chains
        .filter(({ base }) => base?.hook === hook)
        .flatMap((chain): Blocking[] => {
          const endings = walkBase(table, chain);
          const drops = endings.filter(({ what }) => what === "drop");
          const [first] = drops;
          if (first === undefined) return [];
          const certain = drops.length === endings.length;
          return [{ table: table.name, chain: first.chain, by: first.by, certain }];
        }),
    );
}

function walkBase(table: Table, chain: Chain): readonly Ending[] {
  const endings: Ending[] = [];
  const through = walk(table, chain, endings, 0);
  if (through && endings.length < MAX_ENDINGS) {
    const policy = chain.base?.policy ?? "accept";
    endings.push({ what: policy, chain: chain.name, by: `policy ${policy}` });
  }
  return endings;
}

/** True when a packet may come out at the end of the chain. */
function walk(table: Table, chain: Chain, endings: Ending[], depth: number): boolean {
  for (const { fits, action, text } of chain.rules) {
    if (fits === "no" || action.do === "nothing") continue;
    if (endings.length >= MAX_ENDINGS) return false;
    if (action.do === "accept" || action.do === "drop") {
      endings.push({ what: action.do, chain: chain.name, by: text });
      if (fits === "yes") return false;
    } else if (action.do === "return") {
      if (fits === "yes") return true;
    } else if ("chain" in action) {
      const target = table.chains.find(({ name }) => name === action.chain);
      const comesBack = target === undefined || depth >= MAX_DEPTH || walk(table, target, endings, depth + 1);
      // After "goto" the rest of this chain is not seen.
      if (action.do === "goto" && fits === "yes") return comesBack;
      if (!comesBack && fits === "yes") return false;
    }
  }
  return true;
}

export function both(a: Fits, b: Fits): Fits {
  if (a === "no" || b === "no") return "no";
  return a === "yes" && b === "yes" ? "yes" : "maybe";
}

export function not(a: Fits): Fits {
  return a === "yes" ? "no" : a === "no" ? "yes" : "maybe";
}

export function fits(condition: boolean): Fits {
  return condition ? "yes" : "no";
}
