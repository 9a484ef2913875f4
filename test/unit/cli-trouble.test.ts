/** hipctl doctor and netcheck as commands: what they answer, in which shape, and how they end. */
import { chmodSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { hipctl } from "../support/cli.ts";
import { connectedMachines } from "../support/machine.ts";
import { Medium, temporaryFolder, write } from "../support/runtime.ts";

const [a] = connectedMachines(new Medium());
const doctor = (...argv: readonly string[]) =>
  hipctl(["doctor", "--config", join(a.folder, "hipd.toml"), ...argv]);

describe("doctor", () => {
  test("asks the hipd of the configuration, whose interface this test cannot have", async () => {
    const { status, out, error } = await doctor();
    expect(error).toBe("");
    expect(status).toBe(1);
    expect(out).toMatch(/^ok +daemon +hipd 1\.2\.3 answers on .*hipd\.sock, .*, 1 of 1 peer associated$/m);
    expect(out).toMatch(/^(problem|not checked) +interface +there is no interface hip0/m);
    expect(out).toMatch(/^warning +versions +hipd 1\.2\.3 runs, and hipctl is /m);
    expect(out).toMatch(/\n\n\d+ problems?, .* not checked\n$/);
  });

  test("answers programs in the documented shape", async () => {
    const { status, out } = await doctor("--json");
    const answer = JSON.parse(out);
    expect(status).toBe(1);
    expect(Object.keys(answer)).toEqual(["verdict", "problems", "warnings", "findings"]);
    expect(answer.verdict).toBe("problem");
    for (const finding of answer.findings) {
      expect(Object.keys(finding)).toEqual(["check", "verdict", "text", "remedy"]);
    }
  });

  test("tells a wrong configuration as hipd --check does", async () => {
    const key = join(a.folder, "state/identity.pem");
    chmodSync(key, 0o640);
    const { out } = await doctor();
    chmodSync(key, 0o600);
    expect(out).toContain(
      `${key}: other users have access to this private key (mode 0640); run: chmod 600 ${key}`,
    );
    expect(out).toMatch(/^problem +files +.*identity\.pem has mode 0640/m);
    const wrong = write(temporaryFolder(), "hipd.toml", "[network]\nprot = 1\n");
    expect((await hipctl(["doctor", "--config", wrong])).out).toMatch(
      /^problem +configuration +.*hipd\.toml:2:1: unknown key "prot" in \[network\]; did you mean "port"\?/m,
    );
  });
});

describe("netcheck", () => {
  test("answers people and programs", async () => {
    const people = await a.ctl(["netcheck"]);
    expect(people).toMatchObject({ status: 0, error: "" });
    expect(people.out).toMatch(
      /^this host\n RANK .*\nas peers see it\n.*\nNAT\nIPv4 .*\npeers\n.*\nb +ESTABLISHED .*3\/3/s,
    );
    const report = JSON.parse((await a.ctl(["netcheck", "--json"])).out);
    expect(Object.keys(report)).toEqual(["own", "seen", "nat", "peers", "cloud", "metadata"]);
    expect(report.seen).toMatchObject([{ peer: "b", local: "192.0.2.1:10500", seen: "192.0.2.1:10500" }]);
    expect(report.nat).toMatchObject([
      { family: "ipv4", kind: "none", mapped: [], portPreserved: null, peers: 1 },
    ]);
    expect(Object.keys(report.nat[0])).toEqual([
      "family",
      "kind",
      "reason",
      "mapped",
      "portPreserved",
      "peers",
    ]);
    expect(Object.keys(report.peers[0])).toEqual(["name", "hit", "state", "ipv4", "ipv6", "probe"]);
    expect(Object.keys(report.peers[0].ipv4)).toEqual(["state", "path", "inUse", "rttMillis", "loss", "mtu"]);
    expect(report.peers[0].probe).toEqual({
      sent: 3,
      received: 3,
      minMillis: 0.412,
      meanMillis: expect.closeTo(0.412),
      maxMillis: 0.412,
      error: null,
    });
  });

  test("sends nothing when it must not, and nothing to others than were named", async () => {
    const quiet = JSON.parse((await a.ctl(["netcheck", "--passive", "--json"])).out);
    expect(quiet.peers.map((peer: { probe: unknown }) => peer.probe)).toEqual([null]);
    expect(JSON.parse((await a.ctl(["netcheck", "b", "--json"])).out).peers).toHaveLength(1);
    expect(await a.ctl(["netcheck", "nobody"])).toMatchObject({ status: 6, out: "" });
    expect(await a.ctl(["netcheck", "--passive", "--connect"])).toMatchObject({ status: 2 });
  });

  test("needs a hipd", async () => {
    expect(await hipctl(["--socket", join(a.folder, "none"), "netcheck"])).toMatchObject({
      status: 5,
      out: "",
    });
  });
});
