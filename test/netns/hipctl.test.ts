/** What operators type, against daemons that run: every command, its tables and its JSON. */
import { expect, it } from "vitest";
import { ping, sharedPair, suite, withPair } from "./support.ts";

suite("hipctl", () => {
  const pair = sharedPair({ daemonA: { config: { metrics: { listen: "127.0.0.1:9510" } } } });

  it("connect makes an association and says how long it took", async () => {
    const { a } = pair();
    const done = await a.daemon.ctl("connect", "b");
    expect(done.status, done.stderr).toBe(0);
    expect(done.stdout).toMatch(/\d ms/);
    const [association] = (await a.daemon.json<{ associations: { state: string }[] }>("association", "list"))
      .associations;
    expect(association?.state).toBe("ESTABLISHED");
  });

  it("ping measures the overlay's round trip by name, HIT and LSI", async () => {
    const { a, b } = pair();
    for (const peer of ["b", b.daemon.hit, await a.daemon.lsi("b")]) {
      const done = await a.daemon.ctl("ping", "-c", "2", "-i", "0.1", peer);
      expect(done.status, done.stderr).toBe(0);
      expect(done.stdout).toMatch(/2 received|2\/2|0 ?% /);
    }
  });

  it("events streams what happens", async () => {
    const { a } = pair();
    const stream = a.daemon.namespace.spawn(a.daemon.ctlCommand("events", "--since", "1"));
    await stream.line((line) => line.includes("association-established") || line.includes("established"));
    expect((await a.daemon.ctl("association", "close", "b")).status).toBe(0);
    await stream.line((line) => line.includes("closed"));
    await stream.stop("SIGINT");
  });

  it("status --json has the documented keys", async () => {
    const { a, b } = pair();
    await ping(a.daemon.namespace, b.daemon.hit);
    const status = await a.daemon.status();
    expect(status.self.hit).toBe(a.daemon.hit);
    expect(status.self.lsi).toMatch(/^198\.1[89]\./);
    const [peer] = status.peers;
    for (const key of [
      "name",
      "hit",
      "lsi",
      "state",
      "suite",
      "path",
      "txBytes",
      "rxBytes",
      "establishedAt",
    ]) {
      expect(peer).toHaveProperty(key);
    }
    expect(peer?.path?.local).toContain(a.ipv4);
    expect(peer?.path?.remote).toContain(b.ipv4);
    expect(Date.parse(peer?.establishedAt ?? "")).toBeGreaterThan(Date.now() - 120_000);
  });

  it.each([
    "status",
    "version",
    "counters",
    "identity list",
    "peer list",
    "peer show b",
    "association list",
    "association show b",
  ])("%s answers people and programs", async (text) => {
    const command = text.split(" ");
    const { a, b } = pair();
    await ping(a.daemon.namespace, b.daemon.hit);
    const done = await a.daemon.ctl(...command);
    expect(done.status, done.stderr).toBe(0);
    expect(done.stdout.trim()).not.toBe("");
    await a.daemon.json(...command);
  });

  it("a name that nobody has gets its own exit status and the nearest name", async () => {
    const done = await pair().a.daemon.ctl("peer", "show", "bb");
    expect(done.status).toBe(6);
    expect(done.stderr.trim().split("\n")).toHaveLength(1);
    expect(done.stderr).toContain('"b"');
  });

  it("metrics are served to Prometheus, with drops by reason and no key", async () => {
    const { a } = pair();
    const script = "fetch('http://127.0.0.1:9510/metrics').then((r) => r.text()).then((t) => console.log(t))";
    const page = await a.daemon.namespace.run([process.execPath, "-e", script]);
    for (const word of ["associations", "esp", "drop", "puzzle"]) expect(page).toMatch(new RegExp(word, "i"));
    expect(page).not.toMatch(/PRIVATE|[0-9a-f]{64}/);
  });
});

suite("logs", () => {
  it("hold no key, whatever the level", async () => {
    await withPair({}, async ({ a, b }) => {
      await ping(a.daemon.namespace, b.daemon.hit);
      await a.daemon.stop();
      const text = [...a.daemon.process.out, ...a.daemon.process.err].join("\n");
      expect(text).toContain("association-established");
      expect(text).not.toMatch(/PRIVATE KEY|[0-9a-f]{40,}/);
      for (const line of a.daemon.process.out.filter((one) => one !== "")) JSON.parse(line);
    });
  });
});
