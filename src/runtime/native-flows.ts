/** The records of takeFlows() in native/addon_flow.h. */
import { hitFromBytes } from "../core/ip.ts";
import type { Hit } from "../core/types.ts";

/** One direction of one conversation, or a part of a long one. */
export interface FlowRecord {
  readonly peer: Hit;
  /** 58 for ICMP of either family. */
  readonly protocol: number;
  /** What the application sees. */
  readonly family: "hit" | "lsi";
  readonly direction: "in" | "out";
  readonly end: "closed" | "idle" | "ongoing" | "stopped";
  /** ICMP echo: both are the identifier. 0 where there are none. */
  readonly localPort: number;
  readonly peerPort: number;
  readonly packets: number;
  /** With the inner headers. */
  readonly bytes: number;
  /** Milliseconds since 1970. */
  readonly first: number;
  readonly last: number;
}

const RECORD_LENGTH = 56;
const ENDS = ["closed", "idle", "ongoing", "stopped"] as const;

export function decodeFlows(records: Uint8Array): readonly FlowRecord[] {
  const view = new DataView(records.buffer, records.byteOffset, records.byteLength);
  const flows: FlowRecord[] = [];
  for (let at = 0; at + RECORD_LENGTH <= records.length; at += RECORD_LENGTH) {
    flows.push({
      peer: hitFromBytes(records.subarray(at, at + 16)),
      protocol: view.getUint8(at + 16),
      family: view.getUint8(at + 17) === 4 ? "lsi" : "hit",
      direction: view.getUint8(at + 18) === 1 ? "in" : "out",
      end: ENDS[view.getUint8(at + 19)] ?? "stopped",
      localPort: view.getUint16(at + 20, true),
      peerPort: view.getUint16(at + 22, true),
      packets: view.getFloat64(at + 24, true),
      bytes: view.getFloat64(at + 32, true),
      first: view.getFloat64(at + 40, true),
      last: view.getFloat64(at + 48, true),
    });
  }
  return flows;
}
