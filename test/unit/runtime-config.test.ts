/** What each mistake in the configuration is told as. */
import { mkdirSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { loadConfig, problemText } from "../../src/runtime/config-file.ts";
import { temporaryFolder, write } from "../support/runtime.ts";

const HIT = "2001:22:1:2:3:4:5:6";

/** Messages of a file, without its folder. */
function problems(text: string, more: Readonly<Record<string, string>> = {}): readonly string[] {
  const folder = temporaryFolder();
  for (const [name, content] of Object.entries(more)) {
    mkdirSync(join(folder, "peers.d"), { recursive: true });
    write(folder, name, content);
  }
  const loaded = loadConfig(write(folder, "hipd.toml", text));
  return loaded.ok ? [] : loaded.error.map((problem) => problemText(problem).replaceAll(`${folder}/`, ""));
}

const peer = (rest: string): string => `[[peer]]\nname = "a"\nhit = "${HIT}"\n${rest}\n`;

describe("one mistake, one message with its place and the remedy", () => {
  const table: readonly (readonly [name: string, text: string, message: string])[] = [
    ["syntax", "[network\n", "hipd.toml:1:9: not valid TOML: "],
    ["duplicate key", "[network]\nport = 1\nport = 2\n", "hipd.toml:3:1: not valid TOML: "],
    [
      "unknown table",
      "[netwrok]\nport = 1\n",
      'hipd.toml:1:2: unknown key "netwrok" in the top level (before the first table); did you mean "network"?',
    ],
    [
      "unknown key",
      peer('locater = "192.0.2.1"'),
      'hipd.toml:4:1: unknown key "locater" in [[peer]]; did you mean "locators"?',
    ],
    [
      "key of another table",
      "[network]\nsocket = 'x'\n",
      'hipd.toml:2:1: unknown key "socket" in [network]; it belongs in [control]',
    ],
    [
      "key far from all",
      "[log]\nxyzzyq = 1\n",
      'hipd.toml:2:1: unknown key "xyzzyq" in [log]; known: level, format',
    ],
    [
      "key of a sub-table",
      "[protocol.timers]\nretransmitt = '1s'\n",
      'hipd.toml:2:1: unknown key "retransmitt" in [protocol.timers]; did you mean "retransmit"?',
    ],
    [
      "dotted key",
      "protocol.timers.failed_hlod = '1s'\n",
      'hipd.toml:1:17: unknown key "failed_hlod" in [protocol.timers]; did you mean "failed_hold"?',
    ],
    [
      "inline table",
      "protocol = { puzzle = { idle = 1 } }\n",
      'hipd.toml:1:25: unknown key "idle" in [protocol.puzzle]; did you mean "idle_k"?',
    ],
    [
      "wrong type",
      '[network]\nport = "ten"\n',
      'hipd.toml:2:8: [network] port: expected a whole number, found the text "ten"',
    ],
    [
      "an offload that does not exist",
      '[network]\noffloads = ["tso", "lro"]\n',
      "hipd.toml:2:20: [network] offloads: ",
    ],
    [
      "offload twice",
      '[network]\noffloads = ["gro", "gro"]\n',
      "hipd.toml:2:12: [network] offloads: each offload may stand only once",
    ],
    [
      "offload without what it needs",
      '[network]\noffloads = ["uso"]\n',
      'hipd.toml:2:12: [network] offloads: "uso" needs "tso"',
    ],
    [
      "busy polling without a unit",
      '[network]\nbusy_poll = "50"\n',
      'hipd.toml:2:13: [network] busy_poll: "50" is not a short duration; write a number with us or ms, like "50us", or "0"',
    ],
    [
      "busy polling for long",
      '[network]\nbusy_poll = "11ms"\n',
      'hipd.toml:2:13: [network] busy_poll: "11ms" is longer than 10ms',
    ],
    [
      "a priority that there is not",
      "[network]\nnice = -21\n",
      "hipd.toml:2:8: [network] nice: -21 is too small; at least -20 is needed",
    ],
    [
      "an interface pattern",
      '[locators]\ninterfaces = ["eth 0"]\n',
      'hipd.toml:2:15: [locators] interfaces: "eth 0" is not a pattern for interfaces',
    ],
    [
      "a prefix of addresses",
      '[locators]\nexclude_addresses = ["10.8.1.0/8"]\n',
      'hipd.toml:2:22: [locators] exclude_addresses: "10.8.1.0/8" has host bits set; write 10.0.0.0/8',
    ],
    [
      "a locator that is none",
      '[locators]\nadvertise = ["example.org"]\n',
      'hipd.toml:2:14: [locators] advertise: "example.org" is not a locator',
    ],
    [
      "a locator in the overlay",
      '[locators]\nadvertise = ["198.18.0.7"]\n',
      "hipd.toml:2:14: [locators] advertise: 198.18.0.7 lies in the overlay itself",
    ],
    [
      "a cloud that is not known",
      '[locators]\nmetadata = "asw"\n',
      'hipd.toml:2:12: [locators] metadata: "asw" is not allowed; did you mean "aws"?',
    ],
    [
      "a path policy",
      '[locators]\npath_policy = "fastest"\n',
      'hipd.toml:2:15: [locators] path_policy: "fastest" is not allowed; write "preferred" or "lowest-rtt"',
    ],
    [
      "a dead path at once",
      '[locators]\ndead_path_after = "5ms"\n',
      'hipd.toml:2:19: [locators] dead_path_after: "5ms" is not between 100ms and 60s',
    ],
    [
      "key of the locators elsewhere",
      "[network]\nadvertise = []\n",
      'hipd.toml:2:1: unknown key "advertise" in [network]; it belongs in [locators]',
    ],
    [
      "fraction",
      "[network]\nport = 1.5\n",
      "hipd.toml:2:8: [network] port: expected a whole number, found the number 1.5",
    ],
    [
      "table for a value",
      "[network.port]\n",
      "hipd.toml:1:2: [network] port: expected a whole number, found a table",
    ],
    ["value for a table", "network = 3\n", "hipd.toml:1:11: [network]: expected a table, found the number 3"],
    [
      "too large",
      "[network]\nport = 65536\n",
      "hipd.toml:2:8: [network] port: 65536 is too large; at most 65535 is allowed",
    ],
    [
      "too small",
      "[network]\nport = 0\n",
      "hipd.toml:2:8: [network] port: 0 is too small; at least 1 is needed",
    ],
    [
      "mtu",
      "[network]\nmtu = 500\n",
      "hipd.toml:2:7: [network] mtu: must be 1280 to 65535, or 0 for automatic",
    ],
    [
      "choice",
      '[network]\nencapsulation = "upd"\n',
      'hipd.toml:2:17: [network] encapsulation: "upd" is not allowed; did you mean "udp"?',
    ],
    [
      "choice far from all",
      '[log]\nlevel = "noisiest"\n',
      'hipd.toml:2:9: [log] level: "noisiest" is not allowed; write "debug", "info", "warn" or "error"',
    ],
    [
      "interface",
      '[network]\ninterface = "much-too-long-name"\n',
      'hipd.toml:2:13: [network] interface: "much-too-long-name" is not an interface name',
    ],
    [
      "prefix with host bits",
      '[network]\nlsi_prefix = "198.18.0.1/15"\n',
      'hipd.toml:2:14: [network] lsi_prefix: "198.18.0.1/15" has host bits set; write 198.18.0.0/15',
    ],
    [
      "IPv6 LSI prefix",
      '[network]\nlsi_prefix = "2001:db8::/32"\n',
      "LSIs are IPv4 addresses; write a prefix like 198.18.0.0/15",
    ],
    ["tiny LSI prefix", '[network]\nlsi_prefix = "198.18.0.0/30"\n', "the prefix length must be 4 to 28"],
    [
      "loopback LSI prefix",
      '[network]\nlsi_prefix = "127.0.0.0/16"\n',
      '"127.0.0.0/16" lies in 127.0.0.0/8, which hosts do not route',
    ],
    [
      "listen",
      '[metrics]\nlisten = "localhost"\n',
      'hipd.toml:2:10: [metrics] listen: "localhost" is not an address with a port; write 127.0.0.1:9510 or [::1]:9510, or "" for none',
    ],
    [
      "duration without unit",
      "[protocol.timers]\nretransmit = '500'\n",
      'hipd.toml:2:14: [protocol.timers] retransmit: "500" is not a duration; write a number with ms, s, m or h',
    ],
    [
      "number as duration",
      "[protocol.timers]\nretransmit = 500\n",
      "hipd.toml:2:14: [protocol.timers] retransmit: expected text in quotes, found the number 500",
    ],
    [
      "timers in the wrong order",
      "[protocol.timers]\nretransmit = '9s'\n",
      "hipd.toml:2:14: [protocol.timers] retransmit is longer than retransmit_max",
    ],
    [
      "puzzle in the wrong order",
      "[protocol.puzzle]\nidle_k = 22\n",
      "hipd.toml:2:10: [protocol.puzzle] idle_k (22) is above loaded_k (20)",
    ],
    [
      "unknown suite",
      '[protocol]\nesp_suites = ["AES-GCM-16", "AES-GMC-8"]\n',
      'hipd.toml:2:29: [protocol] esp_suites: "AES-GMC-8" is not a known ESP suite; did you mean "AES-GCM-8"?',
    ],
    [
      "unknown group number",
      "[protocol]\ndh_groups = [10]\n",
      "hipd.toml:2:14: [protocol] dh_groups: 10 is not a known Diffie-Hellman group; known: 7 (P256)",
    ],
    [
      "suite twice",
      '[protocol]\nesp_suites = [13, "AES-GCM-16"]\n',
      "hipd.toml:2:14: [protocol] esp_suites: each ESP suite may stand only once",
    ],
    [
      "empty list",
      "[protocol]\nesp_suites = []\n",
      "hipd.toml:2:14: [protocol] esp_suites: must not be empty",
    ],
    [
      "domain",
      '[protocol]\ndomain = "a b"\n',
      'hipd.toml:2:10: [protocol] domain: "a b" is neither an FQDN (host.example) nor a NAI (user@example)',
    ],
    [
      "long socket path",
      `[control]\nsocket = "/${"x".repeat(107)}"\n`,
      "hipd.toml:2:10: [control] socket: a Unix socket's path has at most 107 characters",
    ],
    ["peer without name", `[[peer]]\nhit = "${HIT}"\n`, "hipd.toml:1:3: [[peer]] name: is missing"],
    [
      "peer with a bad name",
      `[[peer]]\nname = "Db_1"\nhit = "${HIT}"\n`,
      'hipd.toml:2:8: [[peer]] name: "Db_1" is not a name; use lower-case letters, digits, hyphens and dots',
    ],
    ["peer with capitals", `[[peer]]\nname = "DB1"\nhit = "${HIT}"\n`, '"DB1" is not a name; write "db1"'],
    [
      "no HIT",
      '[[peer]]\nname = "a"\nlocators = ["192.0.2.1"]\n',
      'hipd.toml:1:3: [[peer]] "a" has no hit; give it one, or allow [protocol] opportunistic = true',
    ],
    [
      "not an address",
      '[[peer]]\nname = "a"\nhit = "2001:22::zz"\n',
      'hipd.toml:3:7: [[peer]] "a" hit: "2001:22::zz" is not an IPv6 address',
    ],
    [
      "not a HIT",
      '[[peer]]\nname = "a"\nhit = "2001:db8::1"\n',
      'hipd.toml:3:7: [[peer]] "a" hit: "2001:db8::1" is not a HIT: HITs begin with 2001:20::/28 (RFC 7343)',
    ],
    [
      "bad locator",
      peer('locators = ["192.0.2.10", "host.example"]'),
      'hipd.toml:4:27: [[peer]] "a" locators: "host.example" is not a locator; write 192.0.2.10, 192.0.2.10:10500, 2001:db8::10 or [2001:db8::10]:10500',
    ],
    [
      "IPv6 locator with a port and no brackets",
      peer('locators = ["[2001:db8::10"]'),
      '"[2001:db8::10" is not a locator',
    ],
    ["bad port", peer('locators = ["192.0.2.10:0"]'), '"192.0.2.10:0": the port must be 1 to 65535'],
    ["HIT as locator", peer(`locators = ["${HIT}"]`), "is a HIT, not a locator"],
    [
      "LSI as locator",
      peer('locators = ["198.18.0.7"]'),
      'hipd.toml:4:13: [[peer]] "a": locator 198.18.0.7 lies in the overlay itself',
    ],
    ["multicast locator", peer('locators = ["224.0.0.1"]'), '"224.0.0.1" is not a unicast address'],
    [
      "port without UDP",
      peer('encapsulation = "none"\nlocators = ["192.0.2.10:10500"]'),
      'hipd.toml:5:13: [[peer]] "a": locator 192.0.2.10:10500 has a port, but encapsulation "none" has no ports; write 192.0.2.10',
    ],
    [
      "same name twice",
      `${peer("")}[[peer]]\nname = "a"\nhit = "2001:22::1"\n`,
      'hipd.toml:5:3: [[peer]] "a": the name "a" is already used at hipd.toml:1:3',
    ],
    [
      "same HIT twice",
      `${peer("")}[[peer]]\nname = "b"\nhit = "2001:0022:1:2:3:4:5:6"\n`,
      `hipd.toml:5:3: [[peer]] "b": the HIT ${HIT} is already used at hipd.toml:1:3`,
    ],
  ];
  test.each(table)("%s", (_name, text, message) => {
    const found = problems(text);
    expect(found).toHaveLength(1);
    expect(found[0]).toContain(message);
  });
});

test("all mistakes of all files are told at once, in their order", () => {
  const found = problems('[network]\nport = 0\nmtu = true\n[log]\nlevle = "info"\n', {
    "peers.d/b.toml": '[[peer]]\nname = "b"\nhit = "x"\n',
    "peers.d/a.toml": "[network]\nport = 1\n",
    "peers.d/notes.txt": "not read",
  });
  expect(found.map((line) => line.split(": ")[0])).toEqual([
    "hipd.toml:2:8",
    "hipd.toml:3:7",
    "hipd.toml:5:1",
    "peers.d/a.toml:1:2",
    "peers.d/b.toml:3:7",
  ]);
});

test("a missing file and a file that is no text are told in words", () => {
  const folder = temporaryFolder();
  const missing = loadConfig(join(folder, "none.toml"));
  expect(missing.ok ? [] : missing.error.map(problemText)).toEqual([
    `${folder}/none.toml: cannot be read: no such file or directory`,
  ]);
  const binary = loadConfig(write(folder, "bad.toml", Buffer.from([0xff, 0xfe]).toString("latin1")));
  expect(binary.ok).toBe(false);
});
