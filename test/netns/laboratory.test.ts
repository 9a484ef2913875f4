/** The laboratory itself: nothing that it started outlives it, nor holds it up. */
import { existsSync } from "node:fs";
import { expect, it } from "vitest";
import { Lab } from "../../tools/lab/lab.ts";
import { suite } from "./support.ts";

suite("the laboratory", () => {
  it("ends a program's children too, though they keep its output open", async () => {
    const lab = Lab.create();
    const host = await lab.namespace("host");
    const program = host.spawn(["sh", "-c", "setsid sh -c 'echo $$; exec sleep 1000' & wait"]);
    const child = await program.line((line) => /^\d+$/.test(line));
    expect(existsSync(`/proc/${child}/exe`)).toBe(true);
    await lab.close();
    expect(program.running).toBe(false);
    // A dead process may wait for process 1 to take note of it; it has no program then.
    expect(existsSync(`/proc/${child}/exe`)).toBe(false);
    expect(existsSync(`/run/netns/${host.name}`)).toBe(false);
  }, 20_000);
});
