/** A disk that was copied to another machine. */
import { existsSync, readdirSync, readFileSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import {
  checkInstance,
  difference,
  type Instance,
  type OnNewInstance,
  readInstance,
} from "../../src/runtime/instance.ts";
import { temporaryFolder } from "../support/runtime.ts";

const HERE: Instance = { smbios: "aaaa-1", cloud: "i-1", machine: "m1" };
const COPY: Instance = { smbios: "bbbb-2", cloud: "i-2", machine: "m1" };

function checked(policy: OnNewInstance, now: Instance, before: Instance = HERE) {
  const folder = temporaryFolder();
  const [file, key] = [join(folder, "instance.json"), join(folder, "identity.pem")];
  writeFileSync(key, "key", { mode: 0o600 });
  expect(checkInstance(file, key, policy, before, "first").ok).toBe(true);
  const result = checkInstance(file, key, policy, now, "before-now");
  const kept = JSON.parse(readFileSync(file, "utf8")) as Instance;
  return { result, kept, file, key, folder };
}

describe("what tells machines apart", () => {
  test.each([
    ["nothing changed", HERE, undefined],
    ["another SMBIOS UUID", { ...HERE, smbios: "x" }, "SMBIOS UUID aaaa-1 before, x now"],
    ["another cloud instance", { ...HERE, cloud: "i-9" }, "cloud instance i-1 before, i-9 now"],
    ["both", COPY, "SMBIOS UUID aaaa-1 before, bbbb-2 now; cloud instance i-1 before, i-2 now"],
    ["a new machine-id of the same machine", { ...HERE, machine: "m2" }, undefined],
    ["what is not readable now", { smbios: "", cloud: "", machine: "m1" }, undefined],
    [
      "only a machine-id, another one",
      { smbios: "", cloud: "", machine: "m2" },
      "machine-id m1 before, m2 now",
    ],
  ])("%s", (_, now, expected) => {
    expect(difference(HERE, now)).toBe(expected);
  });

  test("is read from files; what firmware or cloud-init put there in want of anything is nothing", () => {
    const folder = temporaryFolder();
    const at = (name: string, text: string): string => {
      writeFileSync(join(folder, name), text);
      return join(folder, name);
    };
    const places = {
      smbios: at("uuid", "4C4C4544-0001\n"),
      cloud: [join(folder, "absent"), at("cloud", "i-0abc\n")],
      machine: at("machine", "0123456789abcdef\n"),
    };
    expect(readInstance(places)).toEqual({
      smbios: "4c4c4544-0001",
      cloud: "i-0abc",
      machine: "0123456789abcdef",
    });
    at("uuid", "00000000-0000-0000-0000-000000000000\n");
    at("cloud", "NO_INSTANCE_ID\n");
    expect(readInstance(places)).toMatchObject({ smbios: "", cloud: "" });
  });
});

describe("on another machine", () => {
  test.each(["ask-peers", "adopt"] as const)(
    "%s goes on with the key, and remembers the machine",
    (policy) => {
      const { result, kept, key } = checked(policy, COPY);
      expect(result).toMatchObject({ ok: true, value: { keptAs: undefined } });
      expect(result.ok && result.value.changed).toContain("SMBIOS UUID");
      expect(kept).toMatchObject(COPY);
      expect(readFileSync(key, "utf8")).toBe("key");
    },
  );

  test("new-identity sets the key aside, unread by anybody", () => {
    const { result, key, folder, kept } = checked("new-identity", COPY);
    expect(result).toMatchObject({ ok: true, value: { keptAs: `${key}.before-now` } });
    expect(existsSync(key)).toBe(false);
    expect(readdirSync(folder).toSorted()).toEqual(["identity.pem.before-now", "instance.json"]);
    expect(statSync(`${key}.before-now`).mode & 0o777).toBe(0o600);
    expect(kept).toMatchObject(COPY);
  });

  test("refuse changes nothing and says what to do", () => {
    const { result, kept, file } = checked("refuse", COPY);
    expect(result.ok ? "" : result.error).toContain(`to use it here, delete ${file}`);
    expect(kept).toMatchObject(HERE);
  });
});

describe("on the same machine", () => {
  test("what is not known this time is not forgotten", () => {
    expect(checked("refuse", { smbios: "", cloud: "i-1", machine: "" }).kept).toMatchObject(HERE);
  });

  test("the file is private, and a damaged one is written anew", () => {
    const { file, key } = checked("refuse", HERE);
    expect(statSync(file).mode & 0o777).toBe(0o600);
    writeFileSync(file, "{", { mode: 0o600 });
    expect(checkInstance(file, key, "refuse", COPY, "x").ok).toBe(true);
  });

  test("a first start has nothing to compare with", () => {
    const folder = temporaryFolder();
    const [file, key] = [join(folder, "instance.json"), join(folder, "identity.pem")];
    expect(checkInstance(file, key, "refuse", HERE, "x")).toEqual({
      ok: true,
      value: { changed: undefined, keptAs: undefined },
    });
    // The key is not there yet: nothing of the other machine is left.
    expect(checkInstance(file, key, "refuse", COPY, "x").ok).toBe(true);
  });
});
