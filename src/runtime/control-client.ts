/** Speaks to a running hipd over its control socket. */
import { accessSync, constants, statSync } from "node:fs";
import {
  Client,
  type ClientReadableStream,
  credentials,
  Metadata,
  type ServiceError,
  status,
} from "@grpc/grpc-js";
import { err, ok, type Result } from "../core/types.ts";
import { controlMethods } from "./control-schema.ts";
import { whyNot } from "./files.ts";

export type ClientErrorCode =
  | "unreachable"
  | "not_found"
  | "invalid"
  | "exists"
  | "failed"
  | "timeout"
  | "denied"
  | "config"
  | "cancelled";

export interface ClientError {
  readonly code: ClientErrorCode;
  readonly message: string;
}

const CODES: Partial<Record<status, ClientErrorCode>> = {
  [status.NOT_FOUND]: "not_found",
  [status.INVALID_ARGUMENT]: "invalid",
  [status.ALREADY_EXISTS]: "exists",
  [status.DEADLINE_EXCEEDED]: "timeout",
  [status.PERMISSION_DENIED]: "denied",
  [status.FAILED_PRECONDITION]: "config",
  [status.CANCELLED]: "cancelled",
};

/** How long hipd may take to accept the connection and, for calls that do not wait for the network, to answer. */
const ANSWER_MILLIS = 10_000;

export class ControlClient {
  readonly #client: Client;
  readonly #socket: string;

  private constructor(client: Client, socket: string) {
    this.#client = client;
    this.#socket = socket;
  }

  /** Looks at the socket first, so that the error can say what is wrong with it. */
  static open(socket: string): Result<ControlClient, ClientError> {
    const reachable = checkSocket(socket);
    if (!reachable.ok) return reachable;
    const client = new Client(`unix:${socket}`, credentials.createInsecure(), {
      "grpc.max_receive_message_length": -1,
      "grpc.enable_http_proxy": 0,
      // A Unix socket's path is no host name; hipd ignores what is here.
      "grpc.default_authority": "localhost",
    });
    return ok(new ControlClient(client, socket));
  }

  close(): void {
    this.#client.close();
  }

  /** One answer. `millis` is how long it may take; 0: for ever. */
  call<T>(method: string, request: unknown, millis = ANSWER_MILLIS): Promise<Result<T, ClientError>> {
    const schema = methodNamed(method);
    const deadline = millis === 0 ? Number.POSITIVE_INFINITY : Date.now() + millis;
    return new Promise((resolve) => {
      this.#client.makeUnaryRequest(
        schema.path,
        schema.requestSerialize,
        schema.responseDeserialize,
        request,
        new Metadata(),
        { deadline },
        (error, value) => resolve(error === null ? ok(value as T) : err(clientError(error, this.#socket))),
      );
    });
  }

  /** Many answers, given to `each` in order; ends when hipd ends it, or with an error, or after `cancel`. */
  stream<T>(
    method: string,
    request: unknown,
    each: (value: T) => void,
  ): {
    readonly done: Promise<Result<undefined, ClientError>>;
    readonly started: Promise<void>;
    cancel(): void;
  } {
    const schema = methodNamed(method);
    const stream: ClientReadableStream<unknown> = this.#client.makeServerStreamRequest(
      schema.path,
      schema.requestSerialize,
      schema.responseDeserialize,
      request,
    );
    stream.on("data", (value) => each(value as T));
    let cancelled = false;
    const done = new Promise<Result<undefined, ClientError>>((resolve) => {
      stream.on("end", () => resolve(ok(undefined)));
      stream.on("error", (error: ServiceError) => {
        const stopped = error.code === status.CANCELLED && !cancelled;
        resolve(
          err(stopped ? unreachable(this.#socket, "it has stopped") : clientError(error, this.#socket)),
        );
      });
    });
    const started = new Promise<void>((resolve) => {
      stream.once("metadata", () => resolve());
      void done.then(() => resolve());
    });
    const cancel = (): void => {
      cancelled = true;
      stream.cancel();
    };
    return { done, started, cancel };
  }
}

function methodNamed(name: string) {
  const method = controlMethods().get(name);
  if (method === undefined) throw new Error(`the control API has no method ${name}`);
  return method;
}

function checkSocket(socket: string): Result<undefined, ClientError> {
  try {
    if (!statSync(socket).isSocket()) return err(unreachable(socket, "it is not a socket"));
    accessSync(socket, constants.R_OK | constants.W_OK);
    return ok(undefined);
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code === "EACCES" || code === "EPERM") {
      const message = `${socket}: permission denied (be root, or a member of the socket's group)`;
      return err({ code: "denied", message });
    }
    return err(unreachable(socket, code === "ENOENT" ? "no such file" : whyNot(error)));
  }
}

function unreachable(socket: string, why: string): ClientError {
  const message = `hipd does not answer on ${socket}: ${why} (is it running? systemctl status hipd)`;
  return { code: "unreachable", message };
}

function clientError(error: ServiceError, socket: string): ClientError {
  const code = CODES[error.code];
  if (code !== undefined) return { code, message: error.details };
  if (error.code !== status.UNAVAILABLE) return { code: "failed", message: error.details };
  // gRPC uses the same status for a server that is not there and for the server's own "it did not work".
  const noServer = /ECONN|EPIPE|No connection|Connection dropped|connect E/.test(error.details);
  if (!noServer) return { code: "failed", message: error.details };
  return unreachable(
    socket,
    /ECONNREFUSED/.test(error.details) ? "nobody listens there" : "the connection broke",
  );
}
