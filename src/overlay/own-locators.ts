/** The host's own locators: which addresses peers are told about, and in which order. */

/** An underlay address of this host as the kernel describes it. */
export interface LocalAddress {
  readonly address: string;
  /** Name of the interface. */
  readonly interface: string;
  /** `deprecated`: the kernel would not choose it for a new connection (RFC 4862 5.5.4). */
  readonly deprecated: boolean;
  /** RFC 8981. */
  readonly temporary: boolean;
  /** Seconds that it stays preferred; undefined: without an end. */
  readonly preferredSeconds: number | undefined;
  /** Metric of the interface's best default route of this family; undefined: it has none. */
  readonly metric: number | undefined;
  /** The source that the kernel takes towards the default route of this family. */
  readonly defaultSource: boolean;
}
