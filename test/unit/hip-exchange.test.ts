import { describe, expect, test } from "vitest";
import { identity, Pair } from "../support/pair.ts";

describe("base exchange", () => {
  test("I1 R1 I2 R2 leads both to a usable association with matching keys", () => {
    const pair = new Pair();
    const { a, b } = pair;
    pair.connect(a);
    pair.run(() => a.state(b) === "ESTABLISHED");
    expect(b.state(a)).toBe("R2-SENT");
    expect(pair.flights.map(({ name }) => name)).toEqual(["I1", "R1", "I2", "R2"]);
    const aOut = [...a.sas.values()].find(({ direction }) => direction === "out");
    const bIn = [...b.sas.values()].find(({ direction }) => direction === "in");
    expect(aOut?.spi).toBe(bIn?.spi);
    expect(aOut?.lsiSpi).toBe(bIn?.lsiSpi);
    expect(aOut?.encryptionKey).toEqual(bIn?.encryptionKey);
    expect(a.routes.get(b.hit)).toBe(String(aOut?.spi));
    pair.input(b, { type: "esp", spi: bIn?.spi as never, event: "first-inbound" });
    expect(b.state(a)).toBe("ESTABLISHED");
  });

  test.each(["ecdsa-p256", "ecdsa-p384", "rsa-2048", "ed25519"] as const)("with a %s Initiator", (kind) => {
    const pair = new Pair({ a: [identity(kind, 7)] });
    pair.connect(pair.a);
    pair.run(() => pair.a.state(pair.b) === "ESTABLISHED");
  });

  test.each(["ecdsa-p384", "rsa-2048", "ed25519"] as const)("with a %s Responder", (kind) => {
    const pair = new Pair({ b: [identity(kind, 8)] });
    pair.connect(pair.a);
    pair.run(() => pair.a.state(pair.b) === "ESTABLISHED");
  });
});
