/** hipctl wait, why, top and report, told as one story: a machine that starts, a peer that is met, traffic, a page about it. */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { expect, it } from "vitest";
import { suite, withPair } from "./support.ts";

interface Told {
  readonly flows: boolean;
  readonly conclusion: string;
  readonly next: string | null;
  readonly steps: readonly { readonly check: string; readonly verdict: string; readonly text: string }[];
}

interface Frame {
  readonly seconds: number;
  readonly total: { readonly txBytesPerSecond: number };
  readonly peers: readonly {
    readonly name: string;
    readonly state: string;
    readonly txBytesPerSecond: number;
    readonly rxPacketsPerSecond: number;
    readonly rttMillis: number | null;
  }[];
}

suite("hipctl wait, why, top and report", () => {
  it("go with a machine from its start to its traffic", async () => {
    await withPair({ idle: true }, async ({ a, b }) => {
      const { namespace } = a.daemon;
      const verdict = (told: Told, check: string): string | undefined =>
        told.steps.find((step) => step.check === check)?.verdict;

      // Nobody answers questions about names here, so the first ones are answered from a file.
      namespace.etc("resolv.conf", "nameserver 127.0.0.1\n");
      namespace.hosts([[b.daemon.hit, "b.hip"]]);

      // Before hipd is started, somebody waits for it, and for a peer.
      const early = await a.daemon.ctl("wait", "--ready", "--timeout", "300ms");
      expect(early).toMatchObject({ status: 7, stdout: "" });
      const ready = namespace.spawn(a.daemon.ctlCommand("wait", "--ready", "--timeout", "20s"));
      const reachable = namespace.spawn(a.daemon.ctlCommand("wait", "--peer", "b", "--timeout", "20s"));
      expect(await a.daemon.ctl("why", "b")).toMatchObject({ status: 5 });
      await a.daemon.start();
      expect(await ready.ended(), ready.err.join("\n")).toBe(0);
      expect(ready.out.join("\n")).toMatch(/^hipd \S+ is ready, after /);

      // Nobody is at the other end yet: everything here is in order, but nothing flows.
      const alone = await a.daemon.ctl("why", "b", "--json");
      expect(alone.status).toBe(1);
      const before = JSON.parse(alone.stdout) as Told;
      expect(before.flows).toBe(false);
      for (const check of [
        "peer",
        "name",
        "identity",
        "policy",
        "interface",
        "route to HIT",
        "route to LSI",
      ]) {
        expect(verdict(before, check), `${check}: ${alone.stdout}`).toBe("ok");
      }
      expect(["info", "warning", "problem"]).toContain(verdict(before, "association"));
      expect(before.next).toMatch(/hipctl/);

      // The peer comes up; whoever waited for it goes on.
      await b.daemon.start();
      expect(await reachable.ended(), reachable.err.join("\n")).toBe(0);
      b.daemon.namespace.etc("resolv.conf", "nameserver 127.0.0.1\n");
      const there = await b.daemon.namespace.agent();
      const port = await there.serveTcp();
      for (const name of ["b", b.daemon.hit, await a.daemon.lsi("b"), b.ipv4]) {
        const done = await a.daemon.ctl("why", name, `tcp/${port}`, "--json");
        expect(done.status, done.stdout).toBe(0);
        const told = JSON.parse(done.stdout) as Told;
        expect(told.conclusion).toMatch(/^Traffic to b can flow now/);
        for (const check of ["association", "ESP", "path", "NAT"]) {
          expect(verdict(told, check), `${check}: ${done.stdout}`).toBe("ok");
        }
      }
      const listening = JSON.parse((await b.daemon.ctl("why", "a", `tcp/${port}`, "--json")).stdout) as Told;
      expect(verdict(listening, `tcp/${port}`)).toBe("ok");

      // A stranger is denied, and the kernel's route is not to blame.
      const stranger = await a.daemon.ctl("why", "2001:22::99");
      expect(stranger.status).toBe(1);
      expect(stranger.stdout).toContain("default deny");
      expect(stranger.stdout).toContain("hipctl peer add NAME --hit 2001:22::99");

      // A route that somebody put in front of hipd's is found.
      await namespace.ip([`route add ${b.daemon.hit}/128 dev eth0 metric 1`]);
      const wrong = await a.daemon.ctl("why", "b");
      expect(wrong.status).toBe(1);
      expect(wrong.stdout).toMatch(/problem +route to HIT +packets to \S+ go to eth0 instead of hip0/);
      await namespace.ip([`route del ${b.daemon.hit}/128 dev eth0`]);
      expect((await a.daemon.ctl("why", "b")).status).toBe(0);

      // Traffic, as top and the report see it.
      const here = await namespace.agent();
      const transfer = here.sendTcp(b.daemon.hit, port, 1e12);
      await there.arrived(1e6);
      const [frame, text, report] = await Promise.all([
        a.daemon.json<Frame>("top", "--once", "-i", "1s"),
        a.daemon.ctl("top", "--once", "-i", "1s"),
        a.daemon.json<{ file: string }>(
          "report",
          "--seconds",
          "3",
          "-o",
          join(a.daemon.folder, "report.html"),
        ),
      ]);
      await here.finishTcp();
      await transfer;
      expect(frame.peers).toMatchObject([{ name: "b", state: "ESTABLISHED" }]);
      expect(frame.peers[0]?.txBytesPerSecond).toBeGreaterThan(1e6);
      expect(frame.peers[0]?.rxPacketsPerSecond).toBeGreaterThan(0);
      expect(frame.total.txBytesPerSecond).toBe(frame.peers[0]?.txBytesPerSecond);
      expect(text.stdout).toMatch(/^b +ESTABLISHED +[\d.]+ [KMG]iB /m);
      const page = readFileSync(report.file, "utf8");
      expect(page).toMatch(/Throughput of b: sent [\d.]+ [MG]iB\/s/);
      expect(page).toContain("association made");
      expect(page).toContain("1 of 1");
      expect(page).not.toMatch(/PRIVATE|NaN|undefined/);
    });
  });
});
