/** A real Prometheus: Debian's, from PATH or where `tools/bootstrap observe` puts it. */
import { spawnSync } from "node:child_process";
import { existsSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import type { Namespace } from "./lab.ts";
import type { Background } from "./shell.ts";

const ROOT = join(import.meta.dirname, "../..");

/** Where the program is; undefined: nowhere. */
export function prometheusProgram(name: "prometheus" | "promtool"): string | undefined {
  const cached = join(ROOT, ".cache/prometheus/usr/bin", name);
  if (existsSync(cached)) return cached;
  return spawnSync(name, ["--version"]).error === undefined ? name : undefined;
}

export const MISSING = "prometheus is not there; run: tools/bootstrap observe";

/** One series of an answer. */
export interface Series {
  readonly metric: Readonly<Record<string, string>>;
  readonly value: readonly [number, string];
}

export interface Alert {
  readonly labels: Readonly<Record<string, string>>;
  readonly annotations: Readonly<Record<string, string>>;
  readonly state: "pending" | "firing";
}

interface Answer<T> {
  readonly status: "success" | "error";
  readonly error?: string;
  readonly data: T;
}

export class Prometheus {
  readonly #namespace: Namespace;
  readonly #process: Background;

  private constructor(namespace: Namespace, process: Background) {
    this.#namespace = namespace;
    this.#process = process;
  }

  /** With the rules of deploy/prometheus, at most `holdSeconds` of each alert's `for`, looking every second. */
  static async start(
    namespace: Namespace,
    folder: string,
    targets: Readonly<Record<string, string>>,
    holdSeconds: number,
  ): Promise<Prometheus> {
    const program = prometheusProgram("prometheus");
    if (program === undefined) throw new Error(MISSING);
    mkdirSync(folder, { recursive: true });
    const rules = readFileSync(join(ROOT, "deploy/prometheus/hipd.rules.yml"), "utf8");
    writeFileSync(join(folder, "rules.yml"), rules.replaceAll(/^( +for: ).*$/gm, `$1${holdSeconds}s`));
    const scraped = Object.entries(targets).map(
      ([instance, target]) => `      - targets: ["${target}"]\n        labels: { instance: ${instance} }\n`,
    );
    writeFileSync(
      join(folder, "prometheus.yml"),
      `global: { scrape_interval: 1s, scrape_timeout: 1s, evaluation_interval: 1s }\nrule_files: [rules.yml]\nscrape_configs:\n  - job_name: hipd\n    static_configs:\n${scraped.join("")}`,
    );
    const process = namespace.spawn([
      program,
      `--config.file=${join(folder, "prometheus.yml")}`,
      `--storage.tsdb.path=${join(folder, "data")}`,
      "--web.listen-address=127.0.0.1:9090",
      "--log.level=info",
    ]);
    await process.line((line) => line.includes("Server is ready to receive web requests"), 20_000);
    return new Prometheus(namespace, process);
  }

  async query(expression: string): Promise<readonly Series[]> {
    const { result } = await this.#ask<{ result: readonly Series[] }>("query", { query: expression });
    return result;
  }

  async alerts(): Promise<readonly Alert[]> {
    return (await this.#ask<{ alerts: readonly Alert[] }>("alerts", {})).alerts;
  }

  /** Rules whose last evaluation failed, with the reason. */
  async brokenRules(): Promise<readonly string[]> {
    interface Rule {
      readonly name: string;
      readonly health: string;
      readonly lastError?: string;
    }
    const { groups } = await this.#ask<{ groups: readonly { rules: readonly Rule[] }[] }>("rules", {});
    return groups
      .flatMap(({ rules }) => rules)
      .filter(({ health }) => health !== "ok")
      .map(({ name, health, lastError }) => `${name}: ${lastError ?? health}`);
  }

  async stop(): Promise<void> {
    await this.#process.stop("SIGTERM");
  }

  async #ask<T>(what: string, parameters: Readonly<Record<string, string>>): Promise<T> {
    const agent = await this.#namespace.agent();
    const query = new URLSearchParams(parameters).toString();
    const body = await agent.httpGet(`http://127.0.0.1:9090/api/v1/${what}?${query}`);
    const answer = JSON.parse(body) as Answer<T>;
    if (answer.status !== "success") throw new Error(`${parameters["query"] ?? what}: ${answer.error}`);
    return answer.data;
  }
}
