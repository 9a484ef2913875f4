/** Both hipds and their carrier over real sockets: what the one that ends makes of each answer, and the next one of each state. */
import { spawn } from "node:child_process";
import { existsSync, mkdtempSync, readdirSync, readlinkSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { resumeCarried } from "../../src/runtime/carried.ts";
import { Carrier, wrongCarrierPlace, wrongCarrierSocket } from "../../src/runtime/carrier.ts";
import {
  CARRY_PROTOCOL,
  type CarryMessage,
  hearCarry,
  ownNetwork,
  sendCarry,
} from "../../src/runtime/carry-message.ts";
import { controlMethods, type MethodSchema } from "../../src/runtime/control-schema.ts";
import { addon, STORED } from "../../src/runtime/early.ts";
import type { HandoffAddon } from "../../src/runtime/native-handoff.ts";
import type { ServiceAddon } from "../../src/runtime/native-service.ts";
import { giveAway } from "../../src/runtime/takeover.ts";

const MAIN = join(import.meta.dirname, "../../src/cli/hipd-main.ts");
const MILLIS = 1_000;

const native = addon() as unknown as HandoffAddon & ServiceAddon;

let folder = "";
let socket = "";

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "hipd-carried-"));
  socket = join(folder, "socket");
});

afterEach(() => rmSync(folder, { recursive: true }));

/** Descriptors of sealed memory and tickets, whoever made them. */
function descriptors(): number {
  const links = readdirSync("/proc/self/fd").map((fd) => {
    try {
      return readlinkSync(`/proc/self/fd/${fd}`);
    } catch {
      return "";
    }
  });
  return links.filter((link) => link.includes("memfd:")).length;
}

/** A connection, and both of its ends. */
function connected(): { readonly hipd: Carrier; readonly carrier: number } {
  const listener = native.listenAt(socket);
  const reached = Carrier.reach(native, socket, "1.2.3");
  const carrier = native.acceptPeer(listener, MILLIS);
  native.closeFd(listener);
  if (!reached.ok || carrier === null) throw new Error("not connected");
  return { hipd: reached.value, carrier };
}

/** Sealed memory with this in it, and a ticket. */
function estate(bytes = new Uint8Array(8)): { readonly plane: number; readonly ticket: number } {
  return { plane: native.makeSealed("hipd-plane", bytes), ticket: native.makeTicket() };
}

describe("the hipd that ends", () => {
  test.each([
    ["carries", { type: "carrying", gapMicros: 7 }, { type: "carrying" }],
    ["refuses", { type: "refused", reason: "format 9" }, { type: "refused", reason: "format 9" }],
    ["talks nonsense", { type: "take" }, { type: "silent" }],
    ["says nothing", undefined, { type: "silent" }],
  ] as const)("learns that its carrier %s", (_what, said, answer) => {
    const before = descriptors();
    const { hipd, carrier } = connected();
    if (said !== undefined) sendCarry(native, carrier, said, [], MILLIS);
    const { plane, ticket } = estate();
    expect(hipd.give(plane, ticket, [], [])).toMatchObject(answer);
    const heard = hearCarry(native, carrier, MILLIS);
    expect(heard.ok && heard.value.message).toEqual({
      type: "carry",
      protocol: CARRY_PROTOCOL,
      version: "1.2.3",
      network: ownNetwork(),
      tuns: 0,
      sockets: 0,
    });
    hipd.close();
    for (const fd of [plane, ticket, carrier, ...(heard.ok ? heard.value.fds : [])]) native.closeFd(fd);
    expect(descriptors()).toBe(before);
  });

  test("does without one that has ended, or is not there", () => {
    const { hipd, carrier } = connected();
    native.closeFd(carrier);
    const { plane, ticket } = estate();
    expect(hipd.give(plane, ticket, [], []).type).toBe("refused");
    for (const fd of [plane, ticket]) native.closeFd(fd);
    hipd.close();
    const reached = Carrier.reach(native, join(folder, "none"), "1");
    expect(reached.ok ? "" : reached.error).toContain("nobody is at");
  });

  test("looks for one in folders that only root makes", () => {
    for (const right of ["/run/hipd.carry/socket", "/run/hipd.carry-blue/socket"])
      expect(wrongCarrierPlace(right)).toBeUndefined();
    for (const wrong of [
      "/tmp/socket",
      "/run/user/1/x",
      "/run/hipd.carry/../x/y",
      "/run/hipd",
      `/run/hipd/${"x".repeat(107)}`,
    ])
      expect(wrongCarrierPlace(wrong), wrong).toBeDefined();
  });

  test("takes only absolute paths that fit", () => {
    expect(wrongCarrierSocket("/run/hipd.carry/socket")).toBeUndefined();
    for (const wrong of ["", "run/x", "@x", `/${"x".repeat(107)}`, "/a\0b"])
      expect(wrongCarrierSocket(wrong), wrong).toContain("not the absolute path");
  });

  test.each([
    ["carrying", [STORED.control, STORED.carrier]],
    ["refused", [STORED.control, `${STORED.tun}0`, `${STORED.udp}0`, STORED.plane, STORED.ticket]],
    [
      "silent",
      [STORED.control, STORED.carrier, `${STORED.tun}0`, `${STORED.udp}0`, STORED.plane, STORED.ticket],
    ],
  ] as const)("gives to the carrier before it stores anything of the data plane: %s", (type, names) => {
    const steps: string[] = [];
    const fake = { makeSealed: () => 50, makeTicket: () => 51, closeFd: () => {} };
    const carrier = {
      connection: 60,
      give: (...fds: unknown[]) => {
        steps.push(`give ${JSON.stringify(fds)}`);
        return type === "refused" ? { type, reason: "x" } : { type };
      },
    };
    const suspend = () => {
      steps.push("suspend");
      return { blob: new Uint8Array(4), tunFds: [70], udpFds: [71] };
    };
    const store = (name: string) => void steps.push(name);
    const control = new Uint8Array(8);
    expect(giveAway({ store }, fake, { control, suspend, carrier })?.type).toBe(type);
    expect(steps).toEqual([STORED.control, "suspend", "give [50,51,[70],[71]]", ...names.slice(1)]);
  });
});

