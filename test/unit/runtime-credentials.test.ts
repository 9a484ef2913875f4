/** Keys and facts that the service manager hands over (LoadCredential=). */
import { chmodSync, chownSync, mkdirSync, mkdtempSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { Identity } from "../../src/crypto/identity.ts";
import { loadConfig } from "../../src/runtime/config-file.ts";
import { optionalCredential } from "../../src/runtime/credentials.ts";
import { ensurePrivateDirectory, writeAtomically, writeAtomicallyLater } from "../../src/runtime/files.ts";
import { ensureMainIdentity, readIdentity } from "../../src/runtime/identity-store.ts";
import { readInstance } from "../../src/runtime/instance.ts";

let folder: string;
let credentials: string;

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "hipd-credentials-"));
  credentials = join(folder, "credentials");
  mkdirSync(credentials, { mode: 0o700 });
  vi.stubEnv("CREDENTIALS_DIRECTORY", credentials);
});

afterEach(() => {
  vi.unstubAllEnvs();
  rmSync(folder, { recursive: true });
});

function load(text: string, instance?: string) {
  const file = join(folder, "hipd.toml");
  writeFileSync(file, text);
  const loaded = loadConfig(file, instance);
  return loaded.ok ? loaded.value.identity : loaded.error.map(({ message }) => message);
}

const CONFIG = '[identity]\nkey = "credential:hipd-identity"\nextra = ["credential:second", "plain.pem"]\n';

test("a setting names a file of the manager's folder", () => {
  expect(load(CONFIG)).toMatchObject({
    key: join(credentials, "hipd-identity"),
    extra: [join(credentials, "second"), join(folder, "plain.pem")],
  });
  for (const name of ["", "../identity.pem", "a/b", ".hidden"]) {
    expect(load(`[identity]\nkey = "credential:${name}"\n`)).toEqual([
      expect.stringContaining("does not name a credential"),
    ]);
  }
});

test("without a manager it is where a running unit has it, so that a configuration can be checked", () => {
  vi.stubEnv("CREDENTIALS_DIRECTORY", undefined);
  expect(load(CONFIG)).toMatchObject({ key: "/run/credentials/hipd.service/hipd-identity" });
  expect(load(CONFIG, "blue")).toMatchObject({ key: "/run/credentials/hipd@blue.service/hipd-identity" });
});

test("a key is read with the rights that systemd gives it, and with no wider ones", () => {
  const file = join(credentials, "hipd-identity");
  const identity = Identity.generate("ecdsa-p256");
  writeFileSync(file, identity.toPkcs8Pem());
  const at = (mode: number, path = file) => {
    chmodSync(path, mode);
    const read = readIdentity(path);
    return read.ok ? read.value.hit : read.error;
  };
  expect([at(0o400), at(0o440)]).toEqual([identity.hit, identity.hit]);
  for (const mode of [0o444, 0o460, 0o420]) expect(at(mode)).toContain("other users have access");
  // The same rights anywhere else are refused.
  const elsewhere = join(folder, "identity.pem");
  writeFileSync(elsewhere, identity.toPkcs8Pem());
  expect(at(0o440, elsewhere)).toContain("other users have access");
  expect(ensureMainIdentity(file)).toEqual({ ok: true, value: undefined });
});

test("a missing credential is told, and no key is made in its place", () => {
  const made = ensureMainIdentity(join(credentials, "hipd-identity"));
  expect(made).toEqual({ ok: false, error: expect.stringContaining("LoadCredential=hipd-identity:FILE") });
  expect(ensureMainIdentity("/run/credentials/hipd.service/x")).toMatchObject({ ok: false });
});

test("the machine's UUID may come as a credential; a placeholder says nothing", () => {
  expect(optionalCredential("hipd-product-uuid")).toBeUndefined();
  const file = join(credentials, "hipd-product-uuid");
  const smbios = (text: string) => {
    writeFileSync(file, text);
    const path = optionalCredential("hipd-product-uuid") ?? "";
    return readInstance({ smbios: path, cloud: [], machine: "/none" }).smbios;
  };
  expect(smbios("4C4C4544-0042\n")).toBe("4c4c4544-0042");
  expect(smbios("0")).toBe("");
});

test.skipIf(process.getuid?.() !== 0)(
  "root reads a service's own key, but none that somebody planted",
  () => {
    const service = 64_990;
    const home = join(folder, "home");
    mkdirSync(home, { mode: 0o700 });
    const file = join(home, "identity.pem");
    writeFileSync(file, Identity.generate("ecdsa-p256").toPkcs8Pem(), { mode: 0o600 });
    chownSync(file, service, service);
    expect(readIdentity(file)).toMatchObject({
      error: expect.stringContaining(`belongs to user ${service}`),
    });
    chownSync(home, service, service);
    expect(readIdentity(file)).toMatchObject({ ok: true });
    chmodSync(home, 0o777);
    expect(readIdentity(file)).toMatchObject({
      error: expect.stringContaining(`belongs to user ${service}`),
    });
  },
);

test.skipIf(process.getuid?.() !== 0)(
  "what root writes into a service's folder belongs to the service",
  async () => {
    const service = 64_990;
    const home = join(folder, "home");
    mkdirSync(home, { mode: 0o700 });
    chownSync(home, service, service);
    writeAtomically(join(home, "one"), "x", 0o600);
    await writeAtomicallyLater(join(home, "two"), "x", 0o600);
    ensurePrivateDirectory(join(home, "a/b"));
    writeAtomically(join(folder, "mine"), "x", 0o600);
    const owner = (path: string) => statSync(join(folder, path)).uid;
    expect(["home/one", "home/two", "home/a", "home/a/b", "mine"].map(owner)).toEqual([
      service,
      service,
      service,
      service,
      0,
    ]);
  },
);
