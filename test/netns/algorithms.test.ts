/** Every kind of key, ESP suite, Diffie-Hellman group and HIP cipher that we offer makes an association that carries data. */
import { expect, it } from "vitest";
import type { KeyKind } from "../../src/crypto/identity.ts";
import type { DaemonOptions } from "../../tools/lab/daemon.ts";
import { type Pair, ping, suite, withPair } from "./support.ts";

async function talks({ a, b }: Pair): Promise<void> {
  const done = await ping(a.daemon.namespace, b.daemon.hit);
  expect(done.received, done.output).toBe(3);
  const byLsi = await ping(b.daemon.namespace, await b.daemon.lsi("a"));
  expect(byLsi.received, byLsi.output).toBe(3);
}

function protocol(settings: Readonly<Record<string, unknown>>): DaemonOptions {
  return { config: { protocol: settings } };
}

const KINDS: readonly (readonly [KeyKind, KeyKind])[] = [
  ["rsa-2048", "ecdsa-p256"],
  ["ed25519", "ecdsa-p384"],
  ["ecdsa-p384", "rsa-3072"],
  ["ed25519", "ed25519"],
];

suite("identities", () => {
  it.each(KINDS)("%s talks with %s", async (kindA, kindB) => {
    await withPair({ daemonA: { kind: kindA }, daemonB: { kind: kindB } }, async (pair) => {
      await talks(pair);
    });
  });
});

suite("ESP suites", () => {
  it.each([
    "AES-GCM-16",
    "AES-GCM-8",
    "AES-256-CBC/HMAC-SHA-256",
    "AES-128-CBC/HMAC-SHA-256",
    "NULL/HMAC-SHA-256",
  ])("%s carries data in both families", async (name) => {
    const options = protocol({ esp_suites: [name] });
    await withPair({ daemonA: options, daemonB: options }, async (pair) => {
      await talks(pair);
      expect((await pair.a.daemon.peer("b")).suite).toBe(name);
    });
  });

  it("without a common suite there is no association, and both sides say why", async () => {
    const [daemonA, daemonB] = [protocol({ esp_suites: [13] }), protocol({ esp_suites: [8] })];
    await withPair({ daemonA, daemonB }, async ({ a, b }) => {
      const done = await a.daemon.ctl("connect", "b");
      expect(done.status).not.toBe(0);
      expect(done.stderr.trim().split("\n")).toHaveLength(1);
      expect((await ping(a.daemon.namespace, b.daemon.hit)).received).toBe(0);
    });
  });
});

interface Details {
  readonly dhGroup: string | null;
  readonly hipCipher: string | null;
}

suite("Diffie-Hellman groups and HIP ciphers", () => {
  it.each(["P-256", "P-384", "P-521", "MODP-3072", "MODP-1536"])("group %s", async (group) => {
    await withPair({ daemonB: protocol({ dh_groups: [group] }) }, async (pair) => {
      await talks(pair);
      const details = await pair.a.daemon.json<Details>("association", "show", "b");
      expect(JSON.stringify(details)).toContain(group);
    });
  });

  it.each(["AES-128-CBC", "AES-256-CBC"])("cipher %s", async (cipher) => {
    await withPair({ daemonB: protocol({ hip_ciphers: [cipher], encrypt_host_id: true }) }, async (pair) => {
      await talks(pair);
      const details = await pair.a.daemon.json<Details>("association", "show", "b");
      expect(JSON.stringify(details)).toContain(cipher);
    });
  });

  it.each([true, false])("encrypt_host_id = %s with a domain identifier", async (encrypt) => {
    const options = protocol({ encrypt_host_id: encrypt, domain: "a.example" });
    await withPair({ daemonA: options }, async (pair) => {
      await talks(pair);
      const details = await pair.b.daemon.json<unknown>("association", "show", "a");
      expect(JSON.stringify(details)).toContain("a.example");
    });
  });
});
