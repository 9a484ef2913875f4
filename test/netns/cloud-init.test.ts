/**
 * The first boot of a cloud machine: the real cloud-init takes deploy/cloud-init/user-data.yaml from an EC2 metadata service, and installs,
 * starts and introduces hipd. No systemd runs there: a program in its place starts and stops hipd.
 */
import { createHash } from "node:crypto";
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { EXIT } from "../../src/cli/exit.ts";
import { Identity } from "../../src/crypto/identity.ts";
import { writeHipRecord } from "../../src/crypto/keyfile.ts";
import { Daemon } from "../../tools/lab/daemon.ts";
import { Guest } from "../../tools/lab/guest.ts";
import { Lab, type Namespace, unavailable } from "../../tools/lab/lab.ts";
import { attempt, type Background } from "../../tools/lab/shell.ts";
import { standIn } from "../../tools/lab/stand-in.ts";
import { ping } from "./support.ts";

const ROOT = join(import.meta.dirname, "../..");
const SERVICE = "169.254.169.254";
const ELASTIC = "198.51.100.7";
const MAC = "02:00:00:00:00:01";
/** Versions of the metadata: what cloud-init asks on AWS, and where the firmware does not say that it is AWS. */
const EC2 = ["/2021-03-23", "/2009-04-04"];

const reason =
  unavailable() ??
  ((await attempt(["cloud-init", "--version"])).status === 0 ? undefined : "needs cloud-init");

/** What cloud-init runs of a boot here, and where it looks. */
const CLOUD_CFG = `
datasource_list: [Ec2]
datasource:
  Ec2:
    metadata_urls: ["http://${SERVICE}"]
    strict_id: false
    apply_full_imds_network_config: false
network: {config: disabled}
disable_root: false
preserve_hostname: true
cloud_init_modules: [write-files]
cloud_config_modules: [runcmd]
cloud_final_modules: [scripts-user]
`;

const SYSTEMCTL = `#!/bin/sh
echo "$*" >> /var/log/systemctl.log
case $1 in
  start) [ -S /run/hipd/hipd.sock ] || setsid hipd </dev/null >>/var/log/hipd.log 2>&1 & ;;
  stop) kill "$(cat /run/hipd.pid)"; while [ -S /run/hipd/hipd.sock ]; do sleep 0.05; done ;;
esac
exit 0
`;

/** What the firmware says, where the test's machine has none that says something itself. */
const DMIDECODE = `#!/bin/sh
case $2 in system-uuid | system-serial-number) echo ec2e1916-9099-7caf-fd21-012345abcdef ;; *) exit 1 ;; esac
`;

interface Cloud {
  readonly lab: Lab;
  readonly guest: Guest;
  readonly member: Daemon;
  readonly operator: Identity;
  readonly metadata: Background;
  /** Served at http://192.0.2.1/. */
  readonly www: string;
  readonly userData: string;
}

