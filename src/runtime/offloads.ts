/** What the kernel may do with many packets at once: on the interface for TCP and UDP, on sockets for sending and receiving. */
export const OFFLOADS = ["tso", "uso", "gso", "gro"] as const;
export type Offload = (typeof OFFLOADS)[number];