test("a hipd that knows of no carrier skips the field that names one", () => {
  const method = (name: string) => controlMethods().get(name) as MethodSchema;
  const bytes = method("AnnounceTakeover").requestSerialize({ carrier: "/run/hipd.carry/socket" });
  expect(bytes.length).toBeGreaterThan(10);
  // As the request was before.
  expect(method("Reload").requestDeserialize(bytes)).toEqual({});
  expect(method("AnnounceTakeover").requestDeserialize(Buffer.alloc(0))).toEqual({ carrier: null });
});

describe("the next hipd", () => {
  /** What is in the store after a predecessor whose carrier has said this; the other end is the carrier's. */
  function stored(taken: "free" | "taken" | "none", ...answers: CarryMessage[]) {
    const { hipd, carrier } = connected();
    for (const message of answers) {
      const fds = message.type === "handed" ? Object.values(estate()) : [];
      sendCarry(native, carrier, message, fds, MILLIS);
      for (const fd of fds) native.closeFd(fd);
    }
    const list = [
      { name: STORED.control as string, fd: native.makeSealed("x", new Uint8Array(8)) },
      { name: STORED.carrier as string, fd: hipd.connection },
    ];
    if (taken !== "none") {
      const { plane, ticket } = estate();
      if (taken === "taken") native.takeTicket(ticket);
      list.push({ name: STORED.plane, fd: plane }, { name: STORED.ticket, fd: ticket });
    }
    return { carrier, list };
  }

  const HANDED: CarryMessage = { type: "handed", gapMicros: 1, carriedMillis: 2, tuns: 0, sockets: 0 };

  test.each([
    ["the carrier never took the ticket: its own way", "free", [HANDED], "is not a data plane", false],
    ["the carrier has it", "taken", [HANDED], "is not a data plane", true],
    ["the carrier has it, and nothing else is stored", "none", [HANDED], "is not a data plane", true],
    ["silence", "taken", [], "has not answered in 3 s", true],
    ["a refusal", "taken", [{ type: "refused", reason: "why not" }], "why not", true],
    ["another message", "taken", [{ type: "take" }], "talks nonsense", true],
    // The predecessor did not wait for the first one.
    [
      "an answer that came late",
      "taken",
      [{ type: "carrying", gapMicros: 1 }, HANDED],
      "is not a data plane",
      true,
    ],
  ] as const)("%s", (_what, taken, answers, reason, asked) => {
    const before = descriptors();
    const { carrier, list } = stored(taken, ...answers);
    const outcome = resumeCarried(list)();
    expect(outcome.ok ? "" : outcome.reason).toContain(reason);
    const heard = hearCarry(native, carrier, 0);
    expect(heard.ok && heard.value.message.type === "take").toBe(asked);
    for (const { name, fd } of list) {
      // Whoever comes later cannot take it.
      if (name === STORED.ticket) expect(native.takeTicket(fd)).toBe(false);
      native.closeFd(fd);
    }
    native.closeFd(carrier);
    expect(descriptors()).toBe(before);
  });

  test("a carrier that has ended, or gives what was taken, leaves nothing", () => {
    const gone = stored("taken");
    native.closeFd(gone.carrier);
    const ended = resumeCarried(gone.list)();
    expect(ended.ok ? "" : ended.reason).toMatch(/its carrier (has ended|does not hear)/);
    // One who asked has died; what the carrier has said is still there.
    const last = stored("taken", HANDED);
    native.closeFd(last.carrier);
    const heard = resumeCarried(last.list)();
    expect(heard.ok ? "" : heard.reason).toContain("is not a data plane");
    for (const { fd } of last.list) native.closeFd(fd);
    const { hipd, carrier } = connected();
    const { plane, ticket } = estate();
    native.takeTicket(ticket);
    sendCarry(native, carrier, HANDED, [plane, ticket], MILLIS);
    const control = native.makeSealed("x", new Uint8Array(8));
    const twice = resumeCarried([
      { name: STORED.control, fd: control },
      { name: STORED.carrier, fd: hipd.connection },
    ])();
    expect(twice.ok ? "" : twice.reason).toContain("another hipd has taken it from its carrier");
    for (const fd of [plane, ticket, control, carrier, hipd.connection, ...gone.list.map(({ fd }) => fd)])
      native.closeFd(fd);
  });

  test("what two predecessors left is nothing", () => {
    const { carrier, list } = stored("none", HANDED);
    for (const again of list) {
      const outcome = resumeCarried([...list, again])();
      expect(outcome.ok ? "" : outcome.reason).toContain("more than one hipd");
    }
    expect(resumeCarried(list.slice(1))()).toMatchObject({ reason: "it is not complete" });
    for (const { fd } of list) native.closeFd(fd);
    native.closeFd(carrier);
  });
});

