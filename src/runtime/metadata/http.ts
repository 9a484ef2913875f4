/** Questions to a metadata service: short, bounded, plain HTTP to one address. Whoever answers there is not believed much. */
import type { IncomingHttpHeaders } from "node:http";
import { err, ok, type Result } from "../../core/types.ts";
import { whyNot } from "../files.ts";
import { http } from "../node-http.ts";

/** The address that every cloud answers at. */
export const METADATA_URL = "http://169.254.169.254";
/** An answer comes from the machine's own host: whatever takes longer will not come, in milliseconds. */
export const METADATA_TIMEOUT = 1_000;
export const MAX_BODY_BYTES = 64 * 1024;

export interface Answer {
  readonly status: number;
  readonly headers: IncomingHttpHeaders;
  readonly body: string;
}

export interface MetadataHttp {
  /** The body of an answer with status 200. Redirects are not followed. */
  get(path: string, headers?: Readonly<Record<string, string>>): Promise<Result<Answer, string>>;
  /** As `get`; undefined for status 404. */
  find(path: string, headers?: Readonly<Record<string, string>>): Promise<Result<Answer | undefined, string>>;
  put(path: string, headers?: Readonly<Record<string, string>>): Promise<Result<Answer, string>>;
}

/** Asks at `base`; other places only in tests. `asked` is called for each question. */
export function metadataHttp(
  base: string = METADATA_URL,
  timeout: number = METADATA_TIMEOUT,
  asked: () => void = () => {},
): MetadataHttp {
  const ask = async (
    method: "GET" | "PUT",
    path: string,
    headers: Readonly<Record<string, string>> = {},
  ): Promise<Result<Answer, string>> => {
    asked();
    const answer = await once(method, new URL(path, base), headers, timeout);
    return answer.ok ? answer : err(`${method} ${path}: ${answer.error}`);
  };
  const good = (what: string, answer: Result<Answer, string>): Result<Answer, string> => {
    if (!answer.ok || answer.value.status === 200) return answer;
    return err(`${what}: status ${answer.value.status}`);
  };
  return {
    get: async (path, headers) => good(`GET ${path}`, await ask("GET", path, headers)),
    put: async (path, headers) => good(`PUT ${path}`, await ask("PUT", path, headers)),
    find: async (path, headers) => {
      const answer = await ask("GET", path, headers);
      return answer.ok && answer.value.status === 404 ? ok(undefined) : good(`GET ${path}`, answer);
    },
  };
}

function once(
  method: string,
  url: URL,
  headers: Readonly<Record<string, string>>,
  timeout: number,
): Promise<Result<Answer, string>> {
  return new Promise((resolve) => {
    const signal = AbortSignal.timeout(timeout);
    const failed = (error: Error): void => {
      resolve(err(signal.aborted ? `no answer within ${timeout} ms` : whyNot(error)));
    };
    const asking = http().request(url, { method, headers, signal, agent: false }, (response) => {
      const parts: Buffer[] = [];
      let length = 0;
      response.on("data", (part: Buffer) => {
        length += part.length;
        if (length > MAX_BODY_BYTES) {
          response.destroy();
          resolve(err(`the answer is longer than ${MAX_BODY_BYTES} bytes`));
        } else parts.push(part);
      });
      response.on("error", failed);
      response.on("end", () => {
        const body = Buffer.concat(parts).toString("utf8");
        resolve(ok({ status: response.statusCode ?? 0, headers: response.headers, body }));
      });
    });
    asking.on("error", failed);
    asking.end();
  });
}
