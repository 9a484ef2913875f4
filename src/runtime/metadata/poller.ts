/** Asks the cloud's metadata service again and again, never more often than it needs to be, and never holds anybody up. */
import type { Result } from "../../core/types.ts";
import type { CloudFacts } from "../../overlay/whereabouts.ts";
import type { MetadataSource } from "../config-values.ts";
import type { MetadataView } from "../control-convert.ts";
import type { Log } from "../log.ts";
import { CONFIG_DRIVE, type ConfigDrive } from "./config-drive.ts";
import { type Cloud, DMI_DIRECTORY, detectCloud } from "./dmi.ts";
import { METADATA_TIMEOUT, METADATA_URL, metadataHttp } from "./http.ts";
import { PROVIDERS } from "./providers.ts";

/** Where everything is; tests put other places here. */
export interface MetadataPlaces {
  readonly url: string;
  readonly dmi: string;
  readonly configDrive: ConfigDrive;
  readonly timeout: number;
  /** After a failure the next try comes this much later, doubled each time up to the last, in milliseconds. */
  readonly backOff: readonly [first: number, last: number];
}

export const METADATA_PLACES: MetadataPlaces = {
  url: METADATA_URL,
  dmi: DMI_DIRECTORY,
  configDrive: CONFIG_DRIVE,
  timeout: METADATA_TIMEOUT,
  backOff: [2_000, 300_000],
};

export interface MetadataSettings {
  readonly source: MetadataSource;
  readonly intervalMillis: number;
}

export interface MetadataCounters {
  readonly metadata_requests_total: number;
  readonly metadata_failures_total: number;
  readonly metadata_changes_total: number;
}

export class MetadataPoller {
  readonly #places: MetadataPlaces;
  readonly #log: Log;
  readonly #onFacts: (facts: CloudFacts) => void;
  readonly #counters = { requests: 0, failures: 0, changes: 0 };
  #settings: MetadataSettings = { source: "off", intervalMillis: 0 };
  #cloud: Cloud | undefined;
  #timer: NodeJS.Timeout | undefined;
  /** Answers to questions of earlier settings are ignored. */
  #epoch = 0;
  #failing = 0;
  #last = "";

  /** `onFacts` is called with what is new. Nothing is asked before `configure`. */
  constructor(places: MetadataPlaces, log: Log, onFacts: (facts: CloudFacts) => void) {
    this.#places = places;
    this.#log = log;
    this.#onFacts = onFacts;
  }

  /** The cloud that is asked; undefined: none. */
  get cloud(): Cloud | undefined {
    return this.#cloud;
  }

  configure(settings: MetadataSettings): void {
    const { source, intervalMillis } = this.#settings;
    if (settings.source === source && settings.intervalMillis === intervalMillis) return;
    const before = this.#cloud;
    this.stop();
    this.#settings = settings;
    if (settings.source === "auto") this.#cloud = detectCloud(this.#places.dmi);
    else this.#cloud = settings.source === "off" ? undefined : settings.source;
    if (this.#cloud !== before) {
      this.#failing = 0;
      // What another cloud, or one that is not asked any more, said is not true any more.
      if (this.#last !== "") this.#tell({ provider: this.#cloud ?? "", instance: "", addresses: [] });
      this.#log.debug("metadata-source", "the cloud's metadata service", { cloud: this.#cloud ?? "none" });
    }
    if (this.#cloud !== undefined) void this.#ask(this.#cloud, this.#epoch);
  }

  stop(): void {
    this.#epoch++;
    clearTimeout(this.#timer);
    this.#timer = undefined;
  }

  view(): MetadataView {
    return { cloud: this.#cloud ?? null, ...this.#counters };
  }

  counters(): MetadataCounters {
    const { requests, failures, changes } = this.#counters;
    return {
      metadata_requests_total: requests,
      metadata_failures_total: failures,
      metadata_changes_total: changes,
    };
  }

  async #ask(cloud: Cloud, epoch: number): Promise<void> {
    const { url, timeout, configDrive } = this.#places;
    const http = metadataHttp(url, timeout, () => {
      this.#counters.requests++;
    });
    const found = await PROVIDERS[cloud]({ http, configDrive });
    if (epoch !== this.#epoch) return;
    const wait = this.#settle(cloud, found);
    this.#timer = setTimeout(() => void this.#ask(cloud, epoch), wait);
    this.#timer.unref();
  }

  /** How long to wait for the next question. What was known stays known while the service does not answer. */
  #settle(cloud: Cloud, found: Result<CloudFacts, string>): number {
    const { intervalMillis } = this.#settings;
    if (!found.ok) {
      this.#counters.failures++;
      const level = this.#failing === 0 ? "warn" : "debug";
      this.#log[level]("metadata-unreachable", "the cloud's metadata service does not answer", {
        cloud,
        reason: found.error,
      });
      const [first, last] = this.#places.backOff;
      return Math.min(last, first * 2 ** Math.min(20, this.#failing++));
    }
    this.#failing = 0;
    const text = JSON.stringify(found.value);
    if (text !== this.#last) {
      this.#tell(found.value);
      this.#last = text;
    }
    return intervalMillis;
  }

  #tell(facts: CloudFacts): void {
    this.#counters.changes++;
    this.#last = "";
    this.#onFacts(facts);
  }
}
