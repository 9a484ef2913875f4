/** Which associations carry traffic. */
import { expect, it } from "vitest";
import type { Hit, Instant } from "../../src/core/types.ts";
import { ACTIVITY_INTERVAL, Activity } from "../../src/overlay/activity.ts";
import type { Traffic } from "../../src/overlay/control.ts";

const PEER = "20010020000000000000000000000001" as Hit;
const traffic = (txPackets: number, rxPackets: number): Traffic =>
  ({ peer: PEER, txPackets, rxPackets }) as Traffic;
const always = (): boolean => true;

it("tells what was sent from what only came, and looks again while there is an association, used or not", () => {
  const activity = new Activity();
  const at = (n: number): Instant => (n * ACTIVITY_INTERVAL) as Instant;
  activity.start(at(0));
  const looks = [
    [0, 0],
    [0, 0],
    [1, 0],
    [1, 0],
    [1, 4],
    [1, 4],
    [2, 5],
  ] as const;
  const seen = looks.map(([tx, rx], i) => {
    expect(activity.due(at(i + 1))).toBe(true);
    const { sent, active } = activity.look([traffic(tx, rx)], always, at(i + 1));
    return [sent.length, active.length];
  });
  expect(seen).toEqual([
    [0, 0],
    [0, 0],
    [1, 1],
    [0, 0],
    [0, 1],
    [0, 0],
    [1, 1],
  ]);
  activity.look([traffic(3, 5)], () => false, at(8));
  expect(activity.due(at(8))).toBe(true);
  activity.look([], always, at(8));
  expect(activity.deadline()).toBeUndefined();
});
