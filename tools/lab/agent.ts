/** Plays applications inside a namespace: ordinary sockets, nothing of HIP. Requests on stdin, answers on stdout. */
import { type Cipheriv, createCipheriv, createHash, type Hash } from "node:crypto";
import { createSocket, type Socket as UdpSocket } from "node:dgram";
import { get } from "node:http";
import { connect, createServer, isIPv6, type Socket } from "node:net";
import { createInterface } from "node:readline";

interface Request {
  readonly id: number;
  readonly op: string;
  readonly name: string;
  readonly host: string;
  readonly port: number;
  readonly bytes: number;
  readonly count: number;
  readonly text: string;
  readonly everyMillis: number;
  readonly timeoutMillis: number;
}

const CHUNK = 64 << 10;

function code(error: unknown): string {
  return (error as NodeJS.ErrnoException).code ?? String(error);
}

/** Who waits until so many bytes have arrived at all `serveTcp` of this agent, and how many have. */
const arrivals = { bytes: 0, waiting: new Set<() => void>() };

function arrived({ bytes, timeoutMillis }: Request): Promise<number> {
  return new Promise((resolve, reject) => {
    const alarm = setTimeout(() => {
      arrivals.waiting.delete(look);
      reject(new Error(`${arrivals.bytes} bytes have arrived after ${timeoutMillis} ms`));
    }, timeoutMillis);
    const look = (): void => {
      if (arrivals.bytes < bytes) return;
      arrivals.waiting.delete(look);
      clearTimeout(alarm);
      resolve(arrivals.bytes);
    };
    arrivals.waiting.add(look);
    look();
  });
}

/** `text`: the URL. Gives what was answered, whatever the status. */
function httpGet({ text, timeoutMillis }: Request): Promise<string> {
  return new Promise((resolve, reject) => {
    const request = get(text, { timeout: timeoutMillis }, (response) => {
      let body = "";
      response.setEncoding("utf8");
      response.on("data", (part: string) => {
        body += part;
      });
      response.on("end", () => resolve(body));
    });
    request.on("timeout", () => request.destroy(new Error(`no answer in ${timeoutMillis} ms`)));
    request.on("error", reject);
  });
}

function serveTcp({ port, host }: Request): Promise<number> {
  const server = createServer({ allowHalfOpen: true }, (socket) => {
    const hash = createHash("sha256");
    let bytes = 0;
    socket.on("data", (chunk) => {
      hash.update(chunk);
      bytes += chunk.length;
      arrivals.bytes += chunk.length;
      for (const wake of arrivals.waiting) wake();
    });
    socket.on("end", () => socket.end(`${hash.digest("hex")} ${bytes}\n`));
    socket.on("error", () => socket.destroy());
  });
  return new Promise((resolve, reject) => {
    server.once("error", reject);
    server.listen(port, host, () => resolve((server.address() as { port: number }).port));
  });
}

/** An endless, incompressible stream that differs from chunk to chunk. */
function source(): Cipheriv {
  return createCipheriv("aes-128-ctr", Buffer.alloc(16, 7), Buffer.alloc(16, 9));
}

/** Whether streams are to end with what they have sent. */
let finishing = false;

function write(socket: Socket, total: number, hash: Hash, sent: (bytes: number) => void): void {
  const stream = source();
  const zeros = Buffer.alloc(CHUNK);
  let left = total;
  const more = (): void => {
    while (left > 0 && !socket.destroyed && !finishing) {
      const chunk = stream.update(left < CHUNK ? zeros.subarray(0, left) : zeros);
      left -= chunk.length;
      sent(total - left);
      hash.update(chunk);
      if (!socket.write(chunk)) return void socket.once("drain", more);
    }
    socket.end();
  };
  more();
}

function sendTcp({ host, port, bytes, timeoutMillis }: Request): Promise<unknown> {
  const start = performance.now();
  const sent = createHash("sha256");
  let sentBytes = 0;
  let reply = "";
  return new Promise((resolve) => {
    const socket = connect({ host, port, allowHalfOpen: true });
    const finish = (error?: string): void => {
      clearTimeout(alarm);
      socket.destroy();
      const [receivedHash = "", count = "0"] = reply.trim().split(" ");
      resolve({
        bytes: sentBytes,
        sentHash: error === undefined ? sent.digest("hex") : "",
        receivedHash,
        receivedBytes: Number(count),
        millis: performance.now() - start,
        error,
      });
    };
    const alarm = setTimeout(() => finish("timeout"), timeoutMillis);
    socket.setEncoding("utf8");
    socket.once("connect", () =>
      write(socket, bytes, sent, (count) => {
        sentBytes = count;
      }),
    );
    socket.on("data", (text: string) => {
      reply += text;
    });
    socket.once("end", () => finish());
    socket.once("error", (error) => finish(code(error)));
  });
}