describe("hipd --carry", () => {
  /** Runs until `use` is done with its connection. */
  async function withProcess(use: (fd: number) => void): Promise<{ status: number | null; out: string }> {
    const child = spawn(process.execPath, [MAIN, "--carry", socket], { stdio: ["ignore", "pipe", "pipe"] });
    let out = "";
    for (const stream of [child.stdout, child.stderr])
      stream.on("data", (chunk: Buffer) => {
        out += chunk.toString();
      });
    const ended = new Promise<number | null>((resolve) => child.once("close", resolve));
    let fd: number | undefined;
    while (fd === undefined && child.exitCode === null) {
      await new Promise((resolve) => setTimeout(resolve, 5));
      // Its name is there a moment before it listens.
      const reached = Carrier.reach(native, socket, "1");
      if (reached.ok) fd = reached.value.connection;
    }
    if (fd === undefined) throw new Error(out);
    use(fd);
    native.closeFd(fd);
    return { status: await ended, out };
  }

  const give = (
    fd: number,
    bytes: Uint8Array<ArrayBuffer>,
    network = ownNetwork(),
  ): CarryMessage | undefined => {
    const { plane, ticket } = estate(bytes);
    const load = { tuns: 0, sockets: 0 };
    const message = { type: "carry", protocol: CARRY_PROTOCOL, version: "1", network, ...load } as const;
    sendCarry(native, fd, message, [plane, ticket], MILLIS);
    const heard = hearCarry(native, fd, 5_000);
    // It is still to be had.
    expect(native.takeTicket(ticket)).toBe(true);
    for (const one of [plane, ticket]) native.closeFd(one);
    return heard.ok ? heard.value.message : undefined;
  };

  test("refuses what it cannot read without taking the ticket", { timeout: 20_000 }, async () => {
    const { status, out } = await withProcess((fd) => {
      expect(give(fd, new Uint8Array(200))).toMatchObject({
        type: "refused",
        reason: expect.stringContaining("not a data plane"),
      });
    });
    expect(status).toBe(0);
    expect(out).toContain('"event":"carry-refused"');
    expect(existsSync(socket)).toBe(false);
  });

  test("refuses who is in another network namespace, and bytes of any content", {
    timeout: 20_000,
  }, async () => {
    await withProcess((fd) => {
      expect(give(fd, new Uint8Array(8), "net:[0]")).toMatchObject({ type: "refused" });
    });
    const { status, out } = await withProcess((fd) => {
      native.sendMessage(
        fd,
        Uint8Array.from({ length: 4096 }, (_, i) => i * 7),
        [0, 1, 2],
        MILLIS,
      );
      expect(hearCarry(native, fd, 5_000)).toMatchObject({ value: { message: { type: "refused" } } });
    });
    expect([status, out]).toEqual([0, expect.stringContaining("nonsense")]);
  });

  test("says what is wrong with its command line", { timeout: 20_000 }, async () => {
    for (const args of [
      ["--carry"],
      ["--carry", "relative"],
      ["--carry", "/a", "--check"],
      ["--check", "--carry", "/a"],
    ]) {
      const child = spawn(process.execPath, [MAIN, ...args], { stdio: "ignore" });
      expect(await new Promise((resolve) => child.once("close", resolve)), args.join(" ")).toBe(2);
    }
  });
});