/** vm --- router with the metadata service and a web server --- db1, a member that is there already. */
async function withCloud(body: (cloud: Cloud) => Promise<void>): Promise<void> {
  const lab = Lab.create();
  try {
    const router = await lab.router("router");
    const hosts = [];
    for (const [label, net] of [
      ["vm", "192.0.2"],
      ["db1", "203.0.113"],
    ] as const) {
      const namespace = await lab.namespace(label);
      await lab.link(
        { namespace, device: "eth0", addresses: [`${net}.2/30`] },
        { namespace: router, device: `to-${label}`, addresses: [`${net}.1/30`] },
      );
      await namespace.ip([`route add default via ${net}.1`]);
      hosts.push(namespace);
    }
    const [vm, db1] = hosts as [Namespace, Namespace];
    await router.ip([`addr add ${SERVICE}/32 dev lo`]);
    const metadata = router.spawn([process.execPath, join(ROOT, "tools/lab/metadata-service.ts"), SERVICE]);
    const www = join(lab.folder, "www");
    mkdirSync(www);
    const web = router.spawn([
      "python3",
      "-u",
      "-m",
      "http.server",
      "80",
      "--bind",
      "192.0.2.1",
      "--directory",
      www,
    ]);
    await Promise.all([
      standIn(lab.folder, join(www, "hipd.deb")),
      metadata.line((line) => line === "listening"),
      web.line((line) => line.startsWith("Serving HTTP")),
    ]);

    const operator = Identity.generate("ecdsa-p256");
    writeFileSync(join(lab.folder, "operator.pem"), operator.toPkcs8Pem(), { mode: 0o600 });
    const member = new Daemon(lab, db1, { config: { inventory: { trusted: ["../operator.pub"] } } });
    writeFileSync(join(lab.folder, "operator.pub"), writeHipRecord(operator.publicOnly()));
    await member.start();
    const own = join(member.folder, "self.json");
    await sign(lab, member, [own], join(www, "fleet.json"), () =>
      member.ctl("inventory", "export", "--name", "db1", "-o", own),
    );

    const guest = await Guest.start(lab, vm);
    const userData = filledIn(
      createHash("sha256")
        .update(readFileSync(join(www, "hipd.deb")))
        .digest("hex"),
      operator,
    );
    await guest.write("/etc/cloud/cloud.cfg", CLOUD_CFG);
    await guest.write("/usr/local/sbin/systemctl", SYSTEMCTL, "0755");
    await guest.write("/usr/local/sbin/dmidecode", DMIDECODE, "0755");
    await body({ lab, guest, member, operator, metadata, www, userData });
  } finally {
    await lab.close();
  }
}

/** What an operator changes in the file. */
function filledIn(sha256: string, operator: Identity): string {
  const words: Readonly<Record<string, string>> = {
    "@PACKAGE@": "http://192.0.2.1/hipd.deb",
    "@PACKAGE_SHA256@": sha256,
    "@NAME@": "vm",
    "@INVENTORY@": "http://192.0.2.1/fleet.json",
    "@WAIT_FOR@": "",
    "@OPERATOR_KEY@": `operator. ${writeHipRecord(operator.publicOnly())}`,
    'metadata = "auto"': 'metadata = "aws"',
  };
  let text = readFileSync(join(ROOT, "deploy/cloud-init/user-data.yaml"), "utf8");
  for (const [word, value] of Object.entries(words)) {
    expect(text).toContain(word);
    text = text.replace(word, value);
  }
  return text;
}

async function sign(
  lab: Lab,
  daemon: Daemon,
  files: readonly string[],
  output: string,
  before: () => Promise<unknown> = async () => undefined,
): Promise<void> {
  await before();
  const key = join(lab.folder, "operator.pem");
  const done = await daemon.ctl("inventory", "sign", "--key", key, ...files, "-o", output);
  expect(done.stderr).toBe("");
}

/** One boot of the instance: all of cloud-init's stages. Gives what its scripts said. */
async function boot({ guest, metadata, userData }: Cloud, instance: string): Promise<string> {
  const macs = "meta-data/network/interfaces/macs/";
  const pages = {
    ...Object.fromEntries(
      EC2.flatMap((version) => [
        [`${version}/meta-data/`, "instance-id\nlocal-hostname"],
        [`${version}/meta-data/instance-id`, instance],
        [`${version}/meta-data/local-hostname`, "ip-192-0-2-2"],
        [`${version}/user-data`, userData],
      ]),
    ),
    // What hipd asks for.
    "/latest/meta-data/instance-id": instance,
    [`/latest/${macs}`]: `${MAC}/`,
    [`/latest/${macs}${MAC}/public-ipv4s`]: ELASTIC,
  };
  const told = metadata.out.length;
  metadata.child.stdin.write(`${JSON.stringify(pages)}\n`);
  await metadata.until(
    () => metadata.out.slice(told).find((line) => line === "changed"),
    5_000,
    () => "telling the metadata service what to say",
  );
  const said: string[] = [];
  for (const stage of ["init --local", "init", "modules --mode=config", "modules --mode=final"]) {
    const done = await guest.attempt(["cloud-init", ...stage.split(" ")]);
    said.push(done.stdout, done.stderr);
  }
  return said.join("");
}

/** Each boot takes six seconds of Python and Node. */
const LIMIT = 120_000;
const title = `cloud-init${reason === undefined ? "" : ` (${reason})`}`;

