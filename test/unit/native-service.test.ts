/** The addon's part for the service manager, from JavaScript. What it does below is tested by native/test/service_test.cc. */
import { fstatSync, readFileSync, readlinkSync } from "node:fs";
import { afterEach, expect, test } from "vitest";
import { serviceAddon } from "../../src/runtime/native-service.ts";

const native = serviceAddon();
const open: number[] = [];

function kept(fd: number): number {
  open.push(fd);
  return fd;
}

afterEach(() => {
  for (const fd of open.splice(0)) native.closeFd(fd);
});

test("sealed memory holds the bytes, and its descriptor is not handed to programs", () => {
  const bytes = Uint8Array.from({ length: 70_000 }, (_, i) => i % 251);
  const fd = kept(native.makeSealed("hipd-test", bytes));
  expect(fd).toBeGreaterThan(2);
  expect(readlinkSync(`/proc/self/fd/${fd}`)).toContain("memfd:hipd-test");
  expect(readFileSync(`/proc/self/fdinfo/${fd}`, "utf8")).toMatch(/^flags:\t0?2\d*2$/m);
  expect(native.readSealed(fd)).toEqual(bytes);
  expect(native.readSealed(kept(native.makeSealed("empty", new Uint8Array(0))))).toEqual(new Uint8Array(0));
});

test("a ticket is taken once", () => {
  const ticket = kept(native.makeTicket());
  expect([native.takeTicket(ticket), native.takeTicket(ticket)]).toEqual([true, false]);
});

test("what cannot be done is told in words", () => {
  const ticket = kept(native.makeTicket());
  expect(() => native.readSealed(ticket)).toThrow("not sealed");
  expect(() => native.takeTicket(0)).toThrow(/not a memfd|not open|not sealed/);
  expect(() => native.closeFd(1)).toThrow("stays open");
  expect(() => native.closeOnExec(999_999)).toThrow("Bad file descriptor");
  expect(() => native.notify("@hipd-nobody-listens", "READY=1", [])).toThrow(
    "cannot tell the service manager",
  );
  expect(() => native.dropPrivileges(["CAP_SYS_ADMIN"])).toThrow("not a capability that hipd may keep");
});

test("a closed descriptor is closed", () => {
  const fd = native.makeTicket();
  native.closeFd(fd);
  expect(() => fstatSync(fd)).toThrow("EBADF");
});
