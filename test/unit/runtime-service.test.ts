/** What the service manager hears, what it kept, and when the watchdog is fed. */
import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import type { DaemonConfig } from "../../src/runtime/config-file.ts";
import { takeDescriptors } from "../../src/runtime/early.ts";
import { keptCapabilities } from "../../src/runtime/privileges.ts";
import { serviceManager } from "../../src/runtime/systemd.ts";
import { Watchdog } from "../../src/runtime/watchdog.ts";

beforeEach(() => {
  vi.useFakeTimers();
});

afterEach(() => {
  vi.useRealTimers();
});

interface Sent {
  readonly socket: string;
  readonly message: string;
  readonly fds: readonly number[];
}

function recorder() {
  const sent: Sent[] = [];
  const send = (socket: string, message: string, fds: readonly number[]) =>
    void sent.push({ socket, message, fds });
  return { sent, send, said: () => sent.map(({ message }) => message) };
}

const PLACE = { NOTIFY_SOCKET: "/run/x" };

describe("messages to the service manager", () => {
  test("states, with the time that a reload began", () => {
    const { sent, send } = recorder();
    const manager = serviceManager(PLACE, send, { monotonicMicros: () => 42n });
    manager.notify("READY", "two\nlines");
    manager.notify("RELOADING");
    manager.extendStart(1_500);
    expect(sent).toEqual([
      { socket: "/run/x", message: "READY=1\nSTATUS=two lines", fds: [] },
      { socket: "/run/x", message: "RELOADING=1\nMONOTONIC_USEC=42", fds: [] },
      { socket: "/run/x", message: "EXTEND_TIMEOUT_USEC=1500000", fds: [] },
    ]);
  });

  test("nothing without a manager, and no errors", () => {
    const { sent, send } = recorder();
    const nobody = serviceManager({}, send);
    nobody.notify("READY");
    nobody.status(() => "never");
    nobody.store("x", [5]);
    vi.advanceTimersByTime(5_000);
    expect([nobody.present, nobody.watchdogMillis]).toEqual([false, undefined]);
    expect(serviceManager(PLACE, undefined).present).toBe(false);
    expect(sent).toEqual([]);
  });

  test("a manager that does not listen is told to whoever logs; descriptors that it did not take are an error", () => {
    const complaints: string[] = [];
    const deaf = () => {
      throw new Error("nobody listens");
    };
    const manager = serviceManager(PLACE, deaf, { complain: (reason) => void complaints.push(reason) });
    manager.notify("READY");
    expect(complaints).toEqual(["nobody listens"]);
    expect(() => manager.store("hipd-plane", [7])).toThrow("nobody listens");
  });

  test("descriptors are stored by name and not watched", () => {
    const { sent, send } = recorder();
    const manager = serviceManager(PLACE, send);
    manager.store("hipd-tun-0", [7]);
    manager.unstore("hipd-tun-0");
    expect(sent.map(({ message, fds }) => [message, fds])).toEqual([
      ["FDSTORE=1\nFDNAME=hipd-tun-0\nFDPOLL=0", [7]],
      ["FDSTOREREMOVE=1\nFDNAME=hipd-tun-0", []],
    ]);
  });

  test("a status line is told when it changed, at most once a second, the last one in any case", () => {
    const { send, said } = recorder();
    const manager = serviceManager(PLACE, send);
    let made = 0;
    const line = (text: string) => () => {
      made++;
      return text;
    };
    manager.notify("READY", "0 peers");
    for (const n of [1, 2, 3]) manager.status(line(`${n} peers`));
    vi.advanceTimersByTime(900);
    expect(said()).toEqual(["READY=1\nSTATUS=0 peers"]);
    vi.advanceTimersByTime(100);
    expect(said().slice(1)).toEqual(["STATUS=3 peers"]);
    manager.status(line("3 peers"));
    vi.advanceTimersByTime(5_000);
    manager.status(line("4 peers"));
    vi.advanceTimersByTime(1);
    expect(said().slice(1)).toEqual(["STATUS=3 peers", "STATUS=4 peers"]);
    expect(made).toBe(3);
    manager.status(line("5 peers"));
    manager.notify("STOPPING");
    vi.advanceTimersByTime(5_000);
    expect(said().slice(3)).toEqual(["STOPPING=1"]);
  });

  test("the time of the watchdog is only ours when it is meant for this process", () => {
    const at = (more: Record<string, string>) =>
      serviceManager({ ...PLACE, WATCHDOG_USEC: "3000000", ...more }, () => {}).watchdogMillis;
    expect([at({}), at({ WATCHDOG_PID: String(process.pid) }), at({ WATCHDOG_PID: "1" })]).toEqual([
      3_000,
      3_000,
      undefined,
    ]);
  });
});

