/** GET /metrics for Prometheus and GET /healthz, over plain HTTP on the configured address; nothing else is answered. */
import type { IncomingMessage, Server, ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { err, ok, type Result } from "../core/types.ts";
import type { ListenAddress } from "./config-values.ts";
import { whyNot } from "./files.ts";
import { http } from "./node-http.ts";

/** Scrapers that may be connected at once. */
const MAX_CONNECTIONS = 32;
const REQUEST_MILLIS = 5_000;

export interface MetricsPage {
  /** The whole page in the text format of Prometheus. */
  render(): Promise<string>;
  readonly contentType: string;
}

export interface MetricsSource {
  /** Made on first use: the exporter is not needed to become ready. */
  page(): Promise<MetricsPage>;
  /** Whether the daemon does its work. */
  healthy(): boolean;
}

export class MetricsServer {
  readonly #server: Server;

  private constructor(server: Server) {
    this.#server = server;
  }

  static async listen(address: ListenAddress, source: MetricsSource): Promise<Result<MetricsServer, string>> {
    const server = http().createServer(
      { requestTimeout: REQUEST_MILLIS, keepAliveTimeout: REQUEST_MILLIS },
      (request, response) => {
        void answer(request, response, source);
      },
    );
    server.maxConnections = MAX_CONNECTIONS;
    try {
      await new Promise<void>((resolve, reject) => {
        server.once("error", reject);
        server.listen(address.port, address.host, resolve);
      });
    } catch (error) {
      const where = address.host.includes(":")
        ? `[${address.host}]:${address.port}`
        : `${address.host}:${address.port}`;
      return err(`[metrics] listen = "${where}": ${whyNot(error)}`);
    }
    return ok(new MetricsServer(server));
  }

  get port(): number {
    return (this.#server.address() as AddressInfo).port;
  }

  close(): void {
    this.#server.close();
    this.#server.closeAllConnections();
  }
}

async function answer(
  request: IncomingMessage,
  response: ServerResponse,
  source: MetricsSource,
): Promise<void> {
  const send = (code: number, type: string, body: string): void => {
    response.writeHead(code, { "content-type": type, "cache-control": "no-store" });
    response.end(request.method === "HEAD" ? undefined : body);
  };
  const text = "text/plain; charset=utf-8";
  const path = (request.url ?? "").split("?")[0];
  if (path !== "/metrics" && path !== "/healthz")
    return send(404, text, "not found: try /metrics or /healthz\n");
  if (request.method !== "GET" && request.method !== "HEAD") {
    response.setHeader("allow", "GET, HEAD");
    return send(405, text, "only GET is allowed\n");
  }
  if (path === "/healthz") {
    const healthy = source.healthy();
    return send(healthy ? 200 : 503, text, healthy ? "ok\n" : "stopping\n");
  }
  try {
    const page = await source.page();
    send(200, page.contentType, await page.render());
  } catch {
    send(500, text, "the metrics could not be collected\n");
  }
}
