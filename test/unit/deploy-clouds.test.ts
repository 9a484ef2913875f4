/** What deploy/ gives to clouds, by the clouds' own checkers where Debian has them, else by what must hold in any case. */
import { execFileSync, spawnSync } from "node:child_process";
import { globSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { loadConfig } from "../../src/runtime/config-file.ts";
import { type Block, type Expression, readHcl } from "../support/hcl.ts";
import { temporaryFolder, write } from "../support/runtime.ts";

const DEPLOY = join(import.meta.dirname, "../../deploy");
const read = (file: string): string => readFileSync(join(DEPLOY, file), "utf8");
/** Debian's, which is where its package of YAML is. */
const PYTHON = "/usr/bin/python3";
const has = (program: string): boolean => spawnSync(program, ["--version"]).error === undefined;

/** A test that is skipped with its reason where a program is missing. */
function needing(program: string, name: string, body: () => void, timeout = 60_000): void {
  const there = has(program);
  test.skipIf(!there)(there ? name : `${name} (needs ${program})`, { timeout }, body);
}

/** Runs a checker, which must be silent about what is wrong. */
function check(program: string, ...args: readonly string[]): void {
  const done = spawnSync(program, args, {
    encoding: "utf8",
    cwd: DEPLOY,
    env: { ...process.env, NO_COLOR: "1" },
  });
  expect(done.status, `${done.stdout}${done.stderr}`).toBe(0);
}

function yaml(file: string): Record<string, unknown> {
  const script = "import json, sys, yaml; json.dump(yaml.safe_load(sys.stdin), sys.stdout, default=str)";
  return JSON.parse(execFileSync(PYTHON, ["-c", script], { input: read(file), encoding: "utf8" }));
}

const WORDS = ["@PACKAGE@", "@PACKAGE_SHA256@", "@NAME@", "@INVENTORY@", "@WAIT_FOR@", "@OPERATOR_KEY@"];
const YAML = globSync("{cloud-init,openstack,ansible}/**/*.{yaml,yml}", { cwd: DEPLOY });
const YAMLLINT = `{extends: default, rules: {line-length: {max: 160}, comments: {min-spaces-from-content: 1, require-starting-space: false},
  document-start: disable, braces: {max-spaces-inside: 1}}}`;

describe("cloud-init", () => {
  const userData = read("cloud-init/user-data.yaml");

  needing("cloud-init", "the schema knows all of the user data", () => {
    check("cloud-init", "schema", "--config-file", "cloud-init/user-data.yaml");
  });

  needing("yamllint", "yamllint has nothing to say about any YAML here", () => {
    expect(YAML.length).toBeGreaterThan(8);
    check("yamllint", "--strict", "-d", YAMLLINT, ...YAML);
  });

  needing("shellcheck", "nor has shellcheck about the script", () => {
    check("shellcheck", "cloud-init/first-boot.sh");
  });

  test("the script in the user data is the one beside it, and it fits into what AWS takes", () => {
    const script = read("cloud-init/first-boot.sh").replace(/^(?=.)/gm, "      ");
    expect(userData).toContain(`    content: |\n${script}runcmd:\n`);
    expect(userData.length).toBeLessThan(16_384);
  });

  test("its hipd.toml is one, and every word to replace stands there once", () => {
    const toml = /path: \/etc\/hipd\/hipd\.toml\n(?: {4}\S.*\n)*? {4}content: \|\n((?: {6}.*\n)+)/.exec(
      userData,
    )?.[1];
    const folder = temporaryFolder();
    const loaded = loadConfig(write(folder, "hipd.toml", (toml ?? "").replace(/^ {6}/gm, "")));
    expect(loaded.ok && loaded.value.identity.onNewInstance).toBe("new-identity");
    expect(userData.match(/@[A-Z0-9_]+@/g)?.filter((word) => word !== "@WORD@")).toEqual(WORDS);
  });
});

describe("openstack", () => {
  /** Properties of the resource types that the templates use (Heat's template guide). */
  const PROPERTIES: Readonly<Record<string, readonly string[]>> = {
    "OS::Neutron::Net": ["name", "admin_state_up", "shared", "port_security_enabled"],
    "OS::Neutron::Subnet": [
      "network",
      "cidr",
      "ip_version",
      "dns_nameservers",
      "gateway_ip",
      "enable_dhcp",
      "name",
    ],
    "OS::Neutron::Router": ["external_gateway_info", "name", "admin_state_up"],
    "OS::Neutron::RouterInterface": ["router", "subnet", "port"],
    "OS::Neutron::SecurityGroup": ["name", "description", "rules"],
    "OS::Neutron::Port": ["network", "security_groups", "fixed_ips", "name", "port_security_enabled"],
    "OS::Neutron::FloatingIP": ["floating_network", "port_id", "fixed_ip_address"],
    "OS::Nova::Server": [
      ...["name", "image", "flavor", "key_name", "networks", "user_data", "user_data_format", "metadata"],
      ...["security_groups", "availability_zone", "config_drive", "block_device_mapping_v2"],
    ],
    "OS::Heat::ResourceGroup": ["count", "resource_def", "index_var", "removal_policies"],
  };

  interface Template {
    readonly heat_template_version: string;
    readonly parameters: Record<string, { type: string; default?: unknown }>;
    readonly resources: Record<
      string,
      { type: string; properties?: Record<string, unknown>; depends_on?: string }
    >;
    readonly outputs: Record<string, { value: unknown }>;
  }

  /** Every `{NAME: value}` with one of these names, wherever it stands. */
  function calls(value: unknown, name: string): readonly unknown[] {
    if (typeof value !== "object" || value === null) return [];
    const inner = Object.values(value).flatMap((each) => calls(each, name));
    return Object.hasOwn(value, name) ? [(value as Record<string, unknown>)[name], ...inner] : inner;
  }

  const templates = has(PYTHON) && spawnSync(PYTHON, ["-c", "import yaml"]).status === 0;
  const title = templates ? "" : " (needs python3-yaml)";

  test.skipIf(!templates).each(["fleet.yaml", "member.yaml"])(
    `%s refers to what exists, and to all of it${title}`,
    (file) => {
      const template = yaml(`openstack/${file}`) as unknown as Template;
      expect(String(template.heat_template_version)).toMatch(/^2018-08-31/);
      const parameters = Object.keys(template.parameters);
      const body = { resources: template.resources, outputs: template.outputs };
      expect([...new Set(calls(body, "get_param"))].sort()).toEqual([...parameters].sort());
      const resources = Object.keys(template.resources);
      for (const name of calls(body, "get_resource")) expect(resources).toContain(name);
      for (const path of calls(body, "get_attr") as string[][]) expect(resources).toContain(path[0]);
      for (const path of calls(body, "get_file")) expect(read(`openstack/${path}`)).not.toBe("");
      for (const { type, properties = {}, depends_on } of Object.values(template.resources)) {
        for (const name of Object.keys(properties)) expect(PROPERTIES[type], type).toContain(name);
        if (depends_on !== undefined) expect(resources).toContain(depends_on);
      }
      for (const { type } of Object.values(template.parameters)) expect(["string", "number"]).toContain(type);
    },
  );

  test.skipIf(!templates)(
    `a fleet gives its members every parameter, and tenants give the fleet theirs${title}`,
    () => {
      const fleet = yaml("openstack/fleet.yaml") as unknown as Template;
      const member = yaml("openstack/member.yaml") as unknown as Template;
      const given = fleet.resources["fleet"]?.properties?.["resource_def"] as {
        type: string;
        properties: object;
      };
      expect(given.type).toBe("member.yaml");
      expect(Object.keys(given.properties).sort()).toEqual(Object.keys(member.parameters).sort());
      const needed = Object.entries(fleet.parameters).filter(([, each]) => each.default === undefined);
      for (const tenant of ["a", "b"]) {
        const { parameters } = yaml(`openstack/tenant-${tenant}.env.yaml`) as { parameters: object };
        for (const name of Object.keys(parameters)) expect(Object.keys(fleet.parameters)).toContain(name);
        for (const [name] of needed) expect(parameters).toHaveProperty(name);
      }
      const words = calls(member.resources, "str_replace") as { params: object }[];
      expect(words.flatMap(({ params }) => Object.keys(params)).sort()).toEqual([...WORDS].sort());
    },
  );

  test.skipIf(!templates)(`UDP 10500 is open to everybody, ssh is not${title}`, () => {
    const fleet = yaml("openstack/fleet.yaml") as unknown as Template;
    const rules = fleet.resources["security_group"]?.properties?.["rules"] as Record<string, unknown>[];
    const open = rules.filter(
      (each) => each["direction"] === "ingress" && each["remote_ip_prefix"] === undefined,
    );
    expect(open.map((each) => [each["ethertype"], each["protocol"], each["port_range_min"]])).toEqual([
      ["IPv4", "udp", 10500],
      ["IPv6", "udp", 10500],
      ["IPv4", "icmp", undefined],
      ["IPv6", "ipv6-icmp", undefined],
    ]);
  });
});

describe("terraform", () => {
  const FUNCTIONS = [
    "can",
    "cidrsubnet",
    "concat",
    "file",
    "join",
    "length",
    "merge",
    "range",
    "regex",
    "replace",
  ];
  const module = (name: string): readonly Block[] =>
    globSync(`${name}/*.tf`, { cwd: DEPLOY }).flatMap((file) => readHcl(read(file)));

  /** All expressions of blocks and the blocks in them. */
  function expressions(blocks: readonly Block[]): readonly Expression[] {
    return blocks.flatMap((block) => [...block.attributes.values(), ...expressions(block.blocks)]);
  }

  const of = (blocks: readonly Block[], type: string): readonly Block[] =>
    blocks.filter((each) => each.type === type);

  test.each(["aws", "hybrid"])(
    "%s refers to what exists, uses every variable and calls what Terraform has",
    (name) => {
      const blocks = module(name);
      const known = new Set([
        ...of(blocks, "variable").map(({ labels }) => `var.${labels[0]}`),
        ...of(blocks, "locals").flatMap(({ attributes }) =>
          [...attributes.keys()].map((key) => `local.${key}`),
        ),
        ...of(blocks, "data").map(({ labels }) => `data.${labels.join(".")}`),
        ...of(blocks, "resource").map(({ labels }) => labels.join(".")),
        ...of(blocks, "module").map(({ labels }) => `module.${labels[0]}`),
        ...["each.key", "each.value", "path.module"],
      ]);
      const all = expressions(blocks.filter(({ type }) => type !== "terraform"));
      // In `lifecycle` and `type` stand names, not references.
      const plain = /^(string|number|bool|ami|user_data|image_name)$/;
      const used = new Set<string>();
      for (const reference of all
        .flatMap(({ references }) => references)
        .filter((each) => !plain.test(each))) {
        const parts = reference.split(".");
        const head = parts.slice(0, parts[0] === "data" ? 3 : 2).join(".");
        expect([...known], reference).toContain(head);
        used.add(head);
      }
      for (const variable of [...known].filter((each) => each.startsWith("var.")))
        expect([...used]).toContain(variable);
      for (const call of all.flatMap(({ calls }) => calls)) expect(FUNCTIONS).toContain(call);
    },
  );

  test("the words of the user data are all replaced, and only the name by each module", () => {
    const words = (name: string): readonly string[] =>
      expressions(of(module(name), "locals")).flatMap(({ text }) => text.match(/@[A-Z0-9_]+@/g) ?? []);
    expect([...words("aws")].sort()).toEqual([...WORDS].sort());
    expect(words("hybrid")).toEqual(["@NAME@"]);
  });

  test("hybrid gives the AWS module what it needs, and nothing else", () => {
    const variables = of(module("aws"), "variable");
    const [call] = of(module("hybrid"), "module");
    const given = [...(call?.attributes.keys() ?? [])].filter((name) => name !== "source");
    expect(call?.attributes.get("source")?.text).toBe('"../aws"');
    for (const name of given) expect(variables.map(({ labels }) => labels[0])).toContain(name);
    const shared = of(module("hybrid"), "variable").map(({ labels }) => labels[0] as string);
    for (const name of shared.filter((each) => variables.some(({ labels }) => labels[0] === each)))
      expect(given).toContain(name);
    for (const { labels, attributes } of variables)
      if (!attributes.has("default")) expect(given).toContain(labels[0]);
    const outputs = of(module("aws"), "output").map(({ labels }) => `module.aws.${labels[0]}`);
    const used = expressions(module("hybrid")).flatMap(({ references }) => references);
    for (const each of used.filter((reference) => reference.startsWith("module.")))
      expect(outputs).toContain(each);
  });

  test("metadata by IMDSv2 only, UDP 10500 open, ssh for administrators, disks encrypted", () => {
    const blocks = module("aws");
    const resource = (type: string): Block =>
      of(blocks, "resource").find(({ labels }) => labels[0] === type) as Block;
    const inner = (block: Block, type: string): readonly Record<string, string>[] =>
      of(block.blocks, type).map(({ attributes }) =>
        Object.fromEntries([...attributes].map(([name, { text }]) => [name, text])),
      );
    const instance = resource("aws_instance");
    expect(inner(instance, "metadata_options")).toMatchObject([{ http_tokens: '"required"' }]);
    expect(inner(instance, "root_block_device")).toEqual([{ encrypted: "true" }]);
    const open = inner(resource("aws_security_group"), "ingress").map(
      ({ protocol, from_port, to_port, cidr_blocks }) =>
        [protocol, from_port, to_port, cidr_blocks].join(" "),
    );
    expect(open).toEqual([
      '"udp" 10500 10500 ["0.0.0.0/0"]',
      '"icmp" -1 -1 ["0.0.0.0/0"]',
      '"tcp" 22 22 [var.admin_cidr]',
    ]);
  });

  test.each([
    ["a = ", "an expression"],
    ["a = 1 b = 2", "the end of the line"],
    ["a {", "a name"],
    ['a = "x', "does not end"],
    ["a = f(1,", "an expression"],
    ["a = 1\na = 2", "stands already"],
    ["a = [for x : x]", "in"],
    ["a = { b 1 }", "="],
  ])("the reader refuses %j", (text, why) => {
    expect(() => readHcl(text)).toThrow(why);
  });
});

describe("ansible", () => {
  needing("ansible-playbook", "the playbook's syntax is right", () => {
    check("ansible-playbook", "--syntax-check", "-i", "ansible/fleet.example.ini", "ansible/fleet.yml");
  });

  needing("ansible-lint", "ansible-lint has nothing to say", () => {
    check(
      "ansible-lint",
      ...[
        "--offline",
        "--nocolor",
        "-q",
        "-c",
        "ansible/.ansible-lint",
        "ansible/fleet.yml",
        "ansible/roles/hipd",
      ],
    );
  });
});