function udp(host: string): UdpSocket {
  return createSocket({ type: isIPv6(host) ? "udp6" : "udp4" });
}

function serveUdp({ port, host }: Request): Promise<number> {
  const socket = udp(host);
  socket.on("message", (message, from) => socket.send(message, from.port, from.address, () => {}));
  return new Promise((resolve, reject) => {
    socket.once("error", reject);
    socket.bind(port, host, () => {
      socket.on("error", () => {});
      resolve(socket.address().port);
    });
  });
}

/** A datagram: the text, a blank, padding to `bytes`. */
function datagram(text: string, bytes: number): Buffer {
  const message = Buffer.alloc(Math.max(bytes, text.length), ".");
  message.write(text);
  return message;
}

function sendUdp({ host, port, count, bytes, text, timeoutMillis }: Request): Promise<unknown> {
  const start = performance.now();
  const socket = udp(host);
  const errors: string[] = [];
  let received = 0;
  let first = 0;
  return new Promise((resolve) => {
    let sent = 0;
    const finish = (): void => {
      clearTimeout(alarm);
      socket.close();
      resolve({ sent, received, errors, millis: (first === 0 ? performance.now() : first) - start });
    };
    const alarm = setTimeout(finish, timeoutMillis);
    const failed = (error: Error): void => {
      errors.push(code(error));
      if (first === 0) first = performance.now();
      if (errors.length === 1) setImmediate(finish);
    };
    socket.on("error", failed);
    socket.on("message", () => {
      if (first === 0) first = performance.now();
      if (++received === count) finish();
    });
    socket.connect(port, host, () => {
      for (; sent < count; sent++)
        socket.send(datagram(`${text} ${sent} `, bytes), (error) => error && failed(error));
    });
  });
}

interface Stream {
  sent: number;
  received: number;
  /** Number of the newest datagram that came back. */
  newest: number;
  readonly errors: Set<string>;
  readonly waiting: Set<() => void>;
  stop(): void;
}

const streams = new Map<string, Stream>();

function stream({ name, host, port, text, everyMillis }: Request): Promise<void> {
  const socket = udp(host);
  const state: Stream = { sent: 0, received: 0, newest: -1, errors: new Set(), waiting: new Set(), stop };
  const note = (error: Error | null): void => {
    if (error !== null) state.errors.add(code(error));
  };
  socket.on("error", note);
  socket.on("message", (message) => {
    state.received++;
    state.newest = Math.max(state.newest, Number(message.toString().slice(text.length).trim().split(" ")[0]));
    for (const wake of state.waiting) wake();
  });
  const clock = setInterval(() => {
    socket.send(datagram(`${text} ${state.sent++} `, 200), port, host, note);
  }, everyMillis);
  function stop(): void {
    clearInterval(clock);
    socket.close();
  }
  streams.set(name, state);
  return Promise.resolve();
}

function find(name: string): Stream {
  const found = streams.get(name);
  if (found === undefined) throw new Error(`there is no stream "${name}"`);
  return found;
}

async function stopStream({ name }: Request): Promise<unknown> {
  const state = find(name);
  state.stop();
  streams.delete(name);
  return { sent: state.sent, received: state.received, errors: [...state.errors], millis: 0 };
}

async function answered({ name, timeoutMillis }: Request): Promise<number> {
  const state = find(name);
  const wanted = state.sent;
  const start = performance.now();
  await new Promise<void>((resolve, reject) => {
    const alarm = setTimeout(() => {
      state.waiting.delete(look);
      reject(new Error(`no answer within ${timeoutMillis} ms; errors: ${[...state.errors].join(" ")}`));
    }, timeoutMillis);
    const look = (): void => {
      if (state.newest < wanted) return;
      state.waiting.delete(look);
      clearTimeout(alarm);
      resolve();
    };
    state.waiting.add(look);
  });
  return performance.now() - start;
}

const OPERATIONS: Readonly<Record<string, (request: Request) => Promise<unknown>>> = {
  httpGet,
  serveTcp,
  sendTcp,
  arrived,
  finishTcp: async () => {
    finishing = true;
  },
  serveUdp,
  sendUdp,
  stream,
  stop: stopStream,
  answered,
};

const requests = createInterface({ input: process.stdin });
requests.on("line", (line) => {
  const request = JSON.parse(line) as Request;
  const operation = OPERATIONS[request.op];
  const answer =
    operation === undefined ? Promise.reject(new Error("unknown operation")) : operation(request);
  answer.then(
    (value) => process.stdout.write(`${JSON.stringify({ id: request.id, value: value ?? null })}\n`),
    (error: unknown) => process.stdout.write(`${JSON.stringify({ id: request.id, error: String(error) })}\n`),
  );
});
requests.on("close", () => process.exit(0));
process.stdout.write("ready\n");