describe.skipIf(reason !== undefined)(title, { timeout: LIMIT }, () => {
  it("makes a member of a new machine, and another one of each machine made of its image", async () => {
    await withCloud(async (cloud) => {
      const { lab, guest, member, www } = cloud;
      const said = await boot(cloud, "i-0000000000000001");
      expect(said).toContain("hipd-first-boot: done");
      expect(said).toMatch(/hipd-first-boot: this machine: identity\. IN HIP \( 3 2001/);
      expect(JSON.parse(await guest.read("/run/cloud-init/result.json")).v1.errors).toEqual([]);
      expect(await guest.read("/etc/hipd/hipd.toml")).toContain('on_new_instance = "new-identity"');
      expect(await guest.read("/var/log/systemctl.log")).toContain(
        "enable --quiet hipd-guard.service hipd.service\n",
      );

      // The operator takes it in.
      const self = join(lab.folder, "vm.json");
      writeFileSync(self, await guest.read("/etc/hipd/self.json"));
      const fleet = join(www, "fleet.json");
      await sign(lab, member, [fleet, self], fleet);
      const taken = await member.ctl("inventory", "import", "--config", member.configFile, fleet);
      expect(taken.stderr).toBe("");
      expect(taken.stdout).toMatch(new RegExp(`^add +vm .*${ELASTIC.replaceAll(".", "\\.")}:10500`, "m"));
      await guest.run(["hipctl", "wait", "--peer", "db1", "--timeout", "20s"]);
      expect((await ping(guest.namespace, member.hit, "-i", "0.2")).received).toBe(3);

      // Run again it has nothing to do.
      const again = await guest.attempt(["/usr/local/sbin/hipd-first-boot"]);
      expect(again.status, again.stderr).toBe(0);
      expect(again.stdout).toContain("hipd 9.9 is installed\n");
      const hitOf = async (): Promise<string> =>
        JSON.parse(await guest.run(["hipctl", "status", "--json"])).self.hit as string;
      const first = await hitOf();

      // An image, and another machine of it.
      const refused = await guest.attempt(["hipctl", "image", "clean"]);
      expect(refused.status).toBe(EXIT.failed);
      expect(await guest.run(["hipctl", "image", "clean", "--stop"])).toMatch(
        /^\/var\/lib\/hipd\/identity\.pem +private key$/m,
      );
      expect(await guest.run(["find", "/var/lib/hipd", "-type", "f"])).toBe("");
      await guest.run(["cloud-init", "clean"]);
      expect(await boot(cloud, "i-0000000000000002")).toContain("hipd-first-boot: done");
      expect(await hitOf()).not.toBe(first);
    });
  });

  it("says what is wrong, and that the boot has failed", async () => {
    await withCloud(async (cloud) => {
      const { guest } = cloud;
      const bad = { ...cloud, userData: cloud.userData.replace(/SHA256="..../, 'SHA256="0000') };
      expect(await boot(bad, "i-0000000000000001")).toContain("has another SHA-256 than PACKAGE_SHA256");
      expect((await guest.attempt(["test", "-e", "/usr/bin/hipd"])).status).toBe(1);
      expect(JSON.parse(await guest.read("/run/cloud-init/result.json")).v1.errors).not.toEqual([]);

      // The right package, and a list of somebody else's.
      const conf = "/etc/hipd/first-boot.conf";
      const right = /PACKAGE_SHA256=".*"/.exec(cloud.userData)?.[0] ?? "";
      await guest.write(conf, (await guest.read(conf)).replace(/PACKAGE_SHA256=".*"/, right));
      const stranger = writeHipRecord(Identity.generate("ed25519").publicOnly());
      await guest.write("/etc/hipd/trusted.d/operator.pub", stranger);
      const done = await guest.attempt(["/usr/local/sbin/hipd-first-boot"]);
      expect(done.status).toBe(1);
      expect(done.stderr).toContain("which is not trusted here");
      expect(done.stderr).toContain("http://192.0.2.1/fleet.json was not imported");
      expect(await guest.run(["hipctl", "peer", "list", "--names"])).toBe("");
    });
  });
});
