/** What a hipd leaves with the service manager for its successor. */

/** Names in the descriptor store. Those of queues and sockets are numbered. */
export const STORED = {
  plane: "hipd-plane",
  control: "hipd-control",
  ticket: "hipd-ticket",
  tun: "hipd-tun-",
  udp: "hipd-udp-",
} as const;
