/** The control API: gRPC on a Unix socket that only root and one group may open. */
import { chmodSync, chownSync, lstatSync, mkdirSync, unlinkSync } from "node:fs";
import { connect, createServer, type Server as NetServer } from "node:net";
import { dirname } from "node:path";
import {
  Server,
  ServerCredentials,
  type ServerUnaryCall,
  type ServerWritableStream,
  type sendUnaryData,
  status,
  type UntypedServiceImplementation,
} from "@grpc/grpc-js";
import { err, ok, type Result } from "../core/types.ts";
import type { ControlBackend } from "./control-backend.ts";
import { eventMessage, type PingReply, type Problem, pingMessage } from "./control-convert.ts";
import type { Fields, Unary } from "./control-locators.ts";
import { unaryMethods } from "./control-methods.ts";
import { controlMethods } from "./control-schema.ts";
import { whyNot } from "./files.ts";

const CODES: Readonly<Record<Problem["code"], status>> = {
  not_found: status.NOT_FOUND,
  invalid: status.INVALID_ARGUMENT,
  exists: status.ALREADY_EXISTS,
  failed: status.UNAVAILABLE,
  timeout: status.DEADLINE_EXCEEDED,
  denied: status.PERMISSION_DENIED,
  config: status.FAILED_PRECONDITION,
};

const PING_INTERVAL_MILLIS = 1_000;
const PING_TIMEOUT_MILLIS = 2_000;
/** Requests are small; a key is the largest thing in one. */
const MAX_MESSAGE_BYTES = 256 * 1024;
/** Events that may wait for a slow reader; then its stream is ended, so that it notices. */
const MAX_EVENTS_WAITING = 4_096;

function unaryHandler(method: Unary) {
  return (call: ServerUnaryCall<Fields, unknown>, callback: sendUnaryData<unknown>): void => {
    method(call.request, (result) => {
      if (result.ok) callback(null, result.value);
      else callback({ code: CODES[result.error.code], details: result.error.message });
    });
  };
}

type Stream = ServerWritableStream<Fields, unknown>;

function pingHandler(backend: ControlBackend) {
  return (call: Stream): void => {
    const { peer, count, intervalMillis, bytes, timeoutMillis } = call.request;
    const cancel = backend.request(
      {
        type: "ping",
        peer: String(peer),
        count: Number(count),
        intervalMillis: Number(intervalMillis) || PING_INTERVAL_MILLIS,
        bytes: Number(bytes),
        timeoutMillis: Number(timeoutMillis) || PING_TIMEOUT_MILLIS,
      },
      (reply, last) => {
        if (reply.type === "error") fail(call, reply);
        else call.write(pingMessage(reply as PingReply));
        if (last && reply.type !== "error") call.end();
      },
    );
    call.on("cancelled", cancel);
  };
}

function eventsHandler(backend: ControlBackend) {
  return (call: Stream): void => {
    const since = call.request["since"] as number | null;
    // The reply to a reader of events is the beginning of the stream's metadata: it knows that it misses nothing from now on.
    call.sendMetadata(call.metadata.clone());
    const cancel = backend.request({ type: "events", since: since ?? undefined }, (reply) => {
      if (reply.type === "error") return fail(call, reply);
      if (reply.type !== "event") return;
      if (call.writableLength > MAX_EVENTS_WAITING) {
        cancel();
        fail(call, {
          code: "failed",
          message: "events come faster than they are read; ask again with since",
        });
      } else call.write(eventMessage(reply.event));
    });
    call.on("cancelled", cancel);
  };
}

function fail(call: Stream, problem: Problem): void {
  call.emit("error", { code: CODES[problem.code], details: problem.message });
}

/** Serves until `close`. */
export class ControlServer {
  readonly #grpc: Server;
  readonly #listener: NetServer;
  readonly #socket: string;

  private constructor(grpc: Server, listener: NetServer, socket: string) {
    this.#grpc = grpc;
    this.#listener = listener;
    this.#socket = socket;
  }

  /** Opens the socket, mode 0660 and of group `group` (numeric). A dead daemon's socket is replaced, a living one's is not. */
  static async listen(
    socket: string,
    group: number | undefined,
    backend: ControlBackend,
  ): Promise<Result<ControlServer, string>> {
    const free = await freeSocket(socket);
    if (!free.ok) return free;
    const grpc = new Server({ "grpc.max_receive_message_length": MAX_MESSAGE_BYTES });
    const implementation: UntypedServiceImplementation = {
      Ping: pingHandler(backend),
      WatchEvents: eventsHandler(backend),
    };
    for (const [name, method] of Object.entries(unaryMethods(backend)))
      implementation[name] = unaryHandler(method);
    grpc.addService(Object.fromEntries(controlMethods()), implementation);
    const injector = grpc.createConnectionInjector(ServerCredentials.createInsecure());
    const listener = createServer((connection) => injector.injectConnection(connection));
    try {
      await listen(listener, socket, group);
    } catch (error) {
      listener.close();
      return err(`${socket}: the control socket cannot be opened: ${whyNot(error)}`);
    }
    return ok(new ControlServer(grpc, listener, socket));
  }

  close(): void {
    this.#listener.close();
    this.#grpc.forceShutdown();
    removeSocket(this.#socket);
  }
}

/** The socket never exists with wider rights than it ends up with: the umask is narrow while it is made. */
async function listen(server: NetServer, socket: string, group: number | undefined): Promise<void> {
  const before = narrowUmask();
  try {
    await new Promise<void>((resolve, reject) => {
      server.once("error", reject);
      server.listen(socket, resolve);
    });
  } finally {
    if (before !== undefined) process.umask(before);
  }
  if (group !== undefined) giveToGroup(socket, group);
  chmodSync(socket, 0o660);
}

/** Whoever is not root may do so only for groups that it is in. */
function giveToGroup(socket: string, group: number): void {
  const user = process.geteuid?.() ?? 0;
  try {
    chownSync(socket, user, group);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== "EPERM") throw error;
    throw new Error(
      `user ${user} may not give it to group ${group} of [control] group; run hipd with that group (SupplementaryGroups= in its unit)`,
    );
  }
}

/** Only the main thread has a umask to change; elsewhere (in tests) chmod has to do. */
function narrowUmask(): number | undefined {
  try {
    return process.umask(0o177);
  } catch {
    return undefined;
  }
}

/** Makes room for the socket: the folder made, a dead daemon's socket removed. Fails when somebody answers there. */
export async function freeSocket(socket: string): Promise<Result<undefined, string>> {
  try {
    mkdirSync(dirname(socket), { recursive: true, mode: 0o755 });
    if (!lstatSync(socket).isSocket())
      return err(`${socket}: is not a socket; remove it or choose another [control] socket`);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ENOENT") return ok(undefined);
    return err(`${socket}: the control socket cannot be opened: ${whyNot(error)}`);
  }
  if (await answers(socket)) return err(`${socket}: another hipd answers on this control socket`);
  removeSocket(socket);
  return ok(undefined);
}

function answers(socket: string): Promise<boolean> {
  return new Promise((resolve) => {
    const probe = connect(socket);
    probe.once("connect", () => {
      probe.destroy();
      resolve(true);
    });
    probe.once("error", () => resolve(false));
  });
}

function removeSocket(socket: string): void {
  try {
    unlinkSync(socket);
  } catch {}
}
