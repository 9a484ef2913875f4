/** Kernel, TUN device, rights, clock: what hipd stands on. */
import type { Finding } from "../verdict.ts";
import type { DaemonFacts, MachineFacts } from "./facts.ts";
import { AS_ROOT, say } from "./say.ts";

/** UDP segmentation of sockets came with 4.18 and is what the data plane is written for; older kernels lack more. */
const KERNEL_LEAST = [5, 4] as const;
/** From here on the TUN device cuts and joins UDP, too. */
const KERNEL_BEST = [6, 2] as const;

export function checkKernel({ kernel, machine, os }: MachineFacts): readonly Finding[] {
  const { ok, warning, problem } = say("kernel");
  const text = `Linux ${kernel} on ${machine}${os === "" ? "" : `, ${os}`}`;
  const version = /^(\d+)\.(\d+)/.exec(kernel);
  if (version === null) return [warning(`${text}: an unknown version`, "use Linux 5.4 or newer")];
  const at = [Number(version[1]), Number(version[2])] as const;
  if (before(at, KERNEL_LEAST)) {
    return [problem(`${text}: too old`, "use Linux 5.4 or newer; 6.2 or newer is fastest")];
  }
  return [before(at, KERNEL_BEST) ? ok(`${text}; with 6.2 or newer UDP would be faster`) : ok(text)];
}

function before(a: readonly [number, number], b: readonly [number, number]): boolean {
  return a[0] < b[0] || (a[0] === b[0] && a[1] < b[1]);
}

export function checkTun({ tun, uid }: MachineFacts): readonly Finding[] {
  const { ok, problem, notChecked } = say("tun");
  if (!tun.exists) {
    return [
      problem(
        "/dev/net/tun is not there",
        "modprobe tun; in a container, give it the device: --device /dev/net/tun",
      ),
    ];
  }
  if (tun.openable.ok) return [ok("/dev/net/tun is there and can be opened")];
  const text = `/dev/net/tun cannot be opened: ${tun.openable.error}`;
  if (uid !== 0 && /permission|permitted/.test(tun.openable.error)) return [notChecked(text, AS_ROOT)];
  return [problem(text, "modprobe tun; in a container, allow the device: --device /dev/net/tun")];
}

/** Who asks, and with what rights the daemon runs. */
export function checkPermissions(
  { uid, capabilities }: MachineFacts,
  { processes }: DaemonFacts,
): readonly Finding[] {
  const { ok, problem, warning } = say("permissions");
  const findings: Finding[] = [];
  const mine = capabilities.includes("net_admin");
  if (uid === 0 && mine) findings.push(ok("asked by root"));
  else if (uid === 0) {
    findings.push(
      warning(
        "asked by root, but without CAP_NET_ADMIN: a container? What needs it is left out",
        "give the container --cap-add NET_ADMIN, or ask on the host",
      ),
    );
  } else findings.push(ok(`asked by user ${uid}: what only root may look at is left out`));
  for (const { pid, uid: user, capabilities: rights } of processes.filter(({ here }) => here)) {
    const has = rights.includes("net_admin");
    const text = `hipd (process ${pid}) runs as user ${user} ${has ? "with" : "without"} CAP_NET_ADMIN`;
    if (has) findings.push(ok(text));
    else {
      findings.push(
        problem(
          `${text}: it cannot change interface, addresses and routes`,
          "AmbientCapabilities=CAP_NET_ADMIN in its unit, then: systemctl daemon-reload; systemctl restart hipd",
        ),
      );
    }
  }
  return findings;
}

/** A little earlier than built is a time zone; much earlier is a machine without a clock. */
const DAY = 24 * 3_600_000;
const TOO_LATE = Date.UTC(2100, 0, 1);

export function checkClock({ now, builtAt, clock }: MachineFacts): readonly Finding[] {
  const { ok, warning, problem, notChecked } = say("clock");
  const today = new Date(now).toISOString().slice(0, 10);
  const remedy = "timedatectl set-ntp true, or set it by hand: date -s";
  if ((builtAt !== undefined && now < builtAt - DAY) || now > TOO_LATE) {
    const than = now > TOO_LATE ? "far ahead" : "earlier than this program was built";
    return [
      problem(`the clock says ${today}, which is ${than}: times in logs and lifetimes are wrong`, remedy),
    ];
  }
  if (clock === undefined) {
    return [
      notChecked(`the clock says ${today}; neither timedatectl nor chronyc tells whether it is synchronised`),
    ];
  }
  const by = `${clock.by}${clock.detail === "" ? "" : `: ${clock.detail}`}`;
  if (clock.synchronised) return [ok(`${today}, synchronised (${by})`)];
  return [
    warning(
      `the clock says ${today} and is not synchronised (${by}): logs of hosts will not fit together`,
      remedy,
    ),
  ];
}