describe("descriptors that the manager kept", () => {
  const variables = (pid: number, count: string, names: string) => ({
    LISTEN_PID: String(pid),
    LISTEN_FDS: count,
    LISTEN_FDNAMES: names,
    OTHER: "x",
  });

  test("are named, closed on exec, and taken once", () => {
    const environment: Record<string, string | undefined> = variables(77, "3", "hipd-plane:hipd-tun-0");
    const closed: number[] = [];
    const take = () => takeDescriptors(environment, (fd) => void closed.push(fd), 77);
    expect(take()).toEqual([
      { name: "hipd-plane", fd: 3 },
      { name: "hipd-tun-0", fd: 4 },
      { name: "unknown", fd: 5 },
    ]);
    expect(closed).toEqual([3, 4, 5]);
    expect(environment).toEqual({ OTHER: "x" });
    expect(take()).toEqual([]);
  });

  test("are not taken when they are another process's, or not open, or nonsense", () => {
    const close = () => {};
    expect(takeDescriptors(variables(78, "1", "a"), close, 77)).toEqual([]);
    for (const count of ["0", "-1", "x", "1.5", "100000"]) {
      expect(takeDescriptors(variables(77, count, "a"), close, 77)).toEqual([]);
    }
    const second = (fd: number) => {
      if (fd === 3) throw new Error("Bad file descriptor");
    };
    expect(takeDescriptors(variables(77, "2", "a:b"), second, 77)).toEqual([{ name: "b", fd: 4 }]);
  });
});

describe("the watchdog", () => {
  const state = { answers: true, stalled: 0, asked: [] as number[], fed: 0, complaints: [] as string[] };
  let watchdog: Watchdog | undefined;

  beforeEach(() => {
    Object.assign(state, { answers: true, stalled: 0, asked: [], fed: 0, complaints: [] });
    watchdog = new Watchdog(
      {
        turn: (answered) => {
          if (state.answers) answered();
        },
        stalled: (millis) => {
          state.asked.push(millis);
          return state.stalled;
        },
        feed: () => void state.fed++,
        complain: (reason) => void state.complaints.push(reason),
      },
      1_000,
    );
  });

  afterEach(() => watchdog?.stop());

  test("is fed twice in its time while all is well, until it is stopped", () => {
    vi.advanceTimersByTime(2_000);
    expect([state.fed, state.asked, state.complaints]).toEqual([4, [500, 500, 500, 500], []]);
    watchdog?.stop();
    vi.advanceTimersByTime(2_000);
    expect(state.fed).toBe(4);
  });

  test("goes hungry while the control loop does not answer, and says so once", () => {
    state.answers = false;
    vi.advanceTimersByTime(2_000);
    expect([state.fed, state.complaints]).toEqual([0, ["the control loop does not answer"]]);
    state.answers = true;
    vi.advanceTimersByTime(500);
    expect(state.fed).toBe(1);
    state.answers = false;
    vi.advanceTimersByTime(500);
    expect(state.complaints).toHaveLength(2);
  });

  test("goes hungry while a data worker hangs", () => {
    state.stalled = 1;
    vi.advanceTimersByTime(1_000);
    expect([state.fed, state.complaints]).toEqual([0, ["data workers that hang: 1"]]);
  });
});

describe("capabilities that are kept", () => {
  const config = (carrier: "udp" | "none", peer: "udp" | "none") =>
    ({
      file: "/etc/hipd/hipd.toml",
      peersDirectory: "/etc/hipd/peers.d",
      identity: { key: "/var/lib/hipd/identity.pem", extra: [], directory: "/var/lib/hipd/identities" },
      stateDirectory: "/var/lib/hipd",
      control: { socket: "/run/hipd/hipd.sock" },
      network: { carrier },
      peers: [{ carrier: peer }],
    }) as unknown as DaemonConfig;
  const roots = () => 0;
  const others = (path: string) => (path.startsWith("/var") ? 990 : undefined);

  test("raw sockets only for plain carriers", () => {
    expect(keptCapabilities(config("udp", "udp"), 0, roots)).toEqual(["CAP_NET_ADMIN"]);
    expect(keptCapabilities(config("udp", "none"), 0, roots)).toEqual(["CAP_NET_ADMIN", "CAP_NET_RAW"]);
    expect(keptCapabilities(config("none", "udp"), 990, others)).toEqual(["CAP_NET_ADMIN", "CAP_NET_RAW"]);
  });

  test("root may go on writing into folders of another user, and only then", () => {
    expect(keptCapabilities(config("udp", "udp"), 0, others)).toEqual([
      "CAP_NET_ADMIN",
      "CAP_DAC_OVERRIDE",
      "CAP_FOWNER",
      "CAP_CHOWN",
    ]);
    expect(keptCapabilities(config("udp", "udp"), 990, others)).toEqual(["CAP_NET_ADMIN"]);
  });
});
